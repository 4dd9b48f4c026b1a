"""The catalogue: which activities may be recommended, and the skills that they practise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import catalog_check, catalog_rows
from .errors import DataError
from .files import SCHEMA, Rows, existing, find, json_rows, read_json, read_rows, suffix, write_whole

KINDS = ("csv", "tsv", "json", "parquet")
LOOKED_FOR = "a catalogue: one JSON file, an activities table, or a folder with activities.csv and skills.csv"


@dataclass(frozen=True)
class Skill:
    """One thing to be learnt. `prerequisites`: skill ids; `roles`: who needs it, empty = every role."""

    id: str
    title: str = ""
    prerequisites: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.id)


@dataclass(frozen=True)
class Activity:
    """One thing to do. `roles`: who is offered it, empty = all; `prerequisites`: ids of activities to do before.

    `deadline`: days after enrolment by which it is due; None = never.
    """

    id: str
    title: str
    kind: str
    skills: tuple[str, ...]
    minutes: float
    roles: tuple[str, ...] = ()
    prerequisites: tuple[str, ...] = ()
    fallback: bool = False
    mandatory: bool = False
    deadline: float | None = None

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.id)


@dataclass(frozen=True)
class Catalog:
    """Skills (K) and activities (A), checked: every name is known and unique, prerequisites are without cycles.

    Raises: DataError for a fault, naming the place and the way out.
    """

    skills: tuple[Skill, ...]
    activities: tuple[Activity, ...]

    def __post_init__(self) -> None:
        catalog_check.check(self.skills, self.activities, catalog_check.in_memory)

    @classmethod
    def load(cls, path: str | Path) -> Catalog:
        """Reads a JSON file, an activities table with the skills table beside it, or a folder that holds both.

        Tables are .csv, .tsv, .json or .parquet, also .gz; list cells of text tables are separated by `|`. Without a
        skills table the skills are those that the activities name, without prerequisites.
        Raises: DataError for a missing or faulty file, naming file, row and key.
        """
        path = existing(path, LOOKED_FOR)
        if path.is_dir():
            activities = find(path, ["activities"], KINDS)
            if activities is None:
                whole = find(path, ["catalog"], ["json"])
                if whole is None:
                    fix = "Put activities.csv (id, skills, minutes) there, or catalog.json."
                    raise DataError("holds no activities table", str(path), fix=fix)
                return cls.load(whole)
            return cls._from_tables(activities, find(path, ["skills"], KINDS))
        if suffix(path) == ".json":
            data = read_json(path)
            if isinstance(data, dict) and "skills" in data:
                return cls.from_dict(data, path.name)
        return cls._from_tables(path, find(path.parent, ["skills"], KINDS))

    @classmethod
    def _from_tables(cls, activities: Path, skills: Path | None) -> Catalog:
        rows = read_rows(activities, "activities")
        if skills is None:
            return cls._from_rows(rows, activities.name, None, "")
        return cls._from_rows(rows, activities.name, read_rows(skills, "skills"), skills.name)

    @classmethod
    def from_dict(cls, data: Any, file: str = "catalogue") -> Catalog:
        """The inverse of `to_dict`; `file` names the origin in errors. Raises: DataError for a fault."""
        named = isinstance(data, dict) and "skills" in data
        skills = json_rows(data, file, "skills") if named else None
        return cls._from_rows(json_rows(data, file, "activities"), file, skills, file)

    @classmethod
    def _from_rows(cls, activity_rows: Rows, file: str, skill_rows: Rows | None, skills_file: str) -> Catalog:
        activities = tuple(Activity(**row) for row in catalog_rows.activities(activity_rows, file))
        if skill_rows is None:
            skills = tuple(map(Skill, dict.fromkeys(skill for activity in activities for skill in activity.skills)))
        else:
            skills = tuple(Skill(**row) for row in catalog_rows.skills(skill_rows, skills_file))
        at = {"skills": [row for row, _ in skill_rows or ()], "activities": [row for row, _ in activity_rows]}
        files = {"skills": skills_file or file, "activities": file}
        catalog_check.check(skills, activities, lambda table, i: (files[table], at[table][i]))
        return cls(skills, activities)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values with `"schema": 1`."""
        tables = {"skills": list(map(_plain, self.skills)), "activities": list(map(_plain, self.activities))}
        return {"schema": SCHEMA, **tables}

    def save(self, path: str | Path) -> None:
        """Writes one JSON file, a skill or an activity per line, in one step."""
        tables = self.to_dict()
        lines = {name: ",\n  ".join(_json(row) for row in tables[name]) for name in ("skills", "activities")}
        text = ",\n ".join(f'"{name}": [\n  {rows}\n ]' for name, rows in lines.items())
        text = f'{{"schema": {SCHEMA},\n {text}}}\n'
        write_whole(Path(path).expanduser(), lambda draft: draft.write_bytes(text.encode()))

    def digest(self) -> str:
        """sha256 of the canonical JSON, in hex: the same content gives the same digest, whatever file it came from."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def skill_ids(self) -> tuple[str, ...]:
        """Skill ids in the order of the K axis."""
        return tuple(skill.id for skill in self.skills)

    @cached_property
    def activity_ids(self) -> tuple[str, ...]:
        """Activity ids in the order of the A axis."""
        return tuple(activity.id for activity in self.activities)

    @cached_property
    def skill_index(self) -> dict[str, int]:
        """Skill id -> position on the K axis."""
        return {name: i for i, name in enumerate(self.skill_ids)}

    @cached_property
    def activity_index(self) -> dict[str, int]:
        """Activity id -> position on the A axis."""
        return {name: i for i, name in enumerate(self.activity_ids)}

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """All role names, sorted, in the order of the R axis; ("learner",) when the catalogue names none."""
        lists = [skill.roles for skill in self.skills] + [activity.roles for activity in self.activities]
        named = {role for roles in lists for role in roles}
        return tuple(sorted(named)) or ("learner",)

    @cached_property
    def fallback(self) -> int:
        """Position of the activity that is safe when nothing else is allowed.

        The one marked `fallback`; else the first for everybody with no prerequisites, whose skills have none either;
        else the first with no prerequisites.
        """
        rooted = {skill.id for skill in self.skills if not skill.prerequisites}

        def rank(activity: Activity) -> tuple[bool, bool, bool, bool]:
            waits = not rooted.issuperset(activity.skills)
            return (not activity.fallback, bool(activity.prerequisites), bool(activity.roles), waits)

        return min(range(len(self.activities)), key=lambda i: rank(self.activities[i]))

    def q_matrix(self) -> NDArray[np.bool_]:
        """(A, K): activity a practises skill k."""
        return _membership([activity.skills for activity in self.activities], self.skill_index)

    def minutes(self) -> NDArray[np.float32]:
        """(A,): expected minutes of each activity."""
        return np.array([activity.minutes for activity in self.activities], dtype=np.float32)

    def mandatory(self) -> NDArray[np.bool_]:
        """(A,): the activity has to be done by everybody to whom it is offered."""
        return np.array([activity.mandatory for activity in self.activities], dtype=np.bool_)

    def deadlines(self) -> NDArray[np.float32]:
        """(A,): days after enrolment by which each activity is due; inf = never."""
        due = [np.inf if activity.deadline is None else activity.deadline for activity in self.activities]
        return np.array(due, dtype=np.float32)

    def skill_prerequisites(self) -> NDArray[np.bool_]:
        """(K, K): [k, p] = skill p must come before skill k."""
        return _membership([skill.prerequisites for skill in self.skills], self.skill_index)

    def activity_prerequisites(self) -> NDArray[np.bool_]:
        """(A, A): [a, b] = activity b must be done before activity a; A * A bytes, so mind large catalogues."""
        return _membership([activity.prerequisites for activity in self.activities], self.activity_index)

    def offered(self) -> NDArray[np.bool_]:
        """(R, A): activity a is offered to role r."""
        return self._by_role([activity.roles for activity in self.activities])

    def goals(self) -> NDArray[np.bool_]:
        """(R, K): role r needs skill k."""
        return self._by_role([skill.roles for skill in self.skills])

    def _by_role(self, roles: Sequence[tuple[str, ...]]) -> NDArray[np.bool_]:
        index = {role: i for i, role in enumerate(self.roles)}
        return np.ascontiguousarray(_membership([own or self.roles for own in roles], index).T)


def _membership(sets: Sequence[tuple[str, ...]], index: dict[str, int]) -> NDArray[np.bool_]:
    member = np.zeros((len(sets), len(index)), dtype=np.bool_)
    rows = np.repeat(np.arange(len(sets)), [len(names) for names in sets])
    member[rows, [index[name] for names in sets for name in names]] = True
    return member


def _plain(entry: Skill | Activity) -> dict[str, Any]:
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(entry).items()}
    return {name: value for name, value in said.items() if value is not None}


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)
