"""Between: all that learners did between the decisions of a log, event by event."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .errors import DataError

TIME_ONLY = "-"  # stands in the column `since` for an event without an activity
LISTED = ("since_correct", "since_minutes", "since_accepted", "since_days")


class Between(NamedTuple):
    """M events; those before decision i, since the decision before it, are `start[i]:start[i + 1]`, in order."""

    start: NDArray[np.int64]  # (N + 1,)
    activity: NDArray[np.int64]  # (M,) -1 = only time passed
    correct: NDArray[np.float64]  # (M,)
    minutes: NDArray[np.float64]  # (M,)
    accepted: NDArray[np.bool_]  # (M,)
    days: NDArray[np.float64]  # (M,) since what happened before; they pass first

    @staticmethod
    def of(frame: pd.DataFrame, codes: Callable[[NDArray[np.object_]], NDArray[np.int64]], file: str) -> Between:
        """Reads `since` and its companions. Raises: DataError when one is missing, has no numbers or another length."""
        start, names = pieces(frame["since"])
        columns: list[NDArray[np.float64]] = []
        for key in LISTED:
            if key not in frame:
                raise DataError(f"no column '{key}', which belongs to 'since'", file, fix="Add it.")
            offsets, entries = pieces(frame[key])
            if (offsets != start).any():
                row = int(np.argmax(np.diff(offsets) != np.diff(start)))
                raise DataError("is not as long as 'since'", file, f"decision {row + 1}", key, "Give one for each.")
            numbers = pd.to_numeric(pd.Series(entries, dtype=object), errors="coerce").to_numpy(np.float64)
            if not np.isfinite(numbers).all():
                row = int(np.searchsorted(start, np.argmax(~np.isfinite(numbers)), side="right"))
                raise DataError("holds what is no number", file, f"decision {row}", key, "Correct the row.")
            columns.append(numbers)
        correct, minutes, accepted, days = columns
        return Between(start, codes(names), correct, minutes, accepted > 0.5, days)


def pieces(column: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Return row offsets (N + 1,) and the entries of a list column, or of a text column with `|` between entries."""
    array = pa.array(column, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not pa.types.is_list(array.type) and not pa.types.is_large_list(array.type):
        text = pc.fill_null(array.cast(pa.string()), "")
        split = pc.split_pattern(text, "|")
        count = np.where(np.asarray(pc.equal(text, "")), 0, np.asarray(pc.list_value_length(split)))
        entries = np.asarray(pc.list_flatten(pc.filter(split, pc.not_equal(text, ""))).to_numpy(zero_copy_only=False))
    else:
        count = np.asarray(pc.fill_null(pc.list_value_length(array), 0))
        entries = np.asarray(pc.list_flatten(array).to_numpy(zero_copy_only=False))
    return np.concatenate([[0], np.cumsum(count)]).astype(np.int64), entries.astype(object)
