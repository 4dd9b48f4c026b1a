"""Calibration: whether logged propensities are the frequencies with which things were chosen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .estimate import Array, Index
from .finding import Finding, Verdict, by_p, two_sided

EDGES = np.array([0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99])


def propensity_findings(
    action: Index,
    propensity: Array,
    behaviour: Array | None,
    allowed: NDArray[np.bool_] | None,
    override: NDArray[np.bool_],
) -> list[Finding]:
    """Return whether choices came as often as the log says, by probability, by activity and in the sum.

    Each row is a draw given the past, so the sums below are martingales and their variances exact. Where a person chose
    (`override`) there was no draw.
    """
    drawn = ~override
    out = []
    if behaviour is not None:
        total = behaviour.sum(1)
        off = float(np.abs(total - 1.0).max())
        verdict = Verdict.TRUST if off < 1e-3 else Verdict.DO_NOT
        out.append(Finding("probabilities sum to 1", off, verdict, f"the largest departure of a row is {off:.2g}"))
        said = np.take_along_axis(behaviour, action[:, None], 1)[:, 0]
        apart = float((np.abs(said - propensity)[drawn] > 1e-3).mean()) if drawn.any() else 0.0
        verdict = Verdict.TRUST if apart == 0 else Verdict.CAUTION if apart < 0.001 else Verdict.DO_NOT
        text = f"{apart:.1%} of the propensities are not the probability listed for the chosen activity"
        out.append(Finding("propensity as listed", apart, verdict, text))
        out += _listed(action[drawn], behaviour[drawn])
    elif allowed is not None and drawn.any():
        # Without all probabilities: 1 / p averages the number of choices, when each of them could be chosen.
        excess = 1.0 / propensity[drawn] / allowed[drawn].sum(1) - 1.0
        error = excess.std(ddof=1) / np.sqrt(len(excess)) if len(excess) > 1 else np.inf
        z = float(excess.mean() / error) if error > 0 else 0.0
        text = f"1 / propensity averages {1 + excess.mean():.3f} times the number of choices, z = {z:+.1f}"
        out.append(Finding("propensity calibration", z, min(by_p(two_sided(z)), Verdict.CAUTION), text))
    return out


def _listed(action: Index, behaviour: Array) -> list[Finding]:
    n, a = behaviour.shape
    came = np.bincount(action, minlength=a) - behaviour.sum(0)
    some = (behaviour * (1.0 - behaviour)).sum(0) > 5.0
    # What one activity is chosen too often another is too seldom: the whole covariance counts, over its rank.
    shares = behaviour[:, some]
    size, axes = np.linalg.eigh(np.diag(shares.sum(0)) - shares.T @ shares)
    real = size > 1e-9 * max(float(size.max(initial=0.0)), 1.0)
    score = float(((axes.T @ came[some])[real] ** 2 / size[real]).sum())
    p = float(stats.chi2.sf(score, int(real.sum()))) if real.any() else 1.0
    text = f"chi-square {score:.1f} over {int(some.sum())} activities ({int(real.sum())} free), p = {p:.2g}"
    out = [Finding("activities as often as said", score, by_p(p), text)]
    bins = np.searchsorted(EDGES, behaviour, side="right") - 1
    hit = np.bincount(bins[np.arange(n), action], minlength=len(EDGES))
    z = np.full(len(EDGES), np.nan)
    for b in range(len(EDGES)):
        share = np.where(bins == b, behaviour, 0.0).sum(1)
        spread = float((share * (1.0 - share)).sum())
        if spread > 5.0:
            z[b] = (hit[b] - share.sum()) / np.sqrt(spread)
    found = int(np.isfinite(z).sum())
    if found:
        worst = int(np.nanargmax(np.abs(z)))
        p = two_sided(float(z[worst]), found)
        text = f"worst among probabilities from {EDGES[worst]:g}: z = {z[worst]:+.1f}, p = {p:.2g}"
        out.append(Finding("propensity calibration", float(z[worst]), by_p(p), text))
    return out
