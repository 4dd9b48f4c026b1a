"""Logs in the format of Gervet, Koedinger, Schneider and Mitchell (JEDM 2020), leak-free.

Theirs are ASSISTments 2009, 2012, 2015, 2017, Algebra 2005, Bridge 2006, Spanish and Statics.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ..catalog import Catalog
from ..errors import DataError, require_columns
from ..files import existing, find, read_frame, read_text
from ..log import Log
from .answers import natural
from .minimal import minimal_catalog
from .parts import joined
from .source import Source

COLUMNS = {
    "user_id": "learner",
    "item_id": "item",
    "timestamp": "timestamp",
    "correct": "correct",
    "skill_id": "combination",
}
TRAIN, TEST = ("train", "preprocessed_data_train"), ("test", "preprocessed_data_test")
LOOKED_FOR = "a folder with train.tsv and test.tsv (or preprocessed_data_train.csv and _test.csv), or one such file"


@dataclass(frozen=True)
class Gervet(Source):
    """Tab-separated `user_id item_id timestamp correct skill_id`, one row per answered problem.

    path: a folder with train.tsv and test.tsv, whose learner split is kept, or one file; a test_users.json beside the
    one file gives its test learners. Any of them may be gzipped.
    granularity: "skill" makes each skill combination (`skill_id`) an activity that practises one skill of its own, the
    published practice for BKT; "problem" makes each item an activity, with the single skills of q_mat.npz beside it
    (SciPy's CSR format, items x skills).
    """

    path: str
    granularity: Literal["skill", "problem"] = "skill"

    def load(self) -> tuple[Log, Catalog]:
        """The log, with a published split where there is one, with its catalogue.

        Raises: DataError for a missing or faulty file.
        """
        files, folder = self._files()
        parts = {path.name: self._read(path, part) for part, path in files.items()}
        if "all" in files:
            self._test_users(parts[files["all"].name], folder)
        if self.granularity == "skill":
            combinations = natural(set().union(*(frame["combination"].unique() for frame in parts.values())))
            catalog = minimal_catalog({name: (name,) for name in combinations})
        elif self.granularity == "problem":
            items = natural(set().union(*(frame["item"].unique() for frame in parts.values())))
            catalog = self._item_catalog(items, folder / "q_mat.npz")
        else:
            raise DataError(f"unknown granularity '{self.granularity}'", fix="Use skill or problem.")
        column = "combination" if self.granularity == "skill" else "item"
        frames = {
            file: frame.rename(columns={column: "activity"}).drop(columns={"combination", "item"} - {column})
            for file, frame in parts.items()
        }
        name = files["all"].name if "all" in files else folder.name
        # Two items of one combination in the same second are two answers.
        return joined(frames, catalog, name, drop_repeats=self.granularity == "problem"), catalog

    def _files(self) -> tuple[dict[str, Path], Path]:
        path = existing(self.path, LOOKED_FOR)
        if path.is_file():
            return {"all": path}, path.parent
        train, test = find(path, TRAIN, ("tsv", "csv")), find(path, TEST, ("tsv", "csv"))
        if train and test:
            return {"train": train, "test": test}, path
        single = find(path, ("interactions",), ("tsv",))
        if single:
            return {"all": single}, path
        raise DataError("holds no log", str(path), fix=f"Give the path of {LOOKED_FOR}.")

    def _read(self, path: Path, part: str) -> pd.DataFrame:
        frame, _ = read_frame(path, ("user_id", "item_id", "skill_id"), ("timestamp", "correct"))
        require_columns(COLUMNS, frame.columns, path.name)
        frame = frame[list(COLUMNS)].rename(columns=COLUMNS)
        return frame if part == "all" else frame.assign(split=part)

    def _test_users(self, frame: pd.DataFrame, folder: Path) -> None:
        listed = folder / "test_users.json"
        if listed.is_file():
            users = set(map(str, json.loads(read_text(listed)[0])))
            frame["split"] = np.where(frame["learner"].isin(users), "test", "train")

    def _item_catalog(self, items: list[str], q_mat: Path) -> Catalog:
        if not q_mat.is_file():
            raise DataError("no such file", str(q_mat), fix="Put q_mat.npz there, or use granularity=skill.")
        try:
            with np.load(q_mat) as stored:
                indices, indptr, shape = stored["indices"], stored["indptr"], stored["shape"]
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"is no CSR matrix ({error})", q_mat.name, fix="Save it with scipy.sparse.save_npz."
            ) from error
        rows = [int(item) if item.isdecimal() else -1 for item in items]
        bad = [item for item, row in zip(items, rows, strict=True) if not 0 <= row < shape[0]]
        if bad:
            raise DataError.several(
                bad,
                lambda item: DataError(
                    f"item '{item}' is no row of the matrix (0..{shape[0] - 1})",
                    q_mat.name,
                    key="item_id",
                    fix="Use the q_mat.npz that came with the log.",
                ),
            )
        skills = {
            item: tuple(map(str, indices[indptr[row] : indptr[row + 1]])) for item, row in zip(items, rows, strict=True)
        }
        return minimal_catalog(skills, skills=[str(k) for k in range(shape[1])])
