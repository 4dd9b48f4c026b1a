"""The one error that a bad catalogue or a bad log raises."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
SHOWN = 5


class DataError(ValueError):
    """A fault in somebody's data, told so that they can mend it.

    `row` is the line of a text file as an editor shows it (the header is line 1), or the path of a JSON element
    such as `activities[3]`, or the `record 4` of a Parquet file.
    """

    def __init__(
        self, problem: str, file: str = "", row: int | str | None = None, key: str = "", fix: str = ""
    ) -> None:
        self.problem, self.file, self.row, self.key, self.fix = problem, file, row, key, fix
        in_lines = isinstance(row, int)
        place = [file] if file else []
        if row is not None:
            place.append(f"row {row}" if in_lines else str(row))
        if key:
            place.append(f"{'column' if in_lines or row is None else 'key'} '{key}'")
        sentence = problem if problem.endswith((".", "?", "!")) else f"{problem}."
        super().__init__((", ".join(place) + ": " if place else "") + sentence + (f" {fix}" if fix else ""))

    @classmethod
    def several(cls, bad: Sequence[T], explain: Callable[[T], DataError]) -> DataError:
        """One error for all cases of one kind: the first five in full, with the total count.

        Raises: IndexError when `bad` is empty.
        """
        first = explain(bad[0])
        if len(bad) == 1:
            return first
        lines = [str(first), *(str(explain(case)) for case in bad[1:SHOWN])]
        told = f"the first {SHOWN}" if len(bad) > SHOWN else "all"
        error = cls(f"{len(bad)} problems of one kind, {told}:\n  " + "\n  ".join(lines))
        error.problem, error.file, error.row, error.key, error.fix = (
            first.problem,
            first.file,
            first.row,
            first.key,
            first.fix,
        )
        return error


def did_you_mean(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """A sentence that offers the nearest right name, or an empty one when none is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f"Did you mean '{near[0]}'? " if near else ""


def require_columns(needed: Iterable[str], found: Iterable[object], file: str, fix: str = "") -> None:
    """Raises DataError when a needed column is not among the found ones, with the nearest name that is there."""
    needed, names = tuple(needed), [str(name) for name in found]
    missing = [name for name in needed if name not in names]
    spare = [name for name in names if name not in needed]
    if missing:
        rest = f"Found: {', '.join(names)}." + (f" {fix}" if fix else "")
        raise DataError.several(
            missing, lambda name: DataError("missing column", file, key=name, fix=did_you_mean(name, spare) + rest)
        )
