"""Held out: every model judged on the same answers of learners that none of them saw, between floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.catalog import Catalog
from ..data.leak import answers_of
from ..data.log import Log
from . import prediction_metrics as pm
from .statistics import Interval, learner_interval

Floats = NDArray[np.float64]
_BLOCK = 1 << 20  # rows counted at a time
METRICS = ("auc", "first_auc", "later_auc", "log_loss", "accuracy", "ece")


@dataclass(frozen=True, eq=False)
class Judged:
    """The N rows to judge: one per answer. A score counts as right from one half on."""

    rows: NDArray[np.int64]  # (N,) their places in the log
    right: Floats  # (N,) 0 or 1
    learner: NDArray[np.int64]  # (N,)
    first: NDArray[np.bool_]  # (N,) the learner met none of the activity's skills before
    later: NDArray[np.bool_]  # (N,) not the learner's very first answer, which networks are often not judged on
    learners: int

    @staticmethod
    def of(log: Log, catalog: Catalog) -> Judged:
        """Return the first row of every answer of `log`."""
        answers = log.sequences(catalog)
        learner = np.repeat(np.arange(len(answers.learners)), np.diff(answers.start))
        kept = np.flatnonzero(answers_of(answers).first)
        opening = np.zeros(len(learner), dtype=np.bool_)
        opening[answers.start[:-1][np.diff(answers.start) > 0]] = True
        return Judged(
            rows=kept,
            right=(answers.correct >= 0.5).astype(np.float64)[kept],
            learner=learner[kept],
            first=_unmet(learner, answers.activity, catalog)[kept],
            later=~opening[kept],
            learners=len(answers.learners),
        )

    @property
    def mixed(self) -> bool:
        """False when all answers are alike, so that nothing can be told apart."""
        return 0.0 < float(self.right.mean()) < 1.0 if len(self.right) else False


def _unmet(learner: NDArray[np.int64], activity: NDArray[np.int64], catalog: Catalog) -> NDArray[np.bool_]:
    """Return (rows,) bool, True where the learner has met none of the activity's skills before."""
    matrix = catalog.q_matrix()
    row, skill = _practised(activity, matrix)
    _, earliest, which = np.unique(learner[row] * matrix.shape[1] + skill, return_index=True, return_inverse=True)
    seen = row[earliest[which]] < row
    return np.bincount(row, seen, len(learner)) == 0


def _practised(activity: NDArray[np.int64], matrix: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (row, skill), an entry for every skill of every row's activity, rows in order."""
    own, skill = np.nonzero(matrix)
    count = np.bincount(own, minlength=len(matrix))
    begin = np.cumsum(count) - count
    row = np.repeat(np.arange(len(activity)), count[activity])
    place = np.arange(len(row)) - np.repeat(np.cumsum(count[activity]) - count[activity], count[activity])
    return row, skill[begin[activity[row]] + place]


def floors(fitted_to: Log, judged_on: Log, catalog: Catalog) -> dict[str, Floats]:
    """Return the predictions of who knows the mean alone, each skill's mean, each activity's: (rows,) of `judged_on`.

    The means are those of the log that models are fitted to, each with one answer at the overall mean added. An
    activity of several skills gets the mean over them.
    """
    seen, asked = fitted_to.sequences(catalog), judged_on.sequences(catalog).activity
    matrix = catalog.q_matrix()
    activities, skills = matrix.shape
    hits = [np.zeros(skills), np.zeros(activities)]
    counts = [np.zeros(skills), np.zeros(activities)]
    for begin in range(0, len(seen.activity), _BLOCK):  # the columns may be files larger than memory
        activity, correct = seen.activity[begin : begin + _BLOCK], seen.correct[begin : begin + _BLOCK]
        row, skill = _practised(activity, matrix)
        for i, (which, right, n) in enumerate(((skill, correct[row], skills), (activity, correct, activities))):
            hits[i] += np.bincount(which, right, n)
            counts[i] += np.bincount(which, minlength=n)
    base = float(hits[1].sum() / max(counts[1].sum(), 1.0))
    by_skill, by_activity = ((hit + base) / (count + 1.0) for hit, count in zip(hits, counts, strict=True))
    share = matrix.sum(1)
    over_skills = np.where(share > 0, matrix @ by_skill / np.maximum(share, 1), base)
    return {
        "constant": np.full(len(asked), base),
        "skill mean": over_skills[asked],
        "activity mean": by_activity[asked],
    }


def scores(judged: Judged, predicted: NDArray[np.floating], seed: int = 0) -> dict[str, Interval]:
    """Return each of METRICS of (rows,) predictions of the whole log, with its 95% interval over learners.

    `first_auc` is that of first attempts on a skill, `later_auc` that of all but each learner's very first answer;
    either is left out where such rows know only one label. Raises: ValueError when all rows do.
    """
    p, y, learner = predicted.astype(np.float64)[judged.rows], judged.right, judged.learner
    edge = float(np.finfo(np.float64).eps)
    q = np.clip(p, edge, 1.0 - edge)
    found = {"auc": pm.auc_interval(y, p, learner, seed=seed)}
    for name, rows in (("first_auc", judged.first), ("later_auc", judged.later)):
        if len(np.unique(y[rows])) == 2:
            found[name] = pm.auc_interval(y[rows], p[rows], learner[rows], seed=seed)
    found["log_loss"] = learner_interval(-(y * np.log(q) + (1 - y) * np.log1p(-q)), learner, 500, seed=seed)
    found["accuracy"] = learner_interval(((p >= 0.5) == (y >= 0.5)).astype(np.float64), learner, 500, seed=seed)
    found["ece"] = pm.ece_interval(y, p, learner, seed=seed)
    return found
