"""Weights: how many logged units an estimate really rests on, and how heavy the tail of their weights is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .estimate import Array, Estimate
from .finding import Finding, Verdict, by_p, graded, two_sided
from .intervals import Clusters, standard_error


def effective_size(weight: Array) -> float:
    """Return (sum w)^2 / sum w^2 (Kong 1992); 0 when all weights are 0."""
    square = float(np.dot(weight, weight))
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


@dataclass(frozen=True)
class Histogram:
    """How weights are spread: `count` of them, and the share of all weight that they hold, from `low` to twice `low`.

    The first bin, low 0, holds all below 2 ** -10.
    """

    low: tuple[float, ...]
    count: tuple[int, ...]
    share: tuple[float, ...]


def histogram(weight: Array) -> Histogram:
    """Return the histogram of weights (n,) by powers of two."""
    power = np.floor(np.log2(np.maximum(weight, 2.0**-11))).astype(np.int64).clip(-11)
    bins = np.arange(-11, max(int(power.max()), 0) + 1)
    count = np.bincount(power + 11, minlength=len(bins))
    mass = np.bincount(power + 11, weight, len(bins)) / max(float(weight.sum()), 1e-300)
    low = [0.0, *(2.0 ** bins[1:].astype(float)).tolist()]
    return Histogram(tuple(low), tuple(count.tolist()), tuple(mass.tolist()))


def pareto_k(weight: Array) -> float:
    """Return the shape k of a generalised Pareto fit to the largest weights (Vehtari et al. 2024; Zhang and Stephens).

    Below 0.5 the variance is finite; above 0.7 estimates cannot be trusted. The min(n / 5, 3 sqrt n) largest weights
    are used; -inf where these are all alike or fewer than five, for then there is no tail.
    """
    n = len(weight)
    size = int(min(n / 5, 3 * np.sqrt(n)))
    if size < 5:
        return float("-inf")
    cut = np.partition(weight, n - size - 1)
    top, floor = np.sort(cut[n - size :]), float(cut[n - size - 1])
    x = top - floor
    if not x[-1] > 1e-2 * max(abs(floor), 1.0):  # all alike, but for rounding
        return float("-inf")
    x = x[x > 1e-6 * x[-1]]  # the tail is what lies above the floor: weights of few policies often tie there
    if len(x) < 5:
        return float("-inf")
    size = len(x)
    quarter = x[int(size / 4 + 0.5) - 1]
    steps = 30 + int(np.sqrt(size))
    theta = 1.0 / x[-1] + (1.0 - np.sqrt(steps / (np.arange(1, steps + 1) - 0.5))) / (3.0 * quarter)
    theta = np.where(theta == 0.0, 1e-9 / x[-1], theta)  # the exponential tail is the limit, not 0 / 0
    shape = np.array([np.log1p(-t * x).mean() for t in theta])
    fit = size * (np.log(-theta / shape) - shape - 1.0)
    share = np.exp(fit - fit.max())
    share /= share.sum()
    best = float((theta * share).sum())
    k = float(np.log1p(-best * x).mean())
    return k * size / (size + 10.0) + 5.0 / (size + 10.0)  # a weak prior at one half


def weight_findings(weight: Array, clusters: Clusters, unit: str) -> list[Finding]:
    """Return what the weights (n,) of `unit`s say: effective size, tail, concentration, and whether they average 1."""
    n = len(weight)
    size = effective_size(weight)
    share = size / n
    few = Verdict.DO_NOT if size < 30 else Verdict.CAUTION if size < 100 or share < 0.01 else Verdict.TRUST
    said = f"{n:,} {unit}s count as {size:,.0f} ({share:.1%})"
    out = [
        Finding(
            "effective sample size",
            size,
            few,
            said + ("" if few is Verdict.TRUST else ": gather more, or try a candidate closer to the log"),
        )
    ]
    k = pareto_k(weight)
    tail = graded(k, 0.5, 0.7)
    shape = f"k = {k:.2f}; below 0.5 is sound, above 0.7 the variance cannot be trusted"
    out.append(
        Finding(
            "weight tail (Pareto k)",
            k,
            tail,
            "the largest weights are much alike: there is no tail" if k == -np.inf else shape,
        )
    )
    total = float(weight.sum())
    top = float(np.sort(weight)[n - max(1, n // 100) :].sum()) / total if total > 0 else float("nan")
    out.append(
        Finding(
            "largest 1% of weights",
            top,
            graded(top, 0.25, 0.6),
            f"hold {top:.0%} of all weight; the largest is {weight.max():.1f}",
        )
    )
    out.append(mean_weight(weight, clusters))
    return out


def mean_weight(weight: Array, clusters: Clusters) -> Finding:
    """Return whether weights average 1, as they must when propensities are right and the log covers the candidate."""
    found = Estimate("weight", weight)
    error = standard_error(found, clusters)
    z = (found.value - 1.0) / error if error > 0 else float(np.copysign(np.inf, found.value - 1.0))
    z = 0.0 if abs(found.value - 1.0) < 1e-4 else z  # the logger judged by its own log: float32 is all there is
    verdict = by_p(two_sided(float(z)))
    if abs(found.value - 1.0) < 0.02:
        verdict = min(verdict, Verdict.CAUTION)
    text = f"weights average {found.value:.3f} +- {error:.3f}, z = {z:+.1f}; they must average 1"
    return Finding(
        "mean weight",
        found.value,
        verdict,
        text
        + ("" if verdict is Verdict.TRUST else ": propensities are wrong, or the log does not cover the candidate"),
    )
