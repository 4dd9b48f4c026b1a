"""Likeness: a log's learners beside simulated ones who do the same, activity by activity and day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Rng
from ..rows import take
from ..student import Student
from .effect import Check, Value
from .ruling import Ruling

OPPORTUNITIES, FEWEST = 10, 50  # points of a learning curve; answers that a point needs
GAP = 0.05  # the bar of realism
LAGS = (("< 1 min", 1 / 1440), ("< 1 h", 1 / 24), ("< 1 d", 1.0), ("1-7 d", 7.0), ("7-30 d", 30.0), ("> 30 d", np.inf))
FEATURES = (
    *("right", "right in the first ten", "right in the last ten", "change", "agreement of neighbours"),
    *("right at first sight", "right later", "right after right", "right after wrong", "spread over skills"),
)


@dataclass(frozen=True, eq=False)
class Shadow:
    """Answers (N,) of a log's learners and of their simulated doubles."""

    learner: NDArray[np.int64]  # (N,)
    skill: NDArray[np.int64]  # (N,) the first skill of the activity
    opportunity: NDArray[np.int64]  # (N,) 1 = the learner's first answer to that skill
    gap: NDArray[np.float64]  # (N,) days since the learner's last answer to it; nan at the first
    before: NDArray[np.float64]  # (N,) how that was answered by real learners; nan at the first
    before_double: NDArray[np.float64]  # (N,) and by their doubles
    real: NDArray[np.float64]  # (N,) scores in [0, 1]
    double: NDArray[np.float64]  # (N,)
    timed: bool


def shadowed(
    student: Student, log: Log, catalog: Catalog, learners: int = 400, rows: int = 200, seed: int = 0
) -> Shadow:
    """Return the first `rows` answers of up to `learners` learners beside those of as many simulated ones."""
    few = log.subset(log.learners[:learners])
    sequences = few.sequences(catalog)
    length = np.minimum(np.diff(sequences.start), rows)
    order = np.argsort(-length, kind="stable")
    start, length = sequences.start[:-1][order], length[order]
    rng = Rng.enrol(seed, 0, len(order))
    state, alive = student.enrol(rng), len(order)
    places, answers = [], []
    for t in range(int(length.max(initial=0))):
        still = int(np.searchsorted(-length, -t, side="left"))
        if still < alive:
            state, rng, alive = take(state, slice(0, still)), take(rng, slice(0, still)), still
        here = start[:still] + t
        if t and sequences.timed:
            days = torch.from_numpy(sequences.days[here] - sequences.days[here - 1]).float()
            state = student.elapse(state, days, rng.at(2 * t))
        state, response = student.answer(state, torch.from_numpy(sequences.activity[here]), rng.at(2 * t + 1))
        places.append(here)
        answers.append(torch.where(response.accepted, response.correct, torch.nan).numpy())
    place = np.concatenate(places)
    by_row = np.argsort(place)
    place, double = place[by_row], np.concatenate(answers)[by_row].astype(np.float64)
    learner = np.repeat(np.arange(len(sequences.learners)), np.diff(sequences.start))[place]
    skill = catalog.q_matrix().argmax(1)[sequences.activity[place]]
    real, moment = sequences.correct[place].astype(np.float64), sequences.days[place]
    opportunity, last = _history(learner, skill)
    known = last >= 0
    return Shadow(
        learner,
        skill,
        opportunity,
        np.where(known, moment - moment[last], np.nan),
        np.where(known, real[last], np.nan),
        np.where(known, double[last], np.nan),
        real,
        double,
        sequences.timed,
    )


def _history(learner: NDArray[np.int64], skill: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each row, in time order, which answer to its skill it is, and the row of the one before, -1 none."""
    n = len(learner)
    order = np.lexsort((np.arange(n), skill, learner))
    new = np.ones(n, bool)
    new[1:] = (learner[order][1:] != learner[order][:-1]) | (skill[order][1:] != skill[order][:-1])
    begin = np.maximum.accumulate(np.where(new, np.arange(n), 0))
    opportunity, last = np.empty(n, np.int64), np.empty(n, np.int64)
    opportunity[order] = np.arange(n) - begin + 1
    last[order] = np.where(new, -1, np.append(-1, order[:-1]))
    return opportunity, last


def _means(values: NDArray[np.float64], which: NDArray[np.int64], n: int) -> tuple[list[float], list[int]]:
    ok = np.isfinite(values) & (which >= 0)
    count = np.bincount(which[ok], minlength=n)[:n]
    total = np.bincount(which[ok], values[ok], n)[:n]
    return [float(t / c) if c >= FEWEST else float("nan") for t, c in zip(total, count, strict=True)], count.tolist()


def learning_curve(shadow: Shadow) -> tuple[list[float], list[float], list[int]]:
    """Return the share right at opportunity 1 .. 10, real and simulated, and the answers behind each; nan below 50."""
    place = np.where(shadow.opportunity <= OPPORTUNITIES, shadow.opportunity - 1, -1)
    real, count = _means(shadow.real, place, OPPORTUNITIES)
    return real, _means(shadow.double, place, OPPORTUNITIES)[0], count


def lag_curve(shadow: Shadow) -> tuple[list[float], list[float], list[int]]:
    """Return the share right after a right answer to the same skill by time since, real and simulated, and counts."""
    bins = np.searchsorted([end for _, end in LAGS], np.nan_to_num(shadow.gap, nan=0.0), side="right").clip(
        0, len(LAGS) - 1
    )
    real, count = _means(shadow.real, np.where(shadow.before > 0.5, bins, -1), len(LAGS))
    return real, _means(shadow.double, np.where(shadow.before_double > 0.5, bins, -1), len(LAGS))[0], count


def realistic(shadow: Shadow, draws: int = 200, seed: int = 0) -> Ruling:
    """The simulated learning curve must not lie further from the real one than .05 and the luck of these learners."""
    n = int(shadow.learner.max(initial=-1)) + 1
    use = (shadow.opportunity <= OPPORTUNITIES) & np.isfinite(shadow.double)
    place = shadow.learner[use] * OPPORTUNITIES + shadow.opportunity[use] - 1

    def table(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(place, values, n * OPPORTUNITIES).astype(np.float64).reshape(n, OPPORTUNITIES)

    count, more = table(np.ones(use.sum())), table((shadow.double - shadow.real)[use])
    enough = count.sum(0) >= FEWEST
    if not enough.any():
        return Ruling("realistic", missing=f"no opportunity has {FEWEST} answers")
    picks = np.random.Generator(np.random.Philox(seed)).integers(0, n, (draws, n))
    drawn = more[picks].sum(1) / count[picks].sum(1).clip(1)  # (draws, 10)
    gap, margin = np.abs(more.sum(0) / count.sum(0).clip(1)), 1.959964 * drawn.std(0)
    beyond = np.where(enough, gap - margin, -np.inf)
    at = int(beyond.argmax())
    real, double, _ = learning_curve(shadow)
    words = f"at opportunity {at + 1} real learners are right in {real[at]:.1%}, simulated ones in {double[at]:.1%}"
    value = Value(float(beyond[at]), float(beyond[at]), float(gap[at] + margin[at]))
    return Ruling("realistic", Check("gap of the learning curves, less its 95 % margin", value, -1.0, GAP), words)


def features(
    shadow: Shadow, answers: NDArray[np.float64], least: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (L, 10) summaries of each learner's `answers` (N,) and who they are, learners of at least `least` answers.

    They tell how learners answer, not what they were given, which is the same for real and simulated ones. nan where
    there is nothing to sum up.
    """
    previous = shadow.before if answers is shadow.real else shadow.before_double
    rows, who = [], []
    for i in np.unique(shadow.learner):
        mine = shadow.learner == i
        y = answers[mine]
        if len(y) < least or not np.isfinite(y).all():
            continue
        first, old = shadow.opportunity[mine] == 1, previous[mine]
        skill = shadow.skill[mine]
        counts = np.bincount(skill)
        means = (np.bincount(skill, y) / counts.clip(1))[counts > 1]
        third = max(1, len(y) // 3)
        rows.append(
            [
                y.mean(),
                y[:10].mean(),
                y[-10:].mean(),
                y[-third:].mean() - y[:third].mean(),
                (y[1:] == y[:-1]).mean(),
                _mean(y[first]),
                _mean(y[~first]),
                _mean(y[old > 0.5]),
                _mean(y[old < 0.5]),
                float(means.std()) if len(means) else np.nan,
            ]
        )
        who.append(i)
    return np.array(rows).reshape(-1, len(FEATURES)), np.array(who, np.int64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
