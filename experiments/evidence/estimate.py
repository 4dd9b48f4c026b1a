"""Estimate: a value with what each unit contributes to it, so that any interval can be put around it later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """E[plain] + sum_j E[top_j] / E[bottom_j], means over n units (rounds, or whole episodes).

    Every estimator here has this form: plain averages use `plain` alone, self-normalised ones are ratios. `top` and
    `bottom` are (n, J), or None where there is no ratio. A bottom whose mean is 0 means that no unit did what the
    candidate would do: the value is NaN then, for there is no evidence.
    """

    name: str
    plain: Array  # (n,)
    top: Array | None = None  # (n, J)
    bottom: Array | None = None  # (n, J)

    def __len__(self) -> int:
        return len(self.plain)

    @cached_property
    def value(self) -> float:
        """The estimate, in the unit of the rewards."""
        total = float(self.plain.mean())
        if self.top is not None and self.bottom is not None:
            total += float(ratios(self.top.mean(0), self.bottom.mean(0)).sum())
        return total

    @cached_property
    def influence(self) -> Array:
        """(n,) influence values: mean 0, and the value's error is about their mean (the delta method for ratios)."""
        psi = self.plain - self.plain.mean()
        if self.top is not None and self.bottom is not None:
            below = self.bottom.mean(0)
            share = ratios(self.top.mean(0), below)
            for j in range(len(share)):  # column by column: memory stays at a few (n,) arrays
                psi = psi + ratios(self.top[:, j] - share[j] * self.bottom[:, j], below[j : j + 1])
        return psi

    def sums(self, cluster: Index, number: int) -> Array:
        """Return (G, 1 + 2J), plain, tops and bottoms added up within each of `number` clusters."""
        columns = [self.plain]
        if self.top is not None and self.bottom is not None:
            columns += [*self.top.T, *self.bottom.T]
        return np.stack([np.bincount(cluster, column, number) for column in columns], 1)

    def of_sums(self, totals: Array, units: Array) -> Array:
        """Return (R,), the value in R resamples from their totals (R, 1 + 2J) and numbers of units (R,)."""
        value = totals[:, 0] / units
        j = (totals.shape[1] - 1) // 2
        if j:
            value = value + ratios(totals[:, 1 : 1 + j], totals[:, 1 + j :]).sum(1)
        return value


def ratios(top: Array, bottom: Array) -> Array:
    """Return top / bottom, NaN where the bottom is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(bottom == 0.0, np.nan, top / bottom))


def difference(name: str, candidate: Estimate, reward: Array) -> Estimate:
    """Return the estimate of the candidate's value minus the mean of `reward` (n,): the gain over who logged."""
    if len(candidate) != len(reward):
        raise ValueError(f"{len(candidate)} units but {len(reward)} rewards: give one for each")
    return Estimate(name, candidate.plain - reward, candidate.top, candidate.bottom)


def contrast(name: str, candidate: Estimate, incumbent: Estimate) -> Estimate:
    """Return the estimate of the candidate's value minus the incumbent's on the same units: errors are paired."""
    if len(candidate) != len(incumbent):
        raise ValueError(f"{len(candidate)} units but {len(incumbent)}: estimate both on the same log")
    sides = [e for e in (candidate, incumbent) if e.top is not None and e.bottom is not None]
    plain = candidate.plain - incumbent.plain
    if not sides:
        return Estimate(name, plain)
    tops = [e.top if e is candidate else -e.top for e in sides if e.top is not None]
    bottoms = [e.bottom for e in sides if e.bottom is not None]
    return Estimate(name, plain, np.concatenate(tops, 1), np.concatenate(bottoms, 1))


Estimator = Callable[..., Estimate]
