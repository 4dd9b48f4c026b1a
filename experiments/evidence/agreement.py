"""Agreement: whether estimators that rest on different assumptions say the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .estimate import Estimate
from .finding import Finding, Verdict, by_p, two_sided
from .intervals import Clusters, standard_error


def spread(estimates: Sequence[Estimate], clusters: Clusters | None = None) -> Finding:
    """Return the largest difference between two estimators, in standard errors of that difference.

    Differences are judged by the two influence functions together, so what both share cancels.
    """
    finite = [e for e in estimates if np.isfinite(e.value)]
    worst, pair, pairs = 0.0, ("", ""), 0
    for i, one in enumerate(finite):
        for other in finite[i + 1 :]:
            psi = one.influence - other.influence
            parts = psi if clusters is None else np.bincount(clusters.index, psi, clusters.number)
            number = len(parts)
            error = np.sqrt(number / max(number - 1.0, 1.0) * np.dot(parts, parts)) / len(psi)
            gap = one.value - other.value
            # Two that differ by a thousandth of their own error are one: the logger judged by its own log.
            if not error > max(1e-12, 1e-3 * standard_error(one, clusters)):
                continue
            pairs += 1
            if abs(gap / error) > abs(worst):
                worst, pair = float(gap / error), (one.name, other.name)
    p = two_sided(worst, max(pairs, 1))
    lost = [e.name for e in estimates if not np.isfinite(e.value)]
    verdict = by_p(p, 0.01, 1e-6)
    text = (
        f"{' and '.join(pair)} differ by {worst:+.1f} standard errors, p = {p:.2g}" if pairs else "nothing to compare"
    )
    if lost:
        verdict, text = max(verdict, Verdict.CAUTION), text + f"; no value from {', '.join(lost)}"
    return Finding("spread between estimators", worst, verdict, text)


def beside(model: Estimate, weighted: Estimate, clusters: Clusters | None = None) -> str:
    """Return a note on an estimate that rests on a model: by how much it differs from one that weights correct.

    Its interval knows nothing of the model's own bias. It does not spoil the corrected ones, so it gives no verdict.
    """
    if not np.isfinite(weighted.value):
        return "rests on a model, with nothing to compare it to"
    found = spread([weighted, model], clusters)
    if found.verdict is Verdict.TRUST:
        return f"rests on a model; agrees with {weighted.name}"
    return f"rests on a model, and off: {weighted.name} differs by {found.value:+.1f} standard errors"
