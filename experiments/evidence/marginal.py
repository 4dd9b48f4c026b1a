"""Marginalised importance sampling: weights of where learners are, instead of all that they went through."""

from __future__ import annotations

import numpy as np

from .estimate import Array, Estimate, Index, ratios


def marginalised_is(
    start: Index, state: Index, reward: Array, weight: Array, n_states: int, discount: float = 1.0
) -> Estimate:
    """Return the value of sessions from the ratio of state frequencies at each step (Xie, Ma and Wang 2019).

    Session i owns rows start[i]:start[i + 1]; `state` (N,) counts from 0. Of step t, the share of state s under the
    candidate comes from the shares at t - 1 and one-step weights. Free of the curse of long products; right only if
    the state says all that matters, so coarse cells bias it. The interval takes the shares as given.
    """
    length = np.diff(start)
    n, horizon = len(length), int(length.max())
    plain, carried = np.zeros(n), np.ones(n)  # carried: d_pi(s) / d_b(s) x one-step weight of each session's last row
    for t in range(horizon):
        alive = np.flatnonzero(length > t)
        rows = start[:-1][alive] + t
        here = state[rows]
        if t:
            count = np.bincount(here, minlength=n_states).astype(np.float64)
            share = ratios(np.bincount(here, carried[alive], n_states).astype(np.float64), count)[here]
        else:
            share = np.ones(len(alive))
        carried[alive] = share * weight[rows]
        plain[alive] += discount**t * carried[alive] * reward[rows]
    return Estimate("MIS", plain)
