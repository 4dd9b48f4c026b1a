"""Catalogue tables: from raw rows to the typed fields of skills and activities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from .cells import as_bool, as_list, as_number, as_text
from .errors import DataError, did_you_mean, require_columns
from .files import Rows

SKILL_COLUMNS = ("id", "title", "prerequisites", "roles")
ACTIVITY_COLUMNS = (
    *("id", "title", "kind", "skills", "minutes", "roles", "prerequisites", "fallback", "mandatory", "deadline"),
)


def skills(rows: Rows, file: str) -> list[dict[str, Any]]:
    """The constructor fields of each skill. Raises: DataError for a missing or misspelt column."""
    _columns(rows, file, required=("id",), known=SKILL_COLUMNS)
    return [
        {
            "id": as_text(row.get("id")),
            "title": as_text(row.get("title")),
            "prerequisites": as_list(row.get("prerequisites")),
            "roles": as_list(row.get("roles")),
        }
        for _, row in rows
    ]


def activities(rows: Rows, file: str) -> list[dict[str, Any]]:
    """The constructor fields of each activity. Raises: DataError for a bad column, number of minutes or truth value."""
    if not rows:
        raise DataError("holds no activity", file, fix="Add at least one row with id, skills and minutes.")
    _columns(rows, file, required=("id", "skills", "minutes"), known=ACTIVITY_COLUMNS)
    minutes = _typed(rows, file, "minutes", as_number, "is not a number of minutes", "Write a number such as 12.5.")
    deadlines = _typed(rows, file, "deadline", _or_none, "is not a number of days", "Write 30, or leave it empty.")
    flags = {
        key: _typed(rows, file, key, as_bool, "is not a truth value", "Write true or false, or leave it empty.")
        for key in ("fallback", "mandatory")
    }
    return [
        {
            "id": as_text(row.get("id")),
            "title": as_text(row.get("title")),
            "kind": as_text(row.get("kind")) or "practice",
            "skills": as_list(row.get("skills")),
            "minutes": minutes[i],
            "roles": as_list(row.get("roles")),
            "prerequisites": as_list(row.get("prerequisites")),
            "fallback": flags["fallback"][i],
            "mandatory": flags["mandatory"][i],
            "deadline": None if deadlines[i] == "" else deadlines[i],
        }
        for i, (_, row) in enumerate(rows)
    ]


def _or_none(cell: Any) -> float | str | None:
    """A number, "" for an empty cell."""
    return "" if as_text(cell) == "" else as_number(cell)


def _columns(rows: Rows, file: str, required: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not rows:
        return
    present: Mapping[str, None] = dict.fromkeys(key for _, row in rows for key in row)
    require_columns(required, present, file)
    spare = [name for name in present if name not in known]
    absent = [name for name in known if name not in present]
    # A misspelt optional column would silently lose what it says, prerequisites for example.
    misspelt = [name for name in spare if did_you_mean(name.lower(), absent, cutoff=0.8)]
    if misspelt:
        raise DataError.several(
            misspelt,
            lambda name: DataError(
                "unknown column", file, key=name, fix=f"{did_you_mean(name.lower(), absent)}Rename or remove it."
            ),
        )


def _typed(rows: Rows, file: str, key: str, read: Callable[[Any], Any], problem: str, fix: str) -> list[Any]:
    values = [read(row.get(key)) for _, row in rows]
    bad = [i for i, value in enumerate(values) if value is None or (isinstance(value, float) and math.isnan(value))]
    if bad:
        raise DataError.several(
            bad, lambda i: DataError(f"'{as_text(rows[i][1].get(key))}' {problem}", file, rows[i][0], key, fix)
        )
    return values
