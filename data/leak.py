"""Rows that give the next row's label away: one answer told in several rows, a row per skill, that nobody merged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .sequences import Sequences

ALIKE = 0.995  # share of neighbouring rows with one label from which on they are one answer
RARE = 1e-9  # chance below which agreement is no luck
ENOUGH = 2_000_000  # rows in which a leak shows, if there is one
LEAST = 0.01  # share of rows that must repeat an answer before anybody is troubled
_MOST = 0.95  # what neighbouring answers of one learner may agree by themselves, at most


@dataclass(frozen=True, eq=False)
class Answers:
    """Which rows of a log are one answer."""

    number: NDArray[np.int64]  # (N,) the answer that each row tells, counted from 0
    first: NDArray[np.bool_]  # (N,) False where the row tells the answer of the row before once more

    @property
    def note(self) -> str:
        """What to say of the log, or nothing when it is sound."""
        again, rows = int((~self.first).sum()), len(self.first)
        if not again:
            return ""
        return (
            f"LEAK: {again:,} of {rows:,} rows ({again / rows:.1%}) repeat the label of the row before under another "
            "skill, as when one answer has a row for every skill. Models read the label off the first row, so figures "
            "on all rows are too high; only the first row of an answer is judged. Better: one row per answer, its "
            "skills in one cell"
        )


def leak_note(sequences: Sequences) -> str:
    """What to say of a log's leak, if there is one: judged by its first learners, two million rows of them."""
    last = max(1, int(np.searchsorted(sequences.start, ENOUGH, side="right")) - 1)
    rows = slice(0, int(sequences.start[min(last, len(sequences.learners))]))
    part = Sequences(
        sequences.learners[:last],
        sequences.start[: last + 1],
        sequences.activity[rows],
        sequences.correct[rows],
        sequences.days[rows],
        sequences.timed,
    )
    return answers_of(part).note


def answers_of(sequences: Sequences) -> Answers:
    """Group neighbouring rows of a learner that are one answer; every row is its own answer in a sound log.

    Rows of one time above the learner's own first are one answer when such rows have one label in nearly all cases.
    Where they do not, and in logs without times, a row belongs to the one before it when its activity follows that
    one's activity often and always with the same label, both right and wrong: no pair of different questions does.
    """
    n = len(sequences.activity)
    same = np.ones(n, dtype=np.bool_)
    same[sequences.start[:-1][np.diff(sequences.start) > 0]] = False  # the row before is the same learner's
    before = np.arange(n) - 1
    right = sequences.correct >= 0.5
    other = same & (sequences.activity != sequences.activity[before])
    alike = right == right[before]
    repeat = np.zeros(n, dtype=np.bool_)
    usual = _usual(alike, same & ~other)
    if sequences.timed:
        at_once = other & (sequences.days == sequences.days[before])
        if _is_leak(alike[at_once], right[at_once], usual):
            repeat = at_once & alike
    if not repeat.any():
        repeat = _by_pair(sequences.activity, before, other, alike, right, usual)
    if repeat.sum() < LEAST * n:
        repeat[:] = False
    return Answers(np.cumsum(~repeat) - 1, ~repeat)


def _usual(alike: NDArray[np.bool_], rows: NDArray[np.bool_]) -> float:
    """How often two answers in a row agree where they are surely two: those to one activity."""
    return min(_MOST, float(alike[rows].mean())) if rows.sum() >= 100 else 0.85


def _is_leak(alike: NDArray[np.bool_], right: NDArray[np.bool_], usual: float) -> bool:
    both = min(int((alike & right).sum()), int((alike & ~right).sum())) >= 3
    return both and float(alike.mean()) >= ALIKE and usual ** len(alike) < RARE


def _by_pair(
    activity: NDArray[np.int64],
    before: NDArray[np.int64],
    other: NDArray[np.bool_],
    alike: NDArray[np.bool_],
    right: NDArray[np.bool_],
    usual: float,
) -> NDArray[np.bool_]:
    rows = np.flatnonzero(other)
    pair = activity[before[rows]].astype(np.int64) * (int(activity.max(initial=0)) + 1) + activity[rows]
    which, names = pd.factorize(pair)
    count = np.bincount(which, minlength=len(names))
    agree = np.bincount(which, alike[rows], len(names))
    ones = np.bincount(which, alike[rows] & right[rows], len(names))
    zeros = agree - ones
    certain = (agree >= ALIKE * count) & (usual**count < RARE) & (np.minimum(ones, zeros) >= 3)
    repeat = np.zeros(len(activity), dtype=np.bool_)
    repeat[rows] = certain[which] & alike[rows]
    return repeat
