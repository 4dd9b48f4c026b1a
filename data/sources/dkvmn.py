"""Logs in the three-line format of DKVMN (Zhang, Shi, King and Yeung, WWW 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..catalog import Catalog
from ..files import read_text, stem
from ..log import Log
from .answers import natural
from .folds import fold_files
from .lists import blocks, flatten
from .minimal import minimal_catalog
from .parts import joined
from .source import Source

LINES = "number of answers, skill ids, responses"


@dataclass(frozen=True)
class DKVMN(Source):
    """Three lines per learner: the number of answers, comma lists of skill ids and of responses; activity = skill.

    path: one file, or a folder with `*_train1.csv`, `*_valid1.csv` and `*_test.csv` (or `*_test1.csv`) for `fold` 1;
    gzipped or not. The files name no learners: they are called after their part and position, `train-0`.
    A `*skill_mapping.txt` in the folder (id, tab, name) gives the titles.
    The ASSISTments 2009 files in this format repeat an answer under each skill of its problem; without problem ids
    that cannot be mended, so scores on them are too high (DKT .82 for .75): prefer `Gervet` or `AKT`.
    """

    path: str
    fold: int = 1

    def load(self) -> tuple[Log, Catalog]:
        """The log, with the fold's split where `path` is a folder. Raises: DataError for a missing or faulty file."""
        folder, files = fold_files(self.path, self.fold)
        frames = {file.name: _read(file, part) for part, file in files.items()}
        skills = natural(set().union(*(frame["activity"].unique() for frame in frames.values())))
        mapping = next(iter(sorted(folder.glob("*skill_mapping.txt"))), None)
        catalog = minimal_catalog({name: (name,) for name in skills}, _titles(mapping) if mapping else None)
        return joined(frames, catalog, folder.name if len(files) > 1 else next(iter(files.values())).name), catalog


def _read(path: Path, part: str) -> pd.DataFrame:
    counts, skills, responses = blocks(path, 3, LINES)
    rows = np.arange(len(counts), dtype=np.int64) * 3 + 2
    flat, owner = flatten({"skills": skills, "responses": responses}, path.name, rows)
    prefix = part if part != "all" else stem(path)
    frame = pd.DataFrame(
        {
            "learner": np.array([f"{prefix}-{i}" for i in range(len(counts))], dtype=object)[owner],
            "activity": flat["skills"],
            "correct": flat["responses"],
        },
        index=rows[owner] - 2,
    )
    return frame if part == "all" else frame.assign(split=part)


def _titles(mapping: Path) -> dict[str, str]:
    pairs = (line.partition("\t") for line in read_text(mapping)[0].splitlines())
    return {key.strip(): title.strip() for key, _, title in pairs if title.strip()}
