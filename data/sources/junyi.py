"""The exercise map of Junyi Academy (Chang, Hsu and Chen, EDM 2015): a catalogue without a log."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog import Activity, Catalog, Skill
from ..cells import as_number
from ..errors import DataError, require_columns
from ..files import existing, find, read_rows
from ..log import Log
from ..prerequisites import break_cycles
from .source import Source

TABLE = "junyi_Exercise_table"
PROBLEMS, UNKNOWN_SECONDS = 10, 6.0
COLUMNS = ("name", "prerequisites", "seconds_per_fast_problem")


@dataclass(frozen=True)
class Junyi(Source):
    """junyi_Exercise_table.csv: an exercise per row with the exercises that come before it.

    path: the table, gzipped or not, or the folder that holds it. Each exercise is an activity and the skill that it
    practises; the prerequisites are the skills'. Published for non-commercial use only.
    """

    path: str

    def load(self) -> tuple[Log, Catalog]:
        """Raises: DataError always, because the map comes without learners."""
        fix = "Use its catalogue with Junyi(path).load_catalog(), and your own log with source=table catalog=..."
        raise DataError("the exercise map holds no learner log", self.path, fix=fix)

    def load_catalog(self) -> tuple[Catalog, tuple[str, ...]]:
        """The catalogue, with notes on rows and edges that had to go: repeated rows, self-loops, cycles.

        Minutes are those of ten fast problems. Raises: DataError for a missing or faulty file.
        """
        path = existing(self.path, f"{TABLE}.csv or the folder that holds it")
        table = find(path, [TABLE], ["csv"]) if path.is_dir() else path
        if table is None:
            raise DataError("holds no exercise table", str(path), fix=f"Put {TABLE}.csv there.")
        rows = read_rows(table, "exercises")
        require_columns(COLUMNS, rows[0][1] if rows else (), table.name, "Use the table as published.")
        first: dict[str, dict[str, str]] = {}
        for _, row in rows:
            first.setdefault(row["name"], row)
        needs = {
            name: tuple(dict.fromkeys(filter(None, row["prerequisites"].split(",")))) for name, row in first.items()
        }
        clean, dropped = break_cycles(needs)
        notes = tuple(
            f"dropped the prerequisite {needed} of {name}: {'self-loop' if name == needed else 'it closes a cycle'}"
            for name, needed in dropped
        )
        if len(first) < len(rows):
            notes = (f"dropped {len(rows) - len(first)} repeated rows", *notes)
        return _catalog(first, clean), notes


def _catalog(rows: dict[str, dict[str, str]], needs: dict[str, tuple[str, ...]]) -> Catalog:
    titles = {name: (row.get("pretty_display_name") or name).strip() for name, row in rows.items()}
    return Catalog(
        skills=tuple(Skill(name, titles[name], needs[name]) for name in rows),
        activities=tuple(
            Activity(name, titles[name], "practice", (name,), _minutes(row["seconds_per_fast_problem"]))
            for name, row in rows.items()
        ),
    )


def _minutes(seconds_per_problem: str) -> float:
    return (as_number(seconds_per_problem) or UNKNOWN_SECONDS) * PROBLEMS / 60
