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
    the state says all that matters, so coarse cells bias it. A session's influence is how far each of its steps lay
    from what its cell leads to, weighted by the cell's ratio (their theorem 4.1): the shares' own error is in it.
    """
    length = np.diff(start)
    steps = [np.flatnonzero(length > t) for t in range(int(length.max()))]
    share = np.ones(len(reward))  # d_pi(s) / d_b(s) at each row
    for t, alive in enumerate(steps[1:], 1):
        rows = start[:-1][alive] + t
        carried = share[rows - 1] * weight[rows - 1]
        share[rows] = _mean(carried, state[rows], n_states)
    plain, ahead = np.zeros(len(length)), np.zeros(len(length))  # ahead: what a session's next cell leads to
    for t, alive in reversed(list(enumerate(steps))):
        rows = start[:-1][alive] + t
        found = weight[rows] * (reward[rows] + discount * ahead[alive])
        leads = _mean(found, state[rows], n_states)
        plain[alive] += discount**t * share[rows] * (found - leads)
        ahead[alive] = leads
    return Estimate("MIS", plain + ahead)


def _mean(value: Array, state: Index, n_states: int) -> Array:
    """The mean of `value` over the rows of each state, row by row."""
    count = np.bincount(state, minlength=n_states).astype(np.float64)
    return ratios(np.bincount(state, value, n_states).astype(np.float64), count)[state]
