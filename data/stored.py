"""Stored logs: columns in files, mapped into memory page by page, so that a log may be larger than memory."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .catalog import Catalog
from .errors import DataError
from .files import write_whole
from .log import DAY, Split, parts_of
from .sequences import Sequences

COLUMNS = {"activity": "<i8", "correct": "<f4", "days": "<f8"}  # a row takes 20 bytes
BLOCK = 1 << 20  # rows copied or hashed at a time
SCHEMA = 1


@dataclass(frozen=True, eq=False)
class StoredLog:
    """What `Log` is to those who read its sequences, with only the learners' ids in memory.

    A folder holds activity.bin, correct.bin and days.bin (one value a row, learner after learner, in time order) and
    log.json (names, where each learner's rows begin, parts, notes). `subset` and `split` copy rows to a folder within,
    which goes when nobody needs it any more. Networks take their batches from the files; other tracers and the null
    test build arrays of all rows and need memory for them. `frame` makes a table of the whole.
    """

    folder: Path
    learners: tuple[str, ...]
    begin: NDArray[np.int64]  # (L + 1,)
    published: tuple[str, ...]  # (L,) train, valid, test, or "" where no split is published
    activities: tuple[str, ...]
    timed: bool
    sha: str
    name: str
    notes: tuple[str, ...] = ()

    @staticmethod
    def open(folder: Path) -> StoredLog:
        """Open a folder. Raises: DataError when it holds no whole stored log."""
        try:
            data = json.loads((folder / "log.json").read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f"holds no stored log ({error})", str(folder), fix="Store it again.") from error
        if data.get("schema") != SCHEMA:
            raise DataError(f"schema {data.get('schema')!r} is unknown", str(folder), fix="Store it again.")
        begin = np.array(data["begin"], np.int64)
        for column, dtype in COLUMNS.items():
            size, wanted = (folder / f"{column}.bin").stat().st_size, int(begin[-1]) * np.dtype(dtype).itemsize
            if size != wanted:
                raise DataError(f"{column}.bin has {size} bytes, not {wanted}", str(folder), fix="Store it again.")
        names = [tuple(data[key]) for key in ("learners", "published", "activities", "notes")]
        return StoredLog(
            folder, names[0], begin, names[1], names[2], data["timed"], data["digest"], data["name"], names[3]
        )

    def __len__(self) -> int:
        return int(self.begin[-1])

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, read from its file as it is indexed."""
        if not len(self):
            return np.empty(0, COLUMNS[name])
        return np.asarray(np.memmap(self.folder / f"{name}.bin", COLUMNS[name], "r"))

    def sequences(self, catalog: Catalog) -> Sequences:
        """The log as mapped arrays. Raises: DataError for another catalogue than that which the log was stored with."""
        if catalog.activity_ids != self.activities:
            raise DataError("another catalogue", self.name, fix="Use the catalogue that came with the log.")
        return Sequences(
            learners=np.array(self.learners, dtype=np.str_),
            start=self.begin,
            activity=self.column("activity"),
            correct=self.column("correct"),
            days=self.column("days"),
            timed=self.timed,
        )

    def digest(self) -> str:
        """sha256 over learners, activities and all columns, in hex."""
        return self.sha

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The whole log as a table in memory; times count from each learner's first event, one day above 0."""
        repeats = np.diff(self.begin)
        columns = {
            "learner": np.repeat(np.array(self.learners, dtype=object), repeats),
            "activity": np.array(self.activities, dtype=object)[self.column("activity")],
            "correct": self.column("correct").astype(np.float64),
            "timestamp": (self.column("days") + 1.0) * DAY * self.timed,
        }
        part = {"split": np.repeat(np.array(self.published, dtype=object), repeats)} if any(self.published) else {}
        return pd.DataFrame(columns | part)

    def subset(self, learners: Collection[str]) -> StoredLog:
        """The rows of these learners, in the order of the log. Raises: DataError for an unknown learner."""
        wanted = set(learners)
        unknown = wanted.difference(self.learners)
        if unknown:
            raise DataError(f"unknown learner '{min(unknown)}'", self.name, key="learner")
        if len(wanted) == len(self.learners):
            return self
        return self._copied([(self, np.flatnonzero([name in wanted for name in self.learners]), None)])

    def split(self, seed: int, valid: float = 0.1, test: float = 0.2) -> Split:
        """As `Log.split`."""
        published = dict(zip(self.learners, self.published, strict=True)) if any(self.published) else {}
        parts = parts_of(self.learners, published, seed, valid, test)
        return Split(*(self.subset(parts[name]) for name in ("train", "valid", "test")))  # type: ignore[arg-type]

    def joined(self, parts: Mapping[str, StoredLog]) -> StoredLog:
        """The rows of several logs, each of which becomes the part of the split that it is named after."""
        return self._copied([(log, np.arange(len(log.learners)), name) for name, log in parts.items() if len(log)])

    def _copied(self, pieces: list[tuple[StoredLog, NDArray[np.int64], str | None]]) -> StoredLog:
        (self.folder / "parts").mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self.folder / "parts"))
        with Writer(folder, self.activities, self.name, self.notes) as writer:
            for log, which, part in pieces:
                columns = {name: log.column(name) for name in COLUMNS}
                for block in _blocks(log.begin, which):
                    rows = np.concatenate([np.arange(log.begin[i], log.begin[i + 1]) for i in block])
                    names = [log.learners[i] for i in block]
                    published = [part if part is not None else log.published[i] for i in block]
                    sizes = np.diff(log.begin)[block]
                    writer.add(names, sizes, {name: column[rows] for name, column in columns.items()}, published)
            writer.timed = self.timed
        copy = StoredLog.open(folder)
        weakref.finalize(copy, shutil.rmtree, folder, True)
        return copy


def _blocks(begin: NDArray[np.int64], which: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the learners `which` in groups of about BLOCK rows."""
    if len(which):
        total = np.cumsum(np.diff(begin)[which])
        yield from (part for part in np.split(which, np.flatnonzero(np.diff(total // BLOCK)) + 1) if len(part))


class Writer:
    """Writes a stored log block by block; log.json, without which there is no log, comes last."""

    def __init__(self, folder: Path, activities: tuple[str, ...], name: str, notes: tuple[str, ...] = ()) -> None:
        self.folder, self.activities, self.name, self.notes = folder, activities, name, notes
        self.timed = False
        self._learners: list[str] = []
        self._published: list[str] = []
        self._sizes: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._sha = hashlib.sha256()

    def __enter__(self) -> Writer:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log.json").unlink(missing_ok=True)
        self._files = {name: (self.folder / f"{name}.bin").open("wb") for name in COLUMNS}
        return self

    def add(
        self, learners: list[str], sizes: NDArray[np.int64], columns: dict[str, NDArray[Any]], published: list[str]
    ) -> None:
        """Append whole learners: their ids, how many rows each has, the rows, and each one's published part or ""."""
        for name, dtype in COLUMNS.items():
            raw = np.ascontiguousarray(columns[name], dtype).tobytes()
            self._files[name].write(raw)
            self._sha.update(raw)
        self._learners += learners
        self._published += published
        self._sizes.append(np.asarray(sizes, np.int64))

    def __exit__(self, kind: object, *_: object) -> None:
        for file in self._files.values():
            file.close()
        if kind is not None:
            return
        begin = np.cumsum(np.concatenate(self._sizes))
        data = {
            "schema": SCHEMA,
            "name": self.name,
            "notes": self.notes,
            "timed": self.timed,
            "activities": self.activities,
            "learners": self._learners,
            "published": self._published,
            "begin": begin.tolist(),
        }
        self._sha.update(json.dumps([data[key] for key in ("activities", "learners", "published", "begin")]).encode())
        data["digest"] = self._sha.hexdigest()
        write_whole(self.folder / "log.json", lambda draft: draft.write_text(json.dumps(data)))
