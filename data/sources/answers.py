"""One answer told in several rows, a row per skill, made one row again.

Public logs often repeat an answer once for each skill of its problem, always with the same label. Who has seen the
first row then knows the second: in ASSISTments 2009 that lifts a model's AUC on coin-flip labels from .50 to .64.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

JOIN = "+"


def merge(
    repeats: NDArray[np.bool_], skill: NDArray[np.object_]
) -> tuple[NDArray[np.int64], NDArray[np.object_], dict[str, tuple[str, ...]]]:
    """Which rows to keep, the name of each kept row's skill set, and the skills behind each name.

    repeats: (N,) the row tells the same answer as the row before it; skill: (N,) ids.
    A set of several skills is named after them, in natural order, joined by `+`.
    """
    kept = np.flatnonzero(~repeats)
    names = skill[kept]
    ends = np.append(kept[1:], len(skill))
    for i in np.flatnonzero(ends - kept > 1):
        names[i] = JOIN.join(natural(set(skill[kept[i] : ends[i]])))
    return kept, names, {name: tuple(name.split(JOIN)) for name in natural(set(names))}


def natural(names: Iterable[str]) -> list[str]:
    """Sorted so that 9 comes before 10: by length, then by letter."""
    return sorted(names, key=lambda name: (len(name), name))
