"""Anybody's log: one table with the columns named by its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
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
from .times import guessed, seconds

GLUE = "\x1f"
WORDS = {"true": 1.0, "yes": 1.0, "right": 1.0, "correct": 1.0, "false": 0.0, "no": 0.0, "wrong": 0.0, "incorrect": 0.0}


@dataclass(frozen=True)
class Table(Source):
    """CSV, TSV or Parquet, one row per interaction; each field names the column that holds it.

    path: the table, gzipped or not. catalog: the path of a catalogue; without one it is made from the skill column.
    A missing `activity` column (under that very name) makes the skill the activity; a missing `skill` column makes
    each activity a skill of its own. A skill cell may hold several skills, divided by any character of `separators`,
    also in brackets and quotes as a list is printed. `correct` is a number from 0 to 1, or yes and no, true and false.
    `timestamp` holds dates, or numbers in `timestamp_unit` ("auto": seconds, unless their size says milliseconds or
    less since 1970); `order` names a column that only sorts, such as ASSISTments' order_id, and is used in place of
    times. `timestamp` under that very name may be missing too: then the order of the rows counts.
    Rows without skill or score are dropped; rows that repeat an answer (learner, activity and time) under another
    skill are merged into one. All that is assumed, dropped or merged is counted in the log's notes.
    granularity: "skill" makes each set of skills an activity even where the log names finer ones.
    store: a folder, for tables larger than memory: the table is read in pieces and its columns are kept there in files;
    the next load of the same table opens them.
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
    timestamp_unit: Literal["auto", "s", "ms", "us", "ns", "minutes", "hours", "days"] = "auto"
    separators: str = "|,;"
    granularity: Literal["activity", "skill"] = "activity"
    store: str | None = None

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue. Raises: DataError for a missing or faulty file, naming file, row and key."""
        path = existing(self.path, "a table of interactions: .csv, .tsv, .parquet, or .gz of them")
        if self.granularity not in ("activity", "skill"):
            raise DataError(f"unknown granularity '{self.granularity}'", fix="Use activity or skill.")
        if self.store is not None:
            from .streamed import streamed

            return streamed(self, path, Path(self.store).expanduser())
        raw, encoding = read_frame(path, *self.columns())
        notes = [] if encoding == "utf-8" else [f"{path.name} is not UTF-8, read as {encoding}"]
        frame, found = self.prepared(raw, path.name)
        notes += found
        if frame.empty:
            raise DataError(f"holds no row with {' and '.join(self.needed)}", path.name, fix="Fill these columns.")
        given = self.given()
        notes += [] if given is None else _foreign(frame, given)
        naming = Naming({}, {})
        if given is None:
            naming.learn(frame)
        catalog = given or naming.catalog(self.granularity == "skill")
        return self.finished(frame, catalog, naming, path.name, tuple(notes)), catalog

    def columns(self) -> tuple[list[str], list[str]]:
        """The names of the columns of text, and of those of numbers."""
        text = [name for name in (self.learner, self.activity, self.skill, self.role, self.split) if name]
        return text, [name for name in (self.correct, self.minutes, self.propensity) if name]

    @property
    def needed(self) -> list[str]:
        """What a row must have to be kept."""
        return ["correct", "skill"] if self.catalog is None else ["correct"]

    def given(self) -> Catalog | None:
        """The catalogue that `catalog` names, or None."""
        return None if self.catalog is None else Catalog.load(self.catalog)

    def prepared(self, raw: pd.DataFrame, file: str) -> tuple[pd.DataFrame, list[str]]:
        """Whole rows under Trailmark's names, with their set of skills, sorted by time; `repeat` marks what to merge.

        Nothing here looks beyond one learner, so that the learners of a large table can come one group at a time.
        """
        frame, notes = self._named(raw, file), self._assumed(raw)
        frame, dropped = _complete(frame, self.needed)
        if dropped:
            notes.append(f"dropped {dropped} rows without {' or '.join(self.needed)}")
        if {"skill", "activity"} <= set(frame) and len(frame):
            repeats = _repeats(frame, ordered=self.order is not None)
            notes += _merged(frame, repeats) if repeats.any() else []
            frame = frame.assign(repeat=repeats)
        if "activity" not in frame:
            frame = frame.assign(activity=frame["skill"].str.replace(GLUE, JOIN, regex=False))
        return frame, notes

    def finished(
        self, frame: pd.DataFrame, catalog: Catalog, naming: Naming, file: str, notes: tuple[str, ...] = ()
    ) -> Log:
        """The log of prepared rows."""
        exact = self.granularity == "activity"
        if not exact and self.catalog is None:
            frame = frame.assign(activity=frame["activity"].map(naming.coarse()).fillna(""))
        if "repeat" in frame:
            frame = frame[~frame["repeat"]]
        frame = frame.drop(columns=["skill", "time", "repeat"], errors="ignore")
        return Log.from_frame(frame, catalog, file, notes, drop_repeats=exact)

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
            "skill": self.skill == "skill" and self.activity in raw,
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
        frame["correct"] = _truths(frame["correct"])
        for ours in ("learner", "activity"):
            if ours in frame:
                frame[ours] = _names(frame[ours])
        if "skill" in frame:
            frame["skill"] = self._skill_sets(frame["skill"])
        elif self.catalog is None:
            frame["skill"] = frame["activity"]
        if "timestamp" in frame:
            frame["timestamp"] = seconds(frame["timestamp"], file, self.timestamp, self.timestamp_unit)
            frame["time"] = frame["timestamp"]
        elif "time" in frame:
            numbers = pd.to_numeric(frame["time"], errors="coerce")
            frame["time"] = frame["time"] if numbers.isna().any() else numbers
        return frame.sort_values("time", kind="stable") if "time" in frame else frame

    def _assumed(self, raw: pd.DataFrame) -> list[str]:
        """What is taken for granted because a column is missing, or because of how its numbers look."""
        notes = []
        if self.activity not in raw:
            notes.append(f"no column '{self.activity}': the skill, or the set of skills, is the activity")
        if self.skill not in raw and self.catalog is None:
            notes.append(f"no column '{self.skill}': every activity is a skill of its own")
        if self.timestamp_unit == "auto" and self.order is None and self.timestamp in raw:
            unit = guessed(raw[self.timestamp])
            if unit != "s":
                notes.append(f"'{self.timestamp}' is taken for {unit} of Unix time; say timestamp_unit if it is not")
        return notes

    def _skill_sets(self, cells: pd.Series) -> pd.Series:
        """Each cell's skills in one order, joined, so that equal sets have equal names; empty where there is none."""
        pattern = f"[{re.escape(self.separators)}]" if self.separators else r"(?!)"
        if pd.api.types.is_object_dtype(cells.dtype) and cells.map(lambda cell: hasattr(cell, "__len__")).any():
            cells = cells.map(lambda cell: GLUE.join(map(str, cell)) if _is_list(cell) else cell)
        text = _names(cells)
        sets = {}
        for cell in text.unique():
            printed = len(cell) > 1 and cell[0] + cell[-1] in ("[]", "()", "{}")
            inner = cell[1:-1] if printed else cell
            parts = {part.strip(" \t'\"" if printed else None) for part in re.split(f"{GLUE}|{pattern}", inner)}
            sets[cell] = GLUE.join(natural(parts - {"", *MISSING}))
        return text.map(sets)


@dataclass(frozen=True)
class Naming:
    """Which skills each activity has, over all its rows, and the minutes that each of its rows took."""

    skills: dict[str, set[str]]
    minutes: dict[str, list[float]]

    def learn(self, frame: pd.DataFrame) -> None:
        """Take note of prepared rows."""
        for activity, cell in frame[["activity", "skill"]].drop_duplicates().itertuples(index=False):
            if activity:
                self.skills.setdefault(activity, set()).update(cell.split(GLUE))
        if "minutes" in frame:
            numbers = pd.to_numeric(frame["minutes"], errors="coerce")
            median = numbers[numbers > 0].groupby(frame["activity"]).median()
            for name, value in median.items():
                self.minutes.setdefault(str(name), []).append(float(value))

    def coarse(self) -> dict[str, str]:
        """What each activity is called when only its set of skills counts."""
        return {activity: JOIN.join(natural(skills)) for activity, skills in self.skills.items()}

    def catalog(self, by_skills: bool) -> Catalog:
        """The catalogue; an activity's minutes are the median, of a large table that of its groups' medians."""
        skills_of, spent = self.skills, {name: float(np.median(values)) for name, values in self.minutes.items()}
        if by_skills:
            coarse = self.coarse()
            skills_of = {coarse[activity]: skills for activity, skills in skills_of.items()}
            groups: dict[str, list[float]] = {}
            for name, value in spent.items():
                groups.setdefault(coarse.get(name, ""), []).append(value)
            spent = {name: float(np.median(values)) for name, values in groups.items()}
        return minimal_catalog({name: natural(skills_of[name]) for name in natural(skills_of)}, minutes=spent)


def _is_list(cell: object) -> bool:
    return isinstance(cell, list | tuple | set | np.ndarray)


def _names(column: pd.Series) -> pd.Series:
    """Ids as text without blanks around; 12.0, which a column of whole numbers with gaps turns 12 into, is 12."""
    if pd.api.types.is_float_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        known = ~np.isnan(numbers)
        if (numbers[known] == np.floor(numbers[known])).all() and (np.abs(numbers[known]) < 2**53).all():
            column = column.astype("Int64")
    return column.astype("str").where(column.notna(), "").str.strip()


def _truths(column: pd.Series) -> pd.Series:
    """Scores with words for right and wrong as 1 and 0; every other cell as it is."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    words = column.astype("str").str.strip().str.lower()
    return column.astype("object").where(~words.isin(list(WORDS)), words.map(WORDS))


def _merged(frame: pd.DataFrame, repeats: pd.Series) -> list[str]:
    """What to say of merged rows; where their scores differ, the first row's stays."""
    said = [f"merged {int(repeats.sum())} rows that repeat an answer under another skill"]
    score = pd.to_numeric(frame["correct"], errors="coerce")
    if "time" in frame:
        answer = frame.assign(attempt=_attempts(frame))
        keys = [answer[name] for name in ("learner", "activity", "time", "attempt")]
        first = score.groupby(keys, sort=False).transform("first")
    else:
        first = score.where(~repeats).groupby(frame["learner"], sort=False).ffill()
    other = int((repeats & (score != first)).sum())
    return [*said, f"{other} merged rows had another score than the first row of their answer, which counts"][
        : 1 + (other > 0)
    ]


def _foreign(frame: pd.DataFrame, catalog: Catalog) -> list[str]:
    """What to say of skills that a given catalogue lacks, where the rows name their activity too."""
    if not {"skill", "activity"} <= set(frame):
        return []
    cells = frame["skill"].unique()
    lacking = {cell: sorted(set(cell.split(GLUE)) - {"", *catalog.skill_ids}) for cell in cells}
    count = int(frame["skill"].map({cell: bool(names) for cell, names in lacking.items()}).sum())
    first = next((names[0] for names in lacking.values() if names), "")
    said = f"{count} rows name skills that the catalogue lacks, such as '{first}'; its own skills of the activity count"
    return [said] if count else []


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
    return frame.assign(attempt=_attempts(frame)).duplicated(["learner", "activity", "time", "attempt"])


def _attempts(frame: pd.DataFrame) -> pd.Series:
    """Which attempt at its activity and time a row tells: coarse times, days for example, may hold several.

    A further attempt repeats a skill, a further skill of the same answer does not.
    """
    return frame.groupby(["learner", "activity", "time", "skill"], sort=False).cumcount()
