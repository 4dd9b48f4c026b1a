"""Anybody's log: one table with the columns named by its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..catalog import Catalog
from ..errors import DataError, did_you_mean
from ..files import MISSING, existing, read_frame
from ..log import Log
from .answers import JOIN, natural
from .minimal import minimal_catalog
from .source import Source
from .times import seconds

GLUE = "\x1f"


@dataclass(frozen=True)
class Table(Source):
    """CSV, TSV or Parquet, one row per interaction; each field names the column that holds it.

    path: the table, gzipped or not. catalog: the path of a catalogue; without one it is made from the skill column.
    A missing `activity` column (under that very name) makes the skill the activity. A skill cell may hold several
    skills, divided by any character of `separators`. `timestamp` holds numbers in `timestamp_unit` or dates; `order`
    names a column that only sorts, such as ASSISTments' order_id, and is used in place of times. `timestamp` under
    that very name may be missing too: then the order of the rows counts.
    Rows without skill or score are dropped; rows that repeat an answer (learner, activity and time) under another
    skill are merged into one; both are counted in the log's notes.
    granularity: "skill" makes each set of skills an activity even where the log names finer ones.
    """

    path: str
    catalog: str | None = None
    learner: str = "learner"
    activity: str = "activity"
    skill: str = "skill"
    correct: str = "correct"
    timestamp: str = "timestamp"
    order: str | None = None
    minutes: str | None = None
    propensity: str | None = None
    role: str | None = None
    split: str | None = None
    timestamp_unit: Literal["s", "ms", "minutes", "hours", "days"] = "s"
    separators: str = "|,"
    granularity: Literal["activity", "skill"] = "activity"

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue. Raises: DataError for a missing or faulty file, naming file, row and key."""
        path = existing(self.path, "a table of interactions: .csv, .tsv, .parquet, or .gz of them")
        if self.granularity not in ("activity", "skill"):
            raise DataError(f"unknown granularity '{self.granularity}'", fix="Use activity or skill.")
        raw, encoding = read_frame(
            path,
            [name for name in (self.learner, self.activity, self.skill, self.role, self.split) if name],
            [name for name in (self.correct, self.minutes, self.propensity) if name],
        )
        notes = [] if encoding == "utf-8" else [f"{path.name} is not UTF-8, read as {encoding}"]
        frame = self._named(raw, path.name)
        needed = ["correct", "skill"] if self.catalog is None else ["correct"]
        frame, dropped = _complete(frame, needed)
        if dropped:
            notes.append(f"dropped {dropped} rows without {' or '.join(needed)}")
        if frame.empty:
            raise DataError(f"holds no row with {' and '.join(needed)}", path.name, fix="Fill these columns.")
        repeats = _repeats(frame, ordered=self.order is not None) if {"skill", "activity"} <= set(frame) else None
        frame, catalog = self._with_catalog(frame)
        if repeats is not None and repeats.any():
            notes.append(f"merged {int(repeats.sum())} rows that repeat an answer under another skill")
            frame = frame[~repeats]
        frame = frame.drop(columns=["skill", "time"], errors="ignore")
        exact = self.granularity == "activity"
        return Log.from_frame(frame, catalog, path.name, tuple(notes), drop_repeats=exact), catalog

    def _named(self, raw: pd.DataFrame, file: str) -> pd.DataFrame:
        """The mapped columns under Trailmark's names, sorted by `time`, which tells answers apart."""
        wanted = {
            "learner": self.learner,
            "activity": self.activity,
            "skill": self.skill,
            "correct": self.correct,
            "timestamp": None if self.order is not None else self.timestamp,
            "time": self.order,
            "minutes": self.minutes,
            "propensity": self.propensity,
            "role": self.role,
            "split": self.split,
        }
        used = {ours: theirs for ours, theirs in wanted.items() if theirs is not None}
        forgiven = {
            "timestamp": self.timestamp == "timestamp",
            "activity": self.activity == "activity" and self.skill in raw,
            "skill": self.skill == "skill" and self.catalog is not None and self.activity in raw,
        }
        missing = [ours for ours, theirs in used.items() if theirs not in raw and not forgiven.get(ours, False)]
        if missing:
            found = f"Found: {', '.join(map(str, raw.columns))}. "
            raise DataError.several(
                missing,
                lambda ours: DataError(
                    "missing column",
                    file,
                    key=used[ours],
                    fix=f"{did_you_mean(used[ours], map(str, raw.columns))}{found}Else say source.{ours}=NAME.",
                ),
            )
        frame = pd.DataFrame({ours: raw[theirs] for ours, theirs in used.items() if theirs in raw})
        for ours in ("learner", "activity"):
            if ours in frame:
                frame[ours] = frame[ours].astype("str").str.strip()
        if "skill" in frame:
            frame["skill"] = self._skill_sets(frame["skill"])
        if "timestamp" in frame:
            frame["timestamp"] = seconds(frame["timestamp"], file, self.timestamp, self.timestamp_unit)
            frame["time"] = frame["timestamp"]
        elif "time" in frame:
            numbers = pd.to_numeric(frame["time"], errors="coerce")
            frame["time"] = frame["time"] if numbers.isna().any() else numbers
        return frame.sort_values("time", kind="stable") if "time" in frame else frame

    def _skill_sets(self, cells: pd.Series) -> pd.Series:
        """Each cell's skills in one order, joined, so that equal sets have equal names; empty where there is none."""
        pattern = f"[{re.escape(self.separators)}]" if self.separators else r"(?!)"
        text = cells.astype("str").where(cells.notna(), "")
        sets = {
            cell: natural({part.strip() for part in re.split(pattern, cell)} - {"", *MISSING}) for cell in text.unique()
        }
        return text.map({cell: GLUE.join(skills) for cell, skills in sets.items()})

    def _with_catalog(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, Catalog]:
        """The frame with its activities, and the given catalogue or one made from the skills."""
        if self.catalog is not None:
            catalog = Catalog.load(self.catalog)
            return (frame if "activity" in frame else frame.assign(activity=frame["skill"])), catalog
        if "activity" not in frame:
            frame = frame.assign(activity=frame["skill"].str.replace(GLUE, JOIN, regex=False))
        skills_of: dict[str, set[str]] = {}
        for activity, cell in frame[["activity", "skill"]].drop_duplicates().itertuples(index=False):
            skills_of.setdefault(activity, set()).update(cell.split(GLUE))
        skills_of.pop("", None)
        if self.granularity == "skill":
            coarse = {activity: JOIN.join(natural(skills)) for activity, skills in skills_of.items()}
            frame = frame.assign(activity=frame["activity"].map(coarse).fillna(""))
            skills_of = {coarse[activity]: skills for activity, skills in skills_of.items()}
        spent: dict[str, float] = {}
        if "minutes" in frame:
            numbers = pd.to_numeric(frame["minutes"], errors="coerce")
            median = numbers[numbers > 0].groupby(frame["activity"]).median()
            spent = {str(name): float(value) for name, value in median.items()}
        return frame, minimal_catalog({name: natural(skills_of[name]) for name in natural(skills_of)}, minutes=spent)


def _complete(frame: pd.DataFrame, needed: list[str]) -> tuple[pd.DataFrame, int]:
    whole = np.ones(len(frame), dtype=np.bool_)
    for name in needed:
        whole &= (frame[name].notna() & (frame[name].astype("str") != "")).to_numpy(np.bool_)
    return frame[whole], int((~whole).sum())


def _repeats(frame: pd.DataFrame, ordered: bool) -> pd.Series:
    """The rows that tell the answer of an earlier row once more, under another of its skills."""
    if "time" not in frame:
        before = frame.groupby("learner", sort=False)[["activity", "skill"]].shift()
        return (frame["activity"] == before["activity"]) & (frame["skill"] != before["skill"])
    if ordered:
        return frame.duplicated(["learner", "activity", "time"])
    # Coarse times, days for example, may hold second attempts: they repeat a skill, which a further skill does not.
    attempt = frame.groupby(["learner", "activity", "time", "skill"], sort=False).cumcount()
    return frame.assign(attempt=attempt).duplicated(["learner", "activity", "time", "attempt"])
