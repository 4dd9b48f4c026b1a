"""The decision log: what was recommended, with which probability, and what came of it; one row per decision.

Production writes it and off-policy evaluation reads it: Parquet, or CSV with `|` between the entries of a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .between import LISTED, TIME_ONLY, Between, pieces
from .catalog import Catalog
from .errors import DataError, did_you_mean, require_columns
from .files import existing, read_frame, stem, write_whole

REQUIRED = ("learner", "activity", "propensity")
TEXT = ("learner", "episode", "activity", "delivered", "role", "policy", "last")
LISTS = ("allowed", "probabilities", "vetoed", "goal", "past", "past_correct", "since", *LISTED)
NUMBERS = ("step", "time", "propensity", "correct", "minutes", "days", "minutes_budget", "waited")
FLAGS = {"override": False, "accepted": True}  # and what a blank stands for
# What a column holds where the log has none.
BLANK = {"correct": np.nan, "minutes": 0.0, "days": 0.0, "minutes_budget": np.inf, "time": np.nan, "waited": 0.0}


@dataclass(frozen=True, eq=False)
class Decisions:
    """A checked decision log, sorted by session (learner and episode, first appearance), then step.

    Columns of `frame`. Needed: learner, activity (what the policy chose), propensity (its probability then, in (0, 1];
    NaN unknown). Known where given: episode, step (0, 1, ...; the order of rows without), time (seconds), allowed (the
    activities that could have been chosen) and probabilities (theirs, in the same order), delivered (what the learner
    was given, if a person put something else in its place after the choice), override (a person chose before the
    policy could: propensity 1), vetoed, policy (who logged), correct, minutes, accepted and days (what came back, days
    until the next decision), role, goal, minutes_budget, past, past_correct and last (known at the first decision),
    reward and further outcomes. A log that follows learners between decisions says in the list `since` what they did
    since the decision before this one, or since enrolment: the activity, or "-" where only time passed; in
    since_correct, since_minutes, since_accepted (1 or 0) and since_days (which passed before it) the rest; and in
    waited the days from the last of it to this decision. Replay then goes by these alone. Every other column is kept
    as it is: a class or cohort to cluster or to compare by.
    """

    frame: pd.DataFrame
    catalog: Catalog
    name: str
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path, catalog: Catalog) -> Decisions:
        """Reads .parquet, .csv, .tsv or .gz of them. Raises: DataError naming file, row and key."""
        path = existing(path, "a decision log: .parquet, .csv, .csv.gz or .tsv")
        text = (*TEXT, *LISTS, *FLAGS, "class", "cohort")
        frame, _ = read_frame(path, text, NUMBERS)
        return cls.from_frame(frame, catalog, path.name)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, catalog: Catalog, file: str = "decisions") -> Decisions:
        """Checks and sorts a frame; rows are told by their place in it. Raises: DataError naming file, row and key."""
        frame = frame.reset_index(drop=True)
        require_columns(REQUIRED, frame.columns, file, "See data/decisions.py for the columns of a decision log.")
        if frame.empty:
            raise DataError("holds no rows", file, fix="Give at least one decision.")
        rows = _Rows(file)
        out: dict[str, pd.Series | NDArray[np.float64] | NDArray[np.bool_] | list[object]] = {}
        for name in TEXT:
            if name in frame:
                column = frame[name]
                out[name] = column.astype("str").where(column.notna(), "").str.strip()
        rows.refuse(np.asarray(out["learner"] == ""), "learner", "empty learner id", "Give the id.")
        for name in NUMBERS:
            if name in frame:
                out[name] = rows.numbers(frame[name], name)
        for name in FLAGS:
            if name in frame:
                out[name] = rows.flags(frame[name], name, FLAGS[name])
        for name in LISTS:
            if name in frame:
                out[name] = frame[name]
        for name in frame.columns:  # rewards, outcomes, cohorts
            if name not in out:
                out[str(name)] = frame[name]
        for name in ("activity", "delivered"):
            if name in out:
                _known(out[name], catalog, name, rows, blank=name == "delivered")
        p = np.asarray(out["propensity"], dtype=np.float64)
        unsound = ~(np.isnan(p) | ((p > 0) & (p <= 1 + 1e-6)))
        rows.refuse(unsound, "propensity", "is no probability above 0, at most 1", "Leave it empty when unknown.")
        out["propensity"] = np.minimum(p, 1.0)
        clean = pd.DataFrame(out)
        notes: tuple[str, ...] = ()
        if "step" not in clean:
            clean["step"] = clean.groupby(_session(clean), sort=False).cumcount().astype(np.float64)
            notes = ("no steps: the order of the rows is taken as time",)
        session, step = pd.factorize(_session(clean))[0], clean["step"].to_numpy()
        rows.refuse(np.isnan(step), "step", "no step", "Number all decisions, or leave the column out.")
        order = np.lexsort((step, session))
        clean = clean.iloc[order].reset_index(drop=True)
        if "days" not in clean and "time" in clean:
            clean["days"] = _pauses(clean, session[order])
            notes = (*notes, "no days: the time between decisions, less the minutes, is taken for them")
        made = cls(clean, catalog, stem(Path(file)), notes)
        made._check_lists(rows, order)
        return made

    def save(self, path: str | Path) -> None:
        """Writes Parquet in one step."""
        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        write_whole(Path(path).expanduser(), lambda draft: pq.write_table(table, draft, compression="zstd"))

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """(S + 1,) row offsets: session i owns rows start[i]:start[i + 1]."""
        codes = pd.factorize(_session(self.frame))[0]
        return np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]]).astype(np.int64)

    @cached_property
    def session(self) -> NDArray[np.int64]:
        """(N,) the session of each row."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @cached_property
    def activity(self) -> NDArray[np.int64]:
        """(N,) what the policy chose, on the catalogue's A axis."""
        return self._index("activity")

    @cached_property
    def delivered(self) -> NDArray[np.int64]:
        """(N,) what the learner was given; the policy's choice where the log says nothing else."""
        if "delivered" not in self.frame:
            return self.activity
        given = self._index("delivered")
        return np.where(given < 0, self.activity, given)

    @cached_property
    def override(self) -> NDArray[np.bool_]:
        """(N,) True where a person chose before the policy could."""
        return self.flags("override", False)

    @cached_property
    def allowed(self) -> NDArray[np.bool_] | None:
        """(N, A) what could have been chosen; None when the log does not say."""
        return self.listed("allowed")

    @cached_property
    def probabilities(self) -> NDArray[np.float64] | None:
        """(N, A) every activity's probability; None when the log does not say."""
        if "probabilities" not in self.frame or "allowed" not in self.frame:
            return None
        offsets, names = pieces(self.frame["allowed"])
        _, values = pieces(self.frame["probabilities"])
        out = np.zeros((len(self), len(self.catalog.activity_ids)))
        out[np.repeat(np.arange(len(self)), np.diff(offsets)), self._codes(names)] = values.astype(np.float64)
        return out

    def listed(self, name: str) -> NDArray[np.bool_] | None:
        """Return (N, A), True for the activities that the list column `name` holds; None without that column."""
        if name not in self.frame:
            return None
        offsets, names = pieces(self.frame[name])
        out = np.zeros((len(self), len(self.catalog.activity_ids)), dtype=np.bool_)
        out[np.repeat(np.arange(len(self)), np.diff(offsets)), self._codes(names)] = True
        return out

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return (N,) a number column, or what stands for it when the log has none."""
        if name not in self.frame:
            return np.full(len(self), BLANK.get(name, np.nan))
        values = self.frame[name].to_numpy(np.float64)
        blank = BLANK.get(name, np.nan)
        return values if np.isnan(blank) else np.where(np.isnan(values), blank, values)

    def flags(self, name: str, blank: bool) -> NDArray[np.bool_]:
        """Return (N,) a yes-or-no column, `blank` when the log has none."""
        return self.frame[name].to_numpy(np.bool_) if name in self.frame else np.full(len(self), blank)

    def column(self, name: str, what: str) -> pd.Series:
        """Return a column that the user named. Raises: DataError with the nearest name when there is none such."""
        if name not in self.frame:
            near = did_you_mean(name, self.frame.columns)
            if name == "reward" and "goal_gain" in self.frame:
                near = "A server's log has goal_gain: name that one (reward=goal_gain, offline.reward=goal_gain). "
            raise DataError(
                f"no column '{name}' for {what}",
                self.name,
                fix=f"{near}Found: {', '.join(map(str, self.frame.columns))}.",
            )
        return self.frame[name]

    @cached_property
    def between(self) -> Between | None:
        """What happened between each decision and the one before it; None when the log does not say."""
        if "since" not in self.frame:
            return None
        return Between.of(self.frame, self._codes, self.name)

    def entries(self, name: str) -> list[list[str]]:
        """Return what the list column `name` first says in each session; empty lists where it says nothing."""
        if name not in self.frame:
            return [[] for _ in self.start[:-1]]
        offsets, values = pieces(self.frame[name])
        full = np.flatnonzero(np.diff(offsets) > 0)
        place = np.searchsorted(full, self.start)
        out = []
        for a, b in pairwise(place):  # the session's first row that says it
            row = full[a] if a < b else -1
            out.append(values[offsets[row] : offsets[row + 1]].tolist() if row >= 0 else [])
        return out

    def _index(self, name: str) -> NDArray[np.int64]:
        return pd.Index(self.catalog.activity_ids).get_indexer(pd.Index(self.frame[name])).astype(np.int64)

    def _codes(self, names: NDArray[np.object_]) -> NDArray[np.int64]:
        return pd.Index(self.catalog.activity_ids).get_indexer(pd.Index(names.astype("str"))).astype(np.int64)

    def _check_lists(self, rows: _Rows, order: NDArray[np.int64]) -> None:
        """DataError when a list names an unknown activity, misses the chosen one, or has too many or few entries."""
        for name in ("allowed", "vetoed", "since"):
            if name in self.frame:
                offsets, names = pieces(self.frame[name])
                unknown = (self._codes(names) < 0) & ((name != "since") | (names != TIME_ONLY))
                if unknown.any():
                    i = int(np.argmax(unknown))
                    row = int(order[np.searchsorted(offsets, i, side="right") - 1])
                    near = did_you_mean(str(names[i]), self.catalog.activity_ids)
                    raise DataError(f"unknown activity '{names[i]}'", rows.file, rows.at(row), name, near)
        if "probabilities" in self.frame and "allowed" not in self.frame:
            raise DataError("probabilities need the column 'allowed'", rows.file, key="allowed", fix="Add it.")
        if self.allowed is not None:
            missing = np.zeros(len(self), dtype=np.bool_)
            missing[order] = ~self.allowed[np.arange(len(self)), self.activity]
            rows.refuse(missing, "allowed", "the chosen activity is not among the allowed ones", "Correct the row.")
        if "probabilities" in self.frame:
            here, there = pieces(self.frame["allowed"])[0], pieces(self.frame["probabilities"])[0]
            uneven = np.zeros(len(self), dtype=np.bool_)
            uneven[order] = np.diff(here) != np.diff(there)
            rows.refuse(uneven, "probabilities", "is not as long as 'allowed'", "Give one for each.")


class _Rows:
    """Raises DataError for the rows of a mask, by their place in the file."""

    def __init__(self, file: str) -> None:
        self.file = file

    def at(self, i: int) -> int | str:
        return i + 2 if any(kind in self.file for kind in (".csv", ".tsv", ".txt")) else f"record {i + 1}"

    def refuse(self, bad: NDArray[np.bool_], key: str, problem: str, fix: str) -> None:
        if bad.any():
            cases = np.flatnonzero(bad).tolist()
            raise DataError.several(cases, lambda i: DataError(problem, self.file, self.at(i), key, fix))

    def numbers(self, column: pd.Series, name: str) -> NDArray[np.float64]:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        told = column.notna() & (column.astype("str").str.strip() != "")
        self.refuse(np.isnan(values) & told.to_numpy(), name, "is not a number", "Correct the row.")
        return values

    def flags(self, column: pd.Series, name: str, blank: bool) -> NDArray[np.bool_]:
        words = column.astype("str").str.strip().str.lower()
        empty = column.isna() | words.isin(["", "nan", "none"])
        yes, no = words.isin(["true", "1", "1.0", "yes"]), words.isin(["false", "0", "0.0", "no"])
        self.refuse(~(yes | no | empty).to_numpy(), name, "is neither true nor false", "Write true or false.")
        return np.where(empty, blank, yes).astype(np.bool_)


def _known(column: object, catalog: Catalog, key: str, rows: _Rows, blank: bool) -> None:
    names = pd.Series(column)
    bad = ~names.isin([*catalog.activity_ids, ""] if blank else list(catalog.activity_ids)).to_numpy()
    if bad.any():
        first = str(names[bad].iloc[0])
        fix = did_you_mean(first, catalog.activity_ids) + "Use the catalogue of the policy that logged."
        rows.refuse(bad, key, f"unknown activity '{first}'" if bad.sum() == 1 else "unknown activity", fix)


def _pauses(frame: pd.DataFrame, session: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,) days from the end of each activity to the next decision of the session; 0 where that is not known."""
    time = frame["time"].to_numpy(np.float64)
    spent = frame["minutes"].to_numpy(np.float64) if "minutes" in frame else np.zeros(len(frame))
    pause = np.append(np.diff(time), 0.0) / 86400.0 - np.nan_to_num(spent) / 1440.0
    last = np.append(np.diff(session) != 0, True)
    return np.where(last | np.isnan(pause), 0.0, np.maximum(pause, 0.0))


def _session(frame: pd.DataFrame) -> pd.Series:
    return frame["learner"] + "\x1f" + frame["episode"] if "episode" in frame else frame["learner"]
