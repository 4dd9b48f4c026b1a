"""Asymptotic confidence sequences: intervals of a mean that stay valid however often one looks.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence
sequences", Annals of Statistics: theorem 2.2. Lengths are per unit: n counts learners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .estimate import Array


def tuning(n_best: float, alpha: float = 0.05) -> float:
    """Return rho, which makes the interval tightest at `n_best` units."""
    spent = -2.0 * np.log(alpha)
    return float(np.sqrt((spent + np.log(spent + 1.0)) / n_best))


def half_width(n: ArrayLike, sd: ArrayLike, rho: float, alpha: float = 0.05) -> Array:
    """Return the half-width after `n` units of standard deviation `sd`: two-sided, at any time, level `alpha`."""
    n, sd = np.asarray(n, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    grown = n * rho**2 + 1.0
    return np.asarray(sd * np.sqrt(2.0 * grown / (n**2 * rho**2) * np.log(np.sqrt(grown) / alpha)))


@dataclass(frozen=True)
class Arm:
    """What is known of one arm: how many units, their mean, and the variance of one unit."""

    n: float
    mean: float
    variance: float


@dataclass(frozen=True)
class Effect:
    """An effect with its anytime-valid interval."""

    value: float
    low: float
    high: float


def effect(control: Arm, treated: Arm, n_best: float, alpha: float = 0.05, relative: bool = False) -> Effect:
    """Return treated minus control, or the lift relative to control, with an interval valid at every look.

    Both arms together count as n units; the lift's variance is by the delta method.
    """
    n = control.n + treated.n
    if relative:
        lift = treated.mean / control.mean - 1.0
        of_mean = treated.variance / treated.n / control.mean**2
        of_mean += control.variance / control.n * treated.mean**2 / control.mean**4
    else:
        lift = treated.mean - control.mean
        of_mean = treated.variance / treated.n + control.variance / control.n
    reach = float(half_width(n, np.sqrt(of_mean * n), tuning(n_best, alpha), alpha))
    return Effect(lift, lift - reach, lift + reach)
