"""Intervals around an estimate: by influence function or bootstrap, clustered by learner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .estimate import Array, Estimate, Index

BLOCK = 1 << 20  # resampled clusters in one block: it bounds memory and changes no number


@dataclass(frozen=True)
class Clusters:
    """Which unit belongs to whom; `index` (n,) counts from 0 to `number` - 1."""

    index: Index
    number: int

    @staticmethod
    def of(names: ArrayLike) -> Clusters:
        """Number the names (n,) of learners, classes or cohorts."""
        found, index = np.unique(np.asarray(names), return_inverse=True)
        return Clusters(index.astype(np.int64), len(found))

    @staticmethod
    def single(n: int) -> Clusters:
        """Every unit stands alone."""
        return Clusters(np.arange(n), n)


@dataclass(frozen=True)
class Bounds:
    """A value, its standard error and its interval, all in the unit of the rewards."""

    value: float
    error: float
    low: float
    high: float


def standard_error(estimate: Estimate, clusters: Clusters | None = None) -> float:
    """Return the standard error, sqrt(G/(G-1) sum_g (sum of influence in g)^2) / n (Liang and Zeger 1986).

    Infinite with fewer than two clusters: then nothing is known of how they differ.
    """
    n = len(estimate)
    number = n if clusters is None else clusters.number
    if number < 2:
        return float("inf")
    psi = estimate.influence
    parts = psi if clusters is None else np.bincount(clusters.index, psi, number)
    return float(np.sqrt(number / (number - 1.0) * np.dot(parts, parts)) / n)


def half_width(estimate: Estimate, cluster: Index | None = None, confidence: float = 0.95) -> float:
    """Return half the width of the two-sided interval."""
    clusters = None if cluster is None else Clusters.of(cluster)
    return _quantile(len(estimate) if clusters is None else clusters.number, 0.5 + confidence / 2) * standard_error(
        estimate, clusters
    )


def interval(estimate: Estimate, clusters: Clusters | None = None, confidence: float = 0.95) -> Bounds:
    """Return the two-sided interval by the influence function, Student's t with G - 1 degrees of freedom."""
    error = standard_error(estimate, clusters)
    reach = _quantile(len(estimate) if clusters is None else clusters.number, 0.5 + confidence / 2) * error
    return Bounds(estimate.value, error, estimate.value - reach, estimate.value + reach)


def lower_bound(estimate: Estimate, clusters: Clusters | None = None, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound by the influence function."""
    number = len(estimate) if clusters is None else clusters.number
    return estimate.value - _quantile(number, confidence) * standard_error(estimate, clusters)


def bootstrap(
    estimates: Sequence[Estimate], clusters: Clusters | None = None, replicates: int = 1000, seed: int = 0
) -> Array:
    """Return (replicates, E), every estimate in the same resamples of whole clusters.

    Exact and cheap: each estimate is a function of sums within clusters, and only those are resampled. Differences of
    columns are paired. ValueError when the estimates rest on different numbers of units.
    """
    sizes = {len(estimate) for estimate in estimates}
    if len(sizes) != 1:
        raise ValueError(f"estimates over {sorted(sizes)} units cannot be resampled together")
    clusters = clusters or Clusters.single(sizes.pop())
    number = clusters.number
    parts = [estimate.sums(clusters.index, number) for estimate in estimates]
    table = np.column_stack([*parts, np.bincount(clusters.index, minlength=number).astype(np.float64)])
    table, place = np.unique(table, axis=1, return_inverse=True)  # SNIPS and SNDR share a bottom
    rng = np.random.Generator(np.random.Philox(seed=[seed, 5]))
    out = np.empty((replicates, len(estimates)))
    block = max(1, BLOCK // number)
    for start in range(0, replicates, block):
        rows = min(block, replicates - start)
        drawn = rng.integers(0, number, size=(rows, number), dtype=np.uint32)
        counts = np.stack([np.bincount(row, minlength=number) for row in drawn]).astype(np.float64)
        totals = (counts @ table)[:, place]
        done = 0
        for e, (estimate, part) in enumerate(zip(estimates, parts, strict=True)):
            out[start : start + rows, e] = estimate.of_sums(totals[:, done : done + part.shape[1]], totals[:, -1])
            done += part.shape[1]
    return out


def percentiles(value: float, replicates: Array, confidence: float = 0.95) -> Bounds:
    """Return the percentile interval of bootstrap `replicates` (R,)."""
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(replicates, (tail, 1.0 - tail))
    return Bounds(value, float(replicates.std(ddof=1)), float(low), float(high))


def _quantile(number: int, probability: float) -> float:
    return float(stats.t.ppf(probability, max(number - 1, 1)))
