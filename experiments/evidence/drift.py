"""Drift: whether early and late sessions of a log tell the same story."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .estimate import Array, Index
from .finding import Finding, Verdict, by_p

PARTS = 10


def drift(name: str, value: Array, order: Array, clusters: Index | None = None) -> Finding:
    """Return whether the sessions' `value` (S,) differs between tenths of the log in `order` (S,) of their start.

    The largest t of a tenth against all others, by Bonferroni; with `clusters` (S,) a cluster's mean is one value.
    """
    if clusters is not None:
        count = np.bincount(clusters)
        value, order = np.bincount(clusters, value) / count, np.bincount(clusters, order) / count
    parts = min(PARTS, len(value) // 10)
    if parts < 2:
        return Finding(f"drift of {name}", float("nan"), Verdict.TRUST, "too few sessions to tell early from late")
    rank = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    part = rank * parts // len(value)
    worst, p = 0.0, 1.0
    place = 0
    for i in range(parts):
        mine, rest = value[part == i], value[part != i]
        spread = np.sqrt(mine.var(ddof=1) / len(mine) + rest.var(ddof=1) / len(rest))
        gap = mine.mean() - rest.mean()
        t = gap / spread if spread > 0 else (0.0 if gap == 0 else np.inf)
        chance = min(1.0, parts * 2.0 * float(stats.t.sf(abs(t), len(mine) - 1)))
        if chance < p:
            worst, p, place = float(t), chance, i
    text = f"no tenth of the log stands out (p = {p:.2g})"
    if p < 1e-3:
        text = f"part {place + 1} of {parts} of the log differs, t = {worst:+.1f}, p = {p:.2g}: what changed then?"
    return Finding(f"drift of {name}", worst, by_p(p), text)
