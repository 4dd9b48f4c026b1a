"""Logs in the four-line format of AKT (Ghosh, Heffernan and Lan, KDD 2020), mended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ..catalog import Catalog
from ..errors import DataError
from ..files import find, read_text
from ..log import Log
from .answers import merge, natural
from .folds import fold_files
from .lists import blocks, flatten
from .minimal import minimal_catalog
from .parts import joined
from .source import Source

LINES = "learner, problem ids, skill ids, responses"


@dataclass(frozen=True)
class AKT(Source):
    """Four lines per learner: `position,learner`, then comma lists of problem ids, skill ids and responses.

    path: one file, or a folder with `*_train1.csv`, `*_valid1.csv` and `*_test1.csv` for `fold` 1; gzipped or not.
    A problem with several skills stands there once per skill, always with the same response: the second row can be
    read off the first. On ASSISTments 2009 that is 51,033 of 325,589 rows, and a network scores AUC .64 on coin-flip
    responses. Rows that repeat the problem of the row before under another skill are therefore merged into it, and
    counted in the log's notes; scores are lower than those published for the raw rows, and honest.
    granularity: "skill" makes each set of skills an activity, "problem" each problem, with all skills it is seen with.
    A skill.json in the folder (name -> id) gives the titles.
    """

    path: str
    fold: int = 1
    granularity: Literal["skill", "problem"] = "skill"

    def load(self) -> tuple[Log, Catalog]:
        """The log, with the fold's split where `path` is a folder. Raises: DataError for a missing or faulty file."""
        if self.granularity not in ("skill", "problem"):
            raise DataError(f"unknown granularity '{self.granularity}'", fix="Use skill or problem.")
        folder, files = fold_files(self.path, self.fold)
        frames: dict[str, pd.DataFrame] = {}
        skills_of: dict[str, tuple[str, ...]] = {}
        merged = 0
        for part, file in files.items():
            frames[file.name], named, repeats = _read(file, part)
            skills_of |= named
            merged += repeats
        if self.granularity == "problem":
            skills_of = _problem_skills(pd.concat(list(frames.values())), skills_of)
        column = "set" if self.granularity == "skill" else "problem"
        frames = {
            file: frame.rename(columns={column: "activity"}).drop(columns={"set", "problem"} - {column})
            for file, frame in frames.items()
        }
        names = find(folder, ["skill"], ["json"])
        titles = {str(i): title.strip() for title, i in json.loads(read_text(names)[0]).items()} if names else None
        catalog = minimal_catalog({name: skills_of[name] for name in natural(skills_of)}, titles)
        notes = (f"merged {merged} rows that repeat an answer under another skill",)
        return joined(frames, catalog, folder.name if len(files) > 1 else next(iter(files)), notes), catalog


def _read(path: Path, part: str) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]], int]:
    heads, problems, skills, responses = blocks(path, 4, LINES)
    rows = np.arange(len(heads), dtype=np.int64) * 4 + 2
    flat, owner = flatten({"problems": problems, "skills": skills, "responses": responses}, path.name, rows)
    again = (owner[1:] == owner[:-1]) & (flat["problems"][1:] == flat["problems"][:-1])
    repeats = np.append(False, again & (flat["skills"][1:] != flat["skills"][:-1]))
    kept, sets, skills_of = merge(repeats, flat["skills"])
    learners = np.array([head.rpartition(",")[2].strip() for head in heads], dtype=object)
    frame = pd.DataFrame(
        {
            "learner": learners[owner[kept]],
            "set": sets,
            "problem": flat["problems"][kept],
            "correct": flat["responses"][kept],
        },
        index=rows[owner[kept]] - 2,
    )
    return frame if part == "all" else frame.assign(split=part), skills_of, int(repeats.sum())


def _problem_skills(frame: pd.DataFrame, skills_of: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    seen: dict[str, set[str]] = {}
    for problem, name in frame[["problem", "set"]].drop_duplicates().itertuples(index=False):
        seen.setdefault(problem, set()).update(skills_of[name])
    return {problem: tuple(natural(skills)) for problem, skills in seen.items()}
