"""Betting: confidence sequences for means in [0, 1] and for off-policy values, valid at any time one looks.

Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS-B: theorems 1 to 3.
One observation is one independent unit: bet on one summary per learner, in order of completion, never on raw rounds.
"""

from __future__ import annotations

import numpy as np

from .episodes import Episodes
from .estimate import Array
from .intervals import Clusters

PRIOR_MEAN, PRIOR_VARIANCE, FAKE = 0.5, 0.25, 1.0
PLANS = (1e2, 1e3, 1e4, 1e5)


def _checked(x: Array) -> Array:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"give one list of observations, got shape {values.shape}")
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        raise ValueError(f"observation {int(np.argmax(bad))} is {values[np.argmax(bad)]:g}: it must lie in [0, 1]")
    return values


def bets(x: Array, alpha: float) -> Array:
    """Return (n,) predictable plug-in bets sqrt(2 log(1/alpha) / (s2_{t-1} t log(1 + t))), before truncation.

    `s2` is regularised by one made-up observation; bet t looks at observations before t only.
    """
    t = np.arange(1.0, len(x) + 1.0)
    mean = (FAKE * PRIOR_MEAN + np.cumsum(x)) / (t + FAKE)
    variance = (FAKE * PRIOR_VARIANCE + np.cumsum((x - mean) ** 2)) / (t + FAKE)
    before = np.concatenate([[PRIOR_VARIANCE], variance[:-1]])
    return np.asarray(np.sqrt(2.0 * np.log(1.0 / alpha) / (before * t * np.log1p(t))))


def hedged(x: Array, alpha: float = 0.05, grid: int = 1000) -> tuple[Array, Array]:
    """Return lower and upper ends (n,) of the hedged capital sequence (theorem 3).

    A mean m leaves for good once max(K+, K-) / 2 reaches 1 / alpha; bets stop at half of what could ruin them. Ends are
    moved out by one step of the grid of means. NaN once every mean has left.
    """
    x = _checked(x)
    bet = bets(x, alpha / 2)
    m = np.arange(grid + 1) / grid
    up, down, kept = np.zeros(grid + 1), np.zeros(grid + 1), np.ones(grid + 1, dtype=np.bool_)
    low, high = np.full(len(x), np.nan), np.full(len(x), np.nan)
    with np.errstate(divide="ignore"):
        most_up, most_down = 0.5 / m, 0.5 / (1.0 - m)
        for t, (value, stake) in enumerate(zip(x, bet, strict=True)):
            up += np.log1p(np.minimum(stake, most_up) * (value - m))
            down += np.log1p(-np.minimum(stake, most_down) * (value - m))
            kept &= np.maximum(up, down) <= np.log(2.0 / alpha)
            left = np.flatnonzero(kept)
            if len(left):
                low[t], high[t] = max(0.0, m[left[0]] - 1.0 / grid), min(1.0, m[left[-1]] + 1.0 / grid)
    return low, high


def off_policy_lower(
    phi: Array, alpha: float = 0.05, n_best: float | None = None, grid: int = 1000, top: float = 1.0
) -> float:
    """Return a lower bound of E[phi] that held at some time, valid however often one looks (and however heavy phi).

    `phi` (n,) is non-negative, such as weight x reward of one learner; no upper bound of it is needed: the bet against
    "the mean is at most m" is lambda (phi - m) with lambda < 1/m (Karampatziakis, Mineiro and Ramdas 2021). `top` is
    the largest value the mean could have. Bets are best after `n_best` observations, planned before looking; by default
    the stake is split evenly over bets for 100, 1,000, 10,000 and 100,000, so that nothing need be planned.
    """
    phi = np.asarray(phi, dtype=np.float64)
    if phi.ndim != 1 or not len(phi) or not (phi >= 0).all():
        raise ValueError("bets need one list of observations, 0 or more")
    t = np.arange(1.0, len(phi) + 1.0)
    mean = (PRIOR_MEAN * top + np.cumsum(phi)) / (t + FAKE)
    variance = (PRIOR_VARIANCE * top**2 + np.cumsum((phi - mean) ** 2)) / (t + FAKE)
    before = np.concatenate([[PRIOR_VARIANCE * top**2], variance[:-1]])
    plans = np.array([n_best] if n_best else PLANS)
    bet = np.sqrt(2.0 * np.log(1.0 / alpha) / (before * plans[:, None]))
    limit = np.log(len(plans) / alpha)

    def beaten(m: float) -> bool:
        wealth = np.cumsum(np.log1p(np.minimum(bet, 0.5 / m) * (phi - m)), 1)
        return bool(np.logaddexp.reduce(wealth, 0).max() >= limit)

    low, high = 0.0, top  # wealth falls with m, so bisection finds where it stops being enough
    for _ in range(max(1, int(np.ceil(np.log2(grid))))):
        middle = (low + high) / 2
        low, high = (middle, high) if beaten(middle) else (low, middle)
    return low


def sessions_lower(over: Episodes, units: Clusters, begun: Array, limits: tuple[float, ...], alpha: float) -> float:
    """Return a lower bound of a session's value that holds however often one looks and however heavy the weights.

    One bet per cluster of `units`, in the order of `begun` (S,), on its mean of session weight x (reward - limits[0]);
    `limits` are the least and the most that a session's reward can be. ValueError when one lies outside.
    """
    low, high = limits
    wrong = np.abs(over.gain - (low + high) / 2) > (high - low) / 2 * (1.0 + 1e-5)  # logs hold float32
    if wrong.any():
        raise ValueError(f"a session's reward is {over.gain[np.argmax(wrong)]:g}, outside limits={low:g},{high:g}")
    total = np.bincount(units.index, over.rho[:, -1] * np.maximum(over.gain - low, 0.0))
    when = np.full(units.number, np.inf)
    np.minimum.at(when, units.index, begun)
    phi = (total / np.bincount(units.index))[np.argsort(when, kind="stable")]
    return low + off_policy_lower(phi, alpha, top=high - low)
