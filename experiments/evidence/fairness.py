"""Fairness: what a candidate would mean for each group of learners; small groups get no number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .episodes import Episodes
from .estimate import Estimate, contrast, difference
from .intervals import Bounds, Clusters, interval
from .sequential import weighted_doubly_robust
from .weights import effective_size

LEAST = 30.0  # effective sessions, and independent clusters, below which a group gets no number


@dataclass(frozen=True)
class Group:
    """What the log says of one group of learners; None where the evidence does not suffice."""

    name: str
    sessions: int
    clusters: int
    logged: Bounds | None  # the mean of those who were logged
    value: Bounds | None  # under the candidate
    gain: Bounds | None  # candidate over the incumbent; over what was logged where no incumbent is named


def by_group(
    names: NDArray[np.str_],
    over: Episodes,
    units: Clusters,
    confidence: float = 0.95,
    least: float = LEAST,
    incumbent: Episodes | None = None,
) -> list[Group]:
    """Return one row per group of sessions, by name (S,); intervals are clustered by `units`.

    A group gets a number only with `least` independent clusters, and one under the candidate only where its weighted
    sessions count as so many, too. `incumbent` are the same sessions with another policy's weights.
    """
    out = []
    for name in np.unique(names):
        mine = names == name
        part, inside = over.take(mine), Clusters.of(units.index[mine])
        n = int(mine.sum())
        if inside.number < least:
            out.append(Group(str(name), n, inside.number, None, None, None))
            continue
        logged = interval(Estimate("log", part.gain), inside, confidence)
        rival = None if incumbent is None else incumbent.take(mine)
        if any(effective_size(one.rho[:, -1]) < least for one in (part, rival) if one is not None):
            out.append(Group(str(name), n, inside.number, logged, None, None))
            continue
        found = weighted_doubly_robust(part)
        gained = difference("gain", found, part.gain)
        if rival is not None:
            gained = contrast("gain", found, weighted_doubly_robust(rival))
        both = (found, gained)
        value, gain = (interval(estimate, inside, confidence) for estimate in both)
        out.append(Group(str(name), n, inside.number, logged, value, gain))
    return out
