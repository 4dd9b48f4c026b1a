"""Sequential estimators: the value of whole sessions under a candidate policy, sessions of any length.

`n` units are sessions. Weights of learners who left stay as they were, so that every step's weights average to 1.
"""

from __future__ import annotations

import numpy as np

from .episodes import Episodes
from .estimate import Array, Estimate


def dm(episodes: Episodes) -> Estimate:
    """Fitted Q evaluation alone: the mean of v at the first step.

    Its interval knows the sampling error of a Q fitted with `ratio`, and never that the model may be wrong.
    """
    return Estimate("FQE", episodes.v[:, 0] + episodes.noise.sum(1))


def double_reinforcement(episodes: Episodes) -> Estimate:
    """Doubly robust with marginal ratios instead of long products (Kallus and Uehara 2020), here those of Q's own fit.

    ValueError without `ratio`.
    """
    if episodes.ratio is None:
        raise ValueError("double reinforcement learning needs marginal ratios: fit Q with linear_fqe")
    return Estimate("DRL", episodes.v[:, 0] + (episodes.ratio * episodes.advantage).sum(1))


def trajectory_is(episodes: Episodes) -> Estimate:
    """The session's weight times its sum of rewards (Precup, Sutton and Singh 2000)."""
    return Estimate("TIS", episodes.rho[:, -1] * episodes.gain)


def weighted_is(episodes: Episodes) -> Estimate:
    """Self-normalised trajectory importance sampling (WIS)."""
    last = episodes.rho[:, -1]
    return Estimate("WIS", np.zeros(len(episodes)), (last * episodes.gain)[:, None], last[:, None])


def per_decision_is(episodes: Episodes) -> Estimate:
    """Each reward with the weight of the steps up to it (Precup, Sutton and Singh 2000)."""
    return Estimate("PDIS", (episodes.rho * episodes.reward) @ episodes.discounts)


def weighted_per_decision_is(episodes: Episodes) -> Estimate:
    """Per-decision importance sampling, self-normalised step by step."""
    top = episodes.rho * episodes.reward * episodes.discounts
    return Estimate("WPDIS", np.zeros(len(episodes)), top, episodes.rho)


def doubly_robust(episodes: Episodes) -> Estimate:
    """Per-decision doubly robust (Jiang and Li 2016)."""
    return Estimate("DR", episodes.v[:, 0] + (episodes.rho * episodes.advantage) @ episodes.discounts)


def weighted_doubly_robust(episodes: Episodes) -> Estimate:
    """Doubly robust, self-normalised step by step (Thomas and Brunskill 2016)."""
    top = episodes.rho * episodes.advantage * episodes.discounts
    return Estimate("WDR", episodes.v[:, 0], top, episodes.rho)


def effective_size(episodes: Episodes) -> Array:
    """Return (T,), the effective number of sessions behind each step, (sum rho)^2 / sum rho^2."""
    rho = episodes.rho
    square = (rho**2).sum(0)
    return np.asarray(np.divide(rho.sum(0) ** 2, square, out=np.zeros_like(square), where=square > 0))
