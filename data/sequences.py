"""A log as flat arrays, learner after learner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sequences:
    """A log as arrays, learner after learner: learner i owns the rows start[i]:start[i + 1], in time order.

    The row arrays may be memory-mapped files: index them, and take no copy of the whole.
    """

    learners: NDArray[np.str_]  # (L,)
    start: NDArray[np.int64]  # (L + 1,) row offsets
    activity: NDArray[np.int64]  # (N,) positions on the catalogue's A axis
    correct: NDArray[np.float32]  # (N,) scores in [0, 1]
    days: NDArray[np.float64]  # (N,) since the learner's own first event
    timed: bool  # False when the log knows only the order
