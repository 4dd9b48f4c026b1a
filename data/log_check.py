"""What makes a log sound: columns, ids, scores, times, propensities, published splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .catalog import Catalog
from .errors import DataError, did_you_mean, require_columns
from .files import suffix

REQUIRED = ("learner", "activity", "correct")
NUMBERS = ("correct", "timestamp", "minutes", "propensity")
TEXT = ("learner", "activity", "role", "split")
COLUMNS = ("learner", "activity", "correct", "timestamp", "minutes", "propensity", "role", "split")
PARTS = ("train", "valid", "test")


def checked(
    frame: pd.DataFrame, catalog: Catalog, file: str, drop_repeats: bool
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The sorted frame with typed columns, and notes on what was dropped.

    Raises: DataError for the first kind of fault found.
    """
    file = Path(file).name
    notes = _columns(frame, file)
    if frame.empty:
        raise DataError("holds no rows", file, fix="Give at least one interaction.")
    text = {name: _text(frame[name]) for name in TEXT if name in frame}
    numbered = frame.index.nlevels == 1 and pd.api.types.is_integer_dtype(frame.index.dtype)
    fault = _Faults(file, frame.index.to_numpy() if numbered else np.arange(len(frame)))
    numbers = {name: _numbers(frame, name, fault) for name in NUMBERS}
    learner_codes, learners = _codes(text["learner"])
    activity_codes, activities = _codes(text["activity"])
    rule = "Give the id."
    fault.named(learner_codes, learners, "learner", lambda name: not name, lambda name: "empty learner id", rule)
    known = catalog.activity_index
    fault.named(
        activity_codes,
        activities,
        "activity",
        lambda name: name not in known,
        lambda name: f"unknown activity '{name}'",
        "Add it to the catalogue or correct the row.",
        known,
    )
    _scores(numbers, fault)
    _roles(text, catalog, fault)
    _split(text, learner_codes, learners, fault)
    order = np.lexsort((numbers["timestamp"], learner_codes))
    notes += _order(learner_codes[order], fault.index[order]) + _shares(numbers["correct"])
    clean = pd.DataFrame({name: (text | numbers)[name] for name in COLUMNS if name in text or name in numbers})
    repeat = _repeats(learner_codes, activity_codes, numbers) if drop_repeats else np.zeros(len(frame), dtype=np.bool_)
    if repeat.any():
        notes += (f"dropped {int(repeat.sum())} exact repeats (same learner, activity, timestamp and correct)",)
        order = order[~repeat[order]]
    return clean.iloc[order].reset_index(drop=True), notes


def _order(learner: NDArray[np.int64], place: NDArray[np.int64]) -> tuple[str, ...]:
    """What to say of sorted rows that stood in the file, at `place`, after one that they now precede."""
    back = int(((np.diff(place) < 0) & (np.diff(learner) == 0)).sum())
    return (f"sorted by time: {back} times a row stood before an earlier one of the same learner",) if back else ()


def _shares(correct: NDArray[np.float64]) -> tuple[str, ...]:
    between = int(((correct > 0) & (correct < 1)).sum())
    said = f"{between} scores lie between 0 and 1: partly right; where only right or wrong will do, half is right"
    return (said,) if between else ()


def _repeats(
    learner: NDArray[np.int64], activity: NDArray[np.int64], numbers: dict[str, NDArray[np.float64]]
) -> NDArray[np.bool_]:
    timestamp, correct = numbers["timestamp"], numbers["correct"]
    rows = pd.DataFrame({"learner": learner, "activity": activity, "timestamp": timestamp, "correct": correct})
    # Timestamp 0 knows only the order: there a repeat cannot be told from a second attempt.
    return rows.duplicated().to_numpy(np.bool_) & (timestamp > 0)


class _Faults:
    """Raises DataError for the rows of a mask; the index of a row tells its place in the file."""

    def __init__(self, file: str, index: NDArray[np.int64]) -> None:
        self.file, self.index = file, index

    def at(self, i: int) -> int | str:
        position = int(self.index[i])
        return position + 2 if suffix(Path(self.file)) in (".csv", ".tsv", ".txt") else f"record {position + 1}"

    def rows(self, bad: NDArray[np.bool_], key: str, problem: Callable[[int], str], fix: Callable[[int], str]) -> None:
        if bad.any():
            cases = np.flatnonzero(bad)
            raise DataError.several(
                cases.tolist(), lambda i: DataError(problem(int(i)), self.file, self.at(int(i)), key, fix(int(i)))
            )

    def named(
        self,
        codes: NDArray[np.int64],
        names: Sequence[str],
        key: str,
        is_bad: Callable[[str], bool],
        problem: Callable[[str], str],
        fix: str,
        near: Sequence[str] | dict[str, int] = (),
    ) -> None:
        bad = np.array([is_bad(name) for name in names], dtype=np.bool_)[codes]
        self.rows(bad, key, lambda i: problem(names[codes[i]]), lambda i: did_you_mean(names[codes[i]], near) + fix)


def _columns(frame: pd.DataFrame, file: str) -> tuple[str, ...]:
    require_columns(REQUIRED, frame.columns, file, "Rename the column, or map it with source=table.")
    spare = [str(name) for name in frame.columns if name not in COLUMNS]
    absent = [name for name in COLUMNS if name not in frame]
    ignored = ", ".join(f"'{name}' {did_you_mean(name, absent)}".strip() for name in spare)
    notes = (f"ignored columns: {ignored}",) if ignored else ()
    return notes if "timestamp" in frame else (*notes, "no timestamps: the order of the rows is taken as time")


def _codes(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    codes, names = pd.factorize(column)
    return codes.astype(np.int64), names.tolist()


def _text(column: pd.Series) -> pd.Series:
    text = column.astype("str") if column.dtype != "str" else column
    return text.where(column.notna(), "").str.strip().reset_index(drop=True)


def _numbers(frame: pd.DataFrame, name: str, fault: _Faults) -> NDArray[np.float64]:
    if name not in frame:
        return np.full(len(frame), 0.0 if name == "timestamp" else np.nan)
    column = frame[name]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    unreadable = np.isnan(numbers)
    if unreadable.any():
        cells = column[unreadable]
        unreadable[unreadable] = cells.notna() & (cells.astype("str").str.strip() != "")
        fault.rows(unreadable, name, lambda i: f"'{column.iloc[i]}' is not a number", lambda i: "Correct the row.")
    return numbers


def _scores(numbers: dict[str, NDArray[np.float64]], fault: _Faults) -> None:
    correct, timestamp, minutes, propensity = (numbers[name] for name in NUMBERS)

    def refuse(key: str, good: NDArray[np.bool_], rule: str, fix: str) -> None:
        values = numbers[key]
        fault.rows(
            ~good, key, lambda i: "no value" if np.isnan(values[i]) else f"{values[i]:g} is not {rule}", lambda i: fix
        )

    refuse(
        "correct",
        (correct >= 0) & (correct <= 1),
        "a score from 0 to 1",
        "Write 0 for wrong, 1 for right, or a share between.",
    )
    refuse("timestamp", np.isfinite(timestamp), "a time", "Write seconds; 0 in all rows = order only.")
    unknown = "Leave it empty when unknown."
    refuse("minutes", np.isnan(minutes) | ((minutes >= 0) & np.isfinite(minutes)), "0 or more", unknown)
    share = np.isnan(propensity) | ((propensity > 0) & (propensity <= 1))
    refuse("propensity", share, "a probability above 0, at most 1", unknown)


def _roles(text: dict[str, pd.Series], catalog: Catalog, fault: _Faults) -> None:
    if "role" in text:
        codes, roles = _codes(text["role"])
        fault.named(
            codes,
            roles,
            "role",
            lambda role: role not in catalog.roles,
            lambda role: f"unknown role '{role}'",
            f"The catalogue knows {', '.join(catalog.roles)}.",
            catalog.roles,
        )


def _split(
    text: dict[str, pd.Series], learner_codes: NDArray[np.int64], learners: Sequence[str], fault: _Faults
) -> None:
    if "split" not in text:
        return
    codes, parts = _codes(text["split"])
    rule = "Write train, valid or test."
    fault.named(codes, parts, "split", lambda p: p not in PARTS, lambda p: f"unknown part '{p}'", rule, PARTS)
    first = np.zeros(len(learners), dtype=codes.dtype)
    first[learner_codes[::-1]] = codes[::-1]

    def problem(i: int) -> str:
        learner = learner_codes[i]
        return f"learner '{learners[learner]}' is in '{parts[first[learner]]}' and '{parts[codes[i]]}'"

    fault.rows(codes != first[learner_codes], "split", problem, lambda i: "Split by learner, never by row.")
