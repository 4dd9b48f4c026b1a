"""Logs in the format of the pyKT toolkit (Liu et al., NeurIPS 2022 Datasets and Benchmarks)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..catalog import Catalog
from ..errors import DataError, require_columns
from ..files import existing, find, read_frame
from ..log import Log
from .answers import merge
from .lists import flatten
from .minimal import minimal_catalog
from .parts import joined
from .source import Source

NEEDED = ("fold", "uid", "concepts", "responses")
USED = (*NEEDED, "timestamps", "is_repeat")
LOOKED_FOR = "a folder with train_valid.csv and test.csv, or one such file"
PADDING = "-1"


@dataclass(frozen=True)
class PyKT(Source):
    """CSV with one row per learner: `fold,uid,concepts,responses`, the last two comma lists; activity = concept.

    path: a folder with train_valid.csv and test.csv, or one such file; gzipped or not. Fold -1 is the test part, fold
    0 the validation part, as in pyKT's own scripts; one file that holds a single part is taken as unsplit. Padding (-1)
    is dropped. `timestamps` (milliseconds) are used where given; rows that `is_repeat` marks are further concepts of
    the answer before them and merged into it.
    """

    path: str

    def load(self) -> tuple[Log, Catalog]:
        """The log with pyKT's split, with its catalogue. Raises: DataError for a missing or faulty file."""
        path = existing(self.path, LOOKED_FOR)
        files = [path]
        if path.is_dir():
            found = [find(path, [name], ["csv"]) for name in ("train_valid", "test")]
            files = [file for file in found if file]
            if len(files) < 2:
                raise DataError("holds no log", str(path), fix=f"Give the path of {LOOKED_FOR}.")
        frames: dict[str, pd.DataFrame] = {}
        skills_of: dict[str, tuple[str, ...]] = {}
        merged = empty = 0
        for file in files:
            frames[file.name], named, repeats, silent = _read(file)
            skills_of |= named
            merged += repeats
            empty += silent
        catalog = minimal_catalog(skills_of)
        if len(files) == 1 and frames[files[0].name]["split"].nunique() == 1:
            frames[files[0].name] = frames[files[0].name].drop(columns="split")
        notes: tuple[str, ...] = (
            (f"merged {merged} rows that repeat an answer under another concept",) if merged else ()
        )
        notes += (f"left out {empty} learners without any answer",) if empty else ()
        return joined(frames, catalog, path.name, notes, drop_repeats=False), catalog


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]], int, int]:
    table, _ = read_frame(path, USED, ())
    require_columns(NEEDED, table.columns, path.name)
    table = table[table["uid"].str.strip() != ""]
    lists = {name: table[name].tolist() for name in USED[2:] if name in table}
    flat, owner = flatten(lists, path.name, table.index.to_numpy() + 2)
    real = flat["concepts"] != PADDING
    flat, owner = {name: cells[real] for name, cells in flat.items()}, owner[real]
    repeats = flat["is_repeat"] == "1" if "is_repeat" in flat else np.zeros(len(owner), dtype=np.bool_)
    kept, activity, skills_of = merge(repeats, flat["concepts"])
    owner = owner[kept]
    frame = pd.DataFrame(
        {
            "learner": table["uid"].to_numpy()[owner],
            "activity": activity,
            "correct": flat["responses"][kept],
            "split": table["fold"].str.strip().map({"-1": "test", "0": "valid"}).fillna("train").to_numpy()[owner],
        },
        index=table.index[owner],
    )
    if "timestamps" in flat:
        frame["timestamp"] = pd.to_numeric(flat["timestamps"][kept], errors="coerce") / 1000.0
    return frame, skills_of, int(repeats.sum()), len(table) - len(np.unique(owner))
