"""Boundaries: how large a z-score must be at each planned look so that looking often does not find what is not there.

Looks are equally spaced; the chance to cross is integrated step by step (Armitage, McPherson and Rowe 1969; Jennison
and Turnbull 2000, chapter 19).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from .estimate import Array

GRID = 241


def crossing(bounds: Array, drift: float = 0.0) -> Array:
    """Return (K,), the chance to cross at each look first, of |z| >= bounds (K,) at K equally spaced looks.

    `drift` is the expected z at the last look.
    """
    k = len(bounds)
    times = np.arange(1, k + 1) / k
    edge = bounds * np.sqrt(times)  # on the scale of the sum, whose variance at the end is 1
    out = np.empty(k)
    mean = drift * times[0]
    sd = np.sqrt(times[0])
    out[0] = float(stats.norm.sf((edge[0] - mean) / sd) + stats.norm.cdf((-edge[0] - mean) / sd))
    x, w = _grid(edge[0])
    density = stats.norm.pdf(x, mean, sd)
    for i in range(1, k):
        step = np.sqrt(times[i] - times[i - 1])
        shift = drift * (times[i] - times[i - 1])
        weighted = density * w
        over = stats.norm.sf((edge[i] - x - shift) / step) + stats.norm.cdf((-edge[i] - x - shift) / step)
        out[i] = float(weighted @ over)
        following, w = _grid(edge[i])
        density = stats.norm.pdf(following[:, None], x + shift, step) @ weighted
        x = following
    return out


def pocock(looks: int, alpha: float = 0.05) -> Array:
    """Return (K,) equal bounds of |z| (Pocock 1977)."""
    return _solved(np.ones(looks), alpha)


def obrien_fleming(looks: int, alpha: float = 0.05) -> Array:
    """Return (K,) bounds of |z| that fall as 1 / sqrt(look): hard at first (O'Brien and Fleming 1979)."""
    return _solved(np.sqrt(looks / np.arange(1.0, looks + 1.0)), alpha)


def power(bounds: Array, drift: float) -> tuple[float, float]:
    """Return the chance to cross at any look with the last z expected at `drift`, and the expected share of looks."""
    first = crossing(bounds, drift)
    total = float(first.sum())
    k = np.arange(1, len(bounds) + 1) / len(bounds)
    return total, float((first * k).sum() + (1.0 - total))


def needed_drift(bounds: Array, wanted: float) -> float:
    """Return the expected last z that gives the power `wanted`."""
    return _drift(tuple(bounds.tolist()), wanted)


@cache
def _drift(bounds: tuple[float, ...], wanted: float) -> float:
    return float(brentq(lambda drift: power(np.asarray(bounds), drift)[0] - wanted, 0.0, 12.0, xtol=1e-6))


def _solved(shape: Array, alpha: float) -> Array:
    return np.asarray(_scale(tuple(shape.tolist()), alpha) * shape)


@cache
def _scale(shape: tuple[float, ...], alpha: float) -> float:
    bounds = np.asarray(shape)
    return float(brentq(lambda c: crossing(c * bounds).sum() - alpha, 1.0, 6.0, xtol=1e-7))


def _grid(edge: float) -> tuple[Array, Array]:
    """Simpson's points and weights between -edge and edge."""
    edge = min(edge, 8.0)
    x = np.linspace(-edge, edge, GRID)
    w = np.full(GRID, 2.0)
    w[1::2] = 4.0
    w[[0, -1]] = 1.0
    return x, w * (x[1] - x[0]) / 3.0
