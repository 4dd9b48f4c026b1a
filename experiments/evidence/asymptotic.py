"""Asymptotic confidence sequences: intervals of a mean that stay valid however often one looks.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence
sequences", Annals of Statistics: theorem 2.2 and the one-sided form. Lengths are per unit: n counts learners.
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


def one_sided_width(n: ArrayLike, sd: ArrayLike, rho: float, alpha: float = 0.05) -> Array:
    """Return the distance of the one-sided bound; make `rho` with tuning(n_best, 2 alpha)."""
    n, sd = np.asarray(n, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    grown = n * rho**2 + 1.0
    return np.asarray(sd * np.sqrt(2.0 * grown / (n**2 * rho**2) * np.log1p(np.sqrt(grown) / (2.0 * alpha))))


def e_value(z: ArrayLike, n: ArrayLike, rho: float) -> Array:
    """Return the evidence against "the mean is 0" at z = mean / standard error after `n` units; 1 / e is a p-value."""
    z, n = np.asarray(z, dtype=np.float64), np.asarray(n, dtype=np.float64)
    grown = n * rho**2 + 1.0
    return np.asarray(np.exp(rho**2 * n * z**2 / (2.0 * grown)) / np.sqrt(grown))


@dataclass(frozen=True)
class Arm:
    """What is known of one arm: how many units, their mean, and the variance of one unit."""

    n: float
    mean: float
    variance: float

    @staticmethod
    def of_sums(n: float, total: float, squares: float) -> Arm:
        """Return an arm from the sum of its values and of their squares, with the unbiased variance."""
        return Arm(n, total / n, (squares - total**2 / n) / (n - 1.0))

    @staticmethod
    def of_share(n: float, successes: float) -> Arm:
        """Return an arm of yes-or-no outcomes."""
        share = successes / n
        return Arm(n, share, share * (1.0 - share))


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
