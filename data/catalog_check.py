"""What makes a catalogue sound: ids, references, cycles, minutes, one fallback."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .errors import DataError, did_you_mean
from .prerequisites import find_cycle

if TYPE_CHECKING:
    from .catalog import Activity, Skill

Place = Callable[[str, int], tuple[str, int | str]]


def in_memory(table: str, i: int) -> tuple[str, str]:
    """The place of an entry that was made in Python."""
    return "catalogue", f"{table}[{i}]"


def check(skills: Sequence[Skill], activities: Sequence[Activity], place: Place) -> None:
    """Raises DataError for the first kind of fault found; `place(table, i)` tells file and row of an entry."""
    if not activities:
        raise DataError("holds no activity", "catalogue", key="activities", fix="Add at least one.")

    def fault(table: str, i: int, key: str, problem: str, fix: str) -> DataError:
        file, row = place(table, i)
        return DataError(problem, file, row, key, fix)

    _ids("skills", skills, fault)
    _ids("activities", activities, fault)
    _activities(activities, fault)
    skill_ids = {skill.id: i for i, skill in enumerate(skills)}
    activity_ids = {activity.id: i for i, activity in enumerate(activities)}
    _references("activities", "skills", [a.skills for a in activities], "skill", skill_ids, fault)
    _references("skills", "prerequisites", [s.prerequisites for s in skills], "prerequisite", skill_ids, fault)
    first = [activity.prerequisites for activity in activities]
    _references("activities", "prerequisites", first, "prerequisite", activity_ids, fault)
    _cycles("skills", skills, fault)
    _cycles("activities", activities, fault)


Fault = Callable[[str, int, str, str, str], DataError]


def _ids(table: str, entries: Sequence[Skill | Activity], fault: Fault) -> None:
    empty = [i for i, entry in enumerate(entries) if not entry.id]
    if empty:
        raise DataError.several(empty, lambda i: fault(table, i, "id", "empty id", "Give every row an id."))
    odd = [i for i, e in enumerate(entries) if "|" in e.id or e.id != e.id.strip() or not e.id.isprintable()]
    if odd:
        fix = "Use printable characters, no '|' and no spaces at the ends."
        raise DataError.several(odd, lambda i: fault(table, i, "id", f"unusable id {entries[i].id!r}", fix))
    first: dict[str, int] = {}
    twice = [i for i, entry in enumerate(entries) if first.setdefault(entry.id, i) != i]
    if twice:
        fix = "Rename or remove one of the two."
        raise DataError.several(twice, lambda i: fault(table, i, "id", f"duplicate id '{entries[i].id}'", fix))


def _cycles(table: str, entries: Sequence[Skill | Activity], fault: Fault) -> None:
    cycle = find_cycle({entry.id: entry.prerequisites for entry in entries})
    if cycle:
        start = [entry.id for entry in entries].index(cycle[0])
        problem = f"cyclic prerequisites: {' -> '.join(cycle)}"
        raise fault(table, start, "prerequisites", problem, "Remove one of these prerequisites.")


def _activities(activities: Sequence[Activity], fault: Fault) -> None:
    bare = [i for i, activity in enumerate(activities) if not activity.skills]
    if bare:
        fix = "Name at least one skill that it practises."
        raise DataError.several(bare, lambda i: fault("activities", i, "skills", "activity with no skill", fix))
    bad = [i for i, activity in enumerate(activities) if not 0 <= activity.minutes < math.inf]
    if bad:

        def explain(i: int) -> DataError:
            rule = "is negative" if activities[i].minutes < 0 else "is not a finite number"
            fix = "Write the expected minutes, 0 or more."
            return fault("activities", i, "minutes", f"{activities[i].minutes:g} minutes {rule}", fix)

        raise DataError.several(bad, explain)
    late = [i for i, a in enumerate(activities) if a.deadline is not None and not 0 < a.deadline < math.inf]
    if late:
        fix = "Write days after enrolment, above 0, or leave it empty."
        raise DataError.several(
            late, lambda i: fault("activities", i, "deadline", f"{activities[i].deadline} days is no deadline", fix)
        )
    marked = [i for i, activity in enumerate(activities) if activity.fallback]
    if len(marked) > 1:
        names = ", ".join(f"'{activities[i].id}'" for i in marked[:5])
        problem = f"more than one fallback: {len(marked)} activities ({names})"
        raise fault("activities", marked[1], "fallback", problem, "Mark exactly one, or none.")


def _references(
    table: str, key: str, named: Sequence[tuple[str, ...]], noun: str, known: dict[str, int], fault: Fault
) -> None:
    bad = [(i, name) for i, names in enumerate(named) for name in names if name not in known]
    if bad:
        home = "skills" if noun == "skill" else table
        fix = f"Add it to the {home} table or correct the row."

        def explain(case: tuple[int, str]) -> DataError:
            i, name = case
            return fault(table, i, key, f"unknown {noun} '{name}'", did_you_mean(name, known) + fix)

        raise DataError.several(bad, explain)
