"""Robustness: every policy on every kind of simulated learner, above all on those it was not trained on.

The robust evaluation matrix of Doroudi, Aleven and Brunskill (2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .estimate import Array

MARGIN = 0.1  # sd: half of what counts as a small effect


@dataclass(frozen=True)
class Matrix:
    """Values of P policies on S kinds of learners; more is better.

    `gain` is a policy's mean distance to the incumbent, learner by learner with common luck, and `error` its standard
    error. `home` is the kind that a policy was trained on, -1 for one that was trained on none.
    """

    policies: tuple[str, ...]
    students: tuple[str, ...]
    value: Array  # (P, S)
    gain: Array  # (P, S)
    error: Array  # (P, S)
    home: NDArray[np.int64]  # (P,)
    incumbent: str
    spread: Array  # (S,) standard deviation of one learner's outcome under the incumbent
    unfit: tuple[str, ...] = ()  # kinds that fail the validity gate: shown, and no part of a verdict


@dataclass(frozen=True)
class Row:
    """What the matrix says of one policy."""

    policy: str
    worst_away: float  # least gain among learners it was not trained on
    optimism: float  # gain at home minus mean gain away; NaN for a policy without a home
    regret: float  # largest distance to the best policy, over all kinds of learners
    flagged: bool
    says: str
    unsure: bool = False  # nothing speaks against it, and a loss above the margin is not excluded


def matrix_of(
    plays: Mapping[str, Mapping[str, Array]],
    home: Mapping[str, str | None],
    incumbent: str,
    unfit: Sequence[str] = (),
) -> Matrix:
    """Return the matrix from outcomes (n,) by policy and kind of learner; the same learners in each column.

    ValueError when the incumbent is not among the policies, or a policy lacks a kind of learner.
    """
    policies, students = tuple(plays), tuple(next(iter(plays.values())))
    if incumbent not in plays:
        raise ValueError(f"the incumbent {incumbent!r} is not among {list(policies)}")
    if any(tuple(by) != students for by in plays.values()):
        raise ValueError("every policy must be played on the same kinds of learners")
    shape = (len(policies), len(students))
    value, gain, error = np.empty(shape), np.empty(shape), np.empty(shape)
    for i, policy in enumerate(policies):
        for j, student in enumerate(students):
            mine, theirs = plays[policy][student], plays[incumbent][student]
            apart = mine - theirs
            value[i, j], gain[i, j] = mine.mean(), apart.mean()
            error[i, j] = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.inf
    where = [students.index(h) if (h := home.get(policy)) is not None else -1 for policy in policies]
    spread = np.array([plays[incumbent][s].std(ddof=1) if len(plays[incumbent][s]) > 1 else 0.0 for s in students])
    return Matrix(policies, students, value, gain, error, np.array(where), incumbent, spread, tuple(unfit))


def judged(matrix: Matrix, margin: float = MARGIN, alpha: float = 0.05) -> list[Row]:
    """Return a row per policy; flagged is one that wins at home only, unsure one that is not shown to do no harm.

    Flagged: away it is worse than the incumbent somewhere, beyond its error, or with a home it beats the incumbent
    nowhere else. `alpha` is one-sided and shared by the kinds of learners there (Bonferroni), so that many of them flag
    no sound policy by luck. Unsure: among some kind its lower bound is not above -`margin`, in standard deviations of
    one learner's outcome under the incumbent; all kinds must pass, so each is tested at `alpha` (intersection-union).
    A policy without a home answers for every kind. Unfit kinds count for neither.
    """
    from scipy import stats

    out = []
    fit = ~np.isin(matrix.students, matrix.unfit)
    once = float(stats.norm.isf(alpha))
    for i, policy in enumerate(matrix.policies):
        away = (np.arange(len(matrix.students)) != matrix.home[i]) & fit
        gain, error = matrix.gain[i], matrix.error[i]
        if not away.any():
            says = "played at home only" if len(matrix.students) < 2 else "all other kinds of learners are unfit"
            out.append(Row(policy, float("nan"), float("nan"), 0.0, False, f"{says}: nothing is known", True))
            continue
        at_home = float(gain[matrix.home[i]]) if matrix.home[i] >= 0 else float("nan")
        z = float(stats.norm.isf(alpha / away.sum()))
        worse = away & (gain + z * error < 0)
        better = away & (gain - z * error > 0)
        least = gain - once * error
        open_ = away & ~(least > -margin * matrix.spread) & (np.abs(gain) + error > 0)
        regret = float((matrix.value.max(0) - matrix.value[i])[fit].max())
        worst, mean = float(gain[away].min()), float(gain[away].mean())
        own = policy == matrix.incumbent
        flagged = not own and bool(worse.any() or (matrix.home[i] >= 0 and not better.any()))
        unsure = not own and not flagged and bool(open_.any())
        if own:
            says = "the incumbent"
        elif worse.any():
            names = ", ".join(np.array(matrix.students)[worse])
            says = f"worse than {matrix.incumbent} among {names}" + (" although better at home" if at_home > 0 else "")
        elif flagged:
            says = "wins at home only"
        elif unsure:
            where = ", ".join(f"{matrix.students[j]} ({least[j]:+.4f})" for j in np.flatnonzero(open_))
            says = f"may lose more than {margin:g} sd among {where}"
        else:
            says = f"holds among {int(away.sum())} other kinds of learners"
        out.append(Row(policy, worst, at_home - mean, regret, flagged, says, unsure))
    return out


def ranks(matrix: Matrix) -> float:
    """Return how stable the order of policies is: the mean Kendall tau between kinds of learners, 1 = the same.

    Kinds among which all policies are equal tell nothing and are left out.
    """
    from scipy import stats

    kinds = [j for j, name in enumerate(matrix.students) if name not in matrix.unfit]
    taus = [
        float(stats.kendalltau(matrix.value[:, a], matrix.value[:, b]).statistic) for a in kinds for b in kinds if b < a
    ]
    return float(np.nanmean(taus)) if np.isfinite(taus).any() else 1.0
