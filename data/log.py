"""The log: what happened, one row per interaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from . import log_check
from .catalog import Catalog
from .errors import DataError, did_you_mean
from .files import existing, read_frame, stem, write_whole
from .sequences import Sequences as Sequences

DAY = 86400.0


@dataclass(frozen=True, eq=False)
class Split:
    """Three logs that share no learner."""

    train: Log
    valid: Log
    test: Log


@dataclass(frozen=True, eq=False)
class Log:
    """Checked interactions, sorted by learner (first appearance), then time; rows of equal time keep their order.

    Columns of `frame`: learner (str), activity (str), correct (float, 0..1), timestamp (float seconds, all 0 = order
    only), minutes (float, NaN unknown), propensity (float in (0, 1], NaN unknown), and where known role (str) and
    split ("train", "valid" or "test", as published). Make one with `from_frame` or `load`; both check it.
    """

    frame: pd.DataFrame
    name: str
    notes: tuple[str, ...] = ()

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        catalog: Catalog,
        file: str = "log",
        notes: tuple[str, ...] = (),
        drop_repeats: bool = True,
    ) -> Log:
        """Checks and sorts a frame that has at least learner, activity and correct.

        `file` names the origin in errors and the log. Rows are told by the frame's index: 0 is line 2 of a text file.
        Exact repeats (learner, activity, timestamp above 0, correct) are dropped and counted in `notes`, unless
        `drop_repeats` is False because activities are coarser than what was answered.
        Raises: DataError naming file, row and key.
        """
        clean, found = log_check.checked(frame, catalog, file, drop_repeats)
        return cls(clean, stem(Path(file)), notes + found)

    @classmethod
    def load(cls, path: str | Path, catalog: Catalog) -> Log:
        """Reads .parquet, .csv, .tsv or .gz of them with Trailmark's own column names.

        Raises: DataError for a missing or faulty file, naming file, row and key.
        """
        path = existing(path, "a log: .parquet, .csv, .csv.gz or .tsv")
        frame, encoding = read_frame(path, log_check.TEXT, log_check.NUMBERS)
        notes = () if encoding == "utf-8" else (f"{path.name} is not UTF-8, read as {encoding}",)
        return cls.from_frame(frame, catalog, path.name, notes)

    def save(self, path: str | Path) -> None:
        """Writes Parquet in one step."""
        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        write_whole(Path(path).expanduser(), lambda draft: pq.write_table(table, draft, compression="zstd"))

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def learners(self) -> tuple[str, ...]:
        """Learner ids in the order of the log."""
        return tuple(self.frame["learner"].unique().tolist())

    def digest(self) -> str:
        """sha256 over names and values of all columns, in hex; `name` and `notes` do not count."""
        sha = hashlib.sha256()
        for name in self.frame.columns:
            column = self.frame[name]
            if name in log_check.TEXT:
                codes, values = pd.factorize(column)
                sha.update(json.dumps([name, list(values)]).encode())
                sha.update(codes.astype("<i8").tobytes())
            else:
                numbers = column.to_numpy(dtype="<f8") + 0.0
                sha.update(json.dumps([name]).encode())
                sha.update(np.where(np.isnan(numbers), np.nan, numbers).tobytes())
        return sha.hexdigest()

    def subset(self, learners: Collection[str]) -> Log:
        """The rows of these learners, in the order of the log. Raises: DataError for an unknown learner."""
        unknown = set(learners).difference(self.learners)
        if unknown:
            name = min(unknown)
            near = did_you_mean(name, self.learners)
            raise DataError(f"unknown learner '{name}'", self.name, key="learner", fix=near)
        kept = self.frame[self.frame["learner"].isin(list(learners))].reset_index(drop=True)
        return Log(kept, self.name, self.notes)

    def split(self, seed: int, valid: float = 0.1, test: float = 0.2) -> Split:
        """Train, valid and test learners, never rows; the shares are of all learners, on average.

        A published `split` column wins for the parts that it names. All else is a hash of seed and learner id, so
        what becomes of one learner does not hang on who else is in the log.
        Raises: ValueError for shares outside [0, 1).
        """
        first = self.frame.drop_duplicates("learner")
        published = dict(zip(first["learner"], first["split"], strict=True)) if "split" in first else {}
        parts = parts_of(self.learners, published, seed, valid, test)
        return Split(self.subset(parts["train"]), self.subset(parts["valid"]), self.subset(parts["test"]))

    def joined(self, parts: Mapping[str, Log]) -> Log:
        """The rows of several logs, each of which becomes the part of the split that it is named after."""
        frames = [log.frame.assign(split=name) for name, log in parts.items() if len(log)]
        return Log(pd.concat(frames, ignore_index=True), self.name, self.notes)

    def sequences(self, catalog: Catalog) -> Sequences:
        """The log as arrays. Raises: DataError when an activity is not in this catalogue."""
        codes, learners = pd.factorize(self.frame["learner"])
        start = np.searchsorted(codes, np.arange(len(learners) + 1)).astype(np.int64)
        activity = pd.Index(catalog.activity_ids).get_indexer(pd.Index(self.frame["activity"])).astype(np.int64)
        if (activity < 0).any():
            name = self.frame["activity"].iloc[int(np.argmax(activity < 0))]
            fix = did_you_mean(name, catalog.activity_ids) + "Use the catalogue that came with the log."
            raise DataError(f"unknown activity '{name}'", self.name, key="activity", fix=fix)
        seconds = self.frame["timestamp"].to_numpy(np.float64)
        return Sequences(
            learners=np.array(learners, dtype=np.str_),
            start=start,
            activity=activity,
            correct=self.frame["correct"].to_numpy(np.float32),
            days=(seconds - seconds[start[codes]]) / DAY if len(seconds) else seconds,
            timed=bool(len(seconds)) and bool((seconds != seconds[0]).any()),
        )


def parts_of(
    learners: Sequence[str], published: Mapping[str, str], seed: int, valid: float, test: float
) -> dict[str, list[str]]:
    """The learners of train, valid and test, as `Log.split` says. Raises: ValueError for shares outside [0, 1)."""
    if min(valid, test) < 0 or valid + test >= 1:
        raise ValueError(f"valid={valid} and test={test} must be 0 or more, and together below 1")
    named = set(published.values())
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for learner in learners:
        part = published.get(learner, "train")
        if part == "train" and "test" not in named and _uniform("test", seed, learner) < test:
            part = "test"
        if part == "train" and "valid" not in named and _uniform("valid", seed, learner) < valid / (1 - test):
            part = "valid"
        parts[part].append(learner)
    return parts


def _uniform(purpose: str, seed: int, learner: str) -> float:
    digest = hashlib.blake2b(f"{purpose}:{seed}:{learner}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
