"""Half-life regression: a log-linear half-life per skill; kept as a rival known to be weak."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..cards import Cards
from ..memory import half_life
from ..rng import Rng
from ..skills import Padded, mean_over_skills, skills_of
from ..tracer import Evidence, Tracer
from .readiness import HIGHEST, LOWEST, Readiness

SHORTEST, LONGEST = 15.0 / (24 * 60), 274.0  # half-lives, days
Floats = NDArray[np.float64]


class HLRBelief(NamedTuple):
    """The history of each skill."""

    right: Tensor  # (B, K)
    wrong: Tensor  # (B, K)
    age: Tensor  # (B, K) float64, days since the last answer
    seen: Tensor  # (B, K) int64, -1 never answered, else whether the last answer was right


@dataclass(frozen=True, eq=False)
class HLRParameters:
    """Weights of the log2 of the half-life in days, and what recall is multiplied by."""

    per_right: Tensor  # (1,)
    per_wrong: Tensor  # (1,)
    easiness: Tensor  # (K,), bias included
    readiness: Readiness
    skills: Padded  # (A, M)


@dataclass(frozen=True, eq=False)
class HLR(Tracer):
    """Half-life regression (Settles and Meeder 2016, equations 1-5): a rival known to be weak, for comparison only.

    R = 2 ** (-days / h), log2 h = per_right sqrt(1 + right) + per_wrong sqrt(1 + wrong) + easiness of the skill, h
    within 15 minutes and 274 days. P(correct) = fresh * R with `fresh` as in FSRS (`curve_alone` = True leaves it at 1,
    as published). On 9,999 people's flash cards its log loss is worse than each person's average (srs-benchmark). It
    does not see when answers came, so it has no spacing effect: never train a policy on it alone.

    Fitted by L-BFGS-B to the sum of (p - P)^2 + half_life_weight (h_observed - h)^2 and `ridge` times the squared
    weights. The published half_life_weight is .01, for rows that are shares of a session's words; a single answer says
    next to nothing of h, so the default is 0. With `monotone`, per_right >= 0 >= per_wrong.
    """

    monotone: bool = True
    curve_alone: bool = False
    half_life_weight: float = 0.0
    ridge: float = 0.1
    pass_mark: float = 0.5
    parameters: HLRParameters | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy fitted to every row of `log`; without times only the rates of right answers are learnt."""
        cards, skills = Cards.of(log.sequences(catalog), catalog), len(catalog.skill_ids)
        ready = Readiness.fit(cards, skills, self.pass_mark)
        ready = ready.curve_alone() if self.curve_alone else ready
        right, wrong = _before(cards)
        scored = cards.later & (cards.gap > 0)
        passed = np.append(False, cards.correct[:-1] >= self.pass_mark).astype(np.int64)
        of_skill = cards.of_skill
        fresh = ready.fresh.numpy()[of_skill, passed].astype(np.float64)
        data = _Data(
            np.stack([np.sqrt(1.0 + right), np.sqrt(1.0 + wrong)], 1)[scored],
            of_skill[scored],
            cards.gap[scored],
            cards.correct[scored].astype(np.float64),
            fresh[scored],
        )
        sign = [(0.0, None), (None, 0.0)] if self.monotone else [(None, None)] * 2
        found = optimize.minimize(
            _loss,
            np.zeros(3 + skills),
            (data, self.ridge, self.half_life_weight),
            jac=True,
            method="L-BFGS-B",
            bounds=sign + [(None, None)] * (1 + skills),
            options={"maxiter": 300},
        )
        theta = torch.from_numpy(found.x).float()
        parameters = HLRParameters(theta[:1], theta[1:2], theta[2] + theta[3:], ready, skills_of(catalog))
        return replace(self, parameters=parameters)

    def fitted(self) -> HLRParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this HLR has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> HLRBelief:
        easiness = self.fitted().easiness
        zero = easiness.new_zeros(n, easiness.shape[0])
        return HLRBelief(zero, zero, zero.double(), zero.long() - 1)

    def draw(self, rng: Rng) -> HLRBelief:
        """Return the beliefs of learners who have answered nothing yet; HLR knows no traits."""
        return self.start(len(rng))

    def half_life(self, belief: HLRBelief) -> Tensor:
        """Return (B, K), the half-life of each skill in days."""
        return self._half_life(belief, self.fitted().easiness)

    def _half_life(self, belief: HLRBelief, easiness: Tensor) -> Tensor:
        p = self.fitted()
        log2 = p.per_right * torch.sqrt(1.0 + belief.right) + p.per_wrong * torch.sqrt(1.0 + belief.wrong) + easiness
        return torch.exp(math.log(2.0) * log2.clamp(-20.0, 20.0)).clamp(SHORTEST, LONGEST)

    def mastery(self, belief: HLRBelief) -> Tensor:
        p = self.fitted()
        return self._p_correct(belief, p.easiness, p.readiness.first, p.readiness.fresh)

    def predict(self, belief: HLRBelief) -> Tensor:
        return mean_over_skills(self.mastery(belief), self.fitted().skills)

    def predict_at(self, belief: HLRBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, real = p.skills.index[activity], p.skills.real[activity].float()
        there = HLRBelief(*(part.gather(1, index) for part in belief))
        ready = p.readiness
        p_correct = self._p_correct(there, p.easiness[index], ready.first[index], ready.fresh[index])
        return (p_correct * real).sum(1) / real.sum(1)

    def _p_correct(self, belief: HLRBelief, easiness: Tensor, first: Tensor, fresh: Tensor) -> Tensor:
        ready = torch.where(belief.seen > 0, fresh[..., 1], fresh[..., 0])
        recall = half_life(belief.age.float(), self._half_life(belief, easiness))
        return torch.where(belief.seen < 0, first, ready * recall).clamp(LOWEST, HIGHEST)

    def update(self, belief: HLRBelief, evidence: Evidence) -> HLRBelief:
        skills = self.fitted().skills
        index, real = skills.index[evidence.activity], skills.real[evidence.activity].float()
        score = evidence.correct[:, None].float()
        hit = torch.zeros_like(belief.right).scatter_add(1, index, real) > 0
        passed = (score >= self.pass_mark).long()
        return HLRBelief(
            torch.where(hit, belief.right + score, belief.right),
            torch.where(hit, belief.wrong + 1.0 - score, belief.wrong),
            torch.where(hit, 0.0, belief.age),
            torch.where(hit, passed, belief.seen),
        )

    def elapse(self, belief: HLRBelief, days: Tensor) -> HLRBelief:
        return belief._replace(age=belief.age + days[:, None])

    def features(self, belief: HLRBelief) -> Tensor:
        """Return (B, 2K): log half-life and log(1 + days since the answer); 0 where never answered."""
        met = (belief.seen >= 0).float()
        days = torch.log1p(belief.age).float()
        return torch.cat([met * torch.log(self.half_life(belief)), met * days], 1)


class _Data(NamedTuple):
    """N answers of skills met before."""

    history: Floats  # (N, 2) sqrt(1 + right), sqrt(1 + wrong)
    skill: NDArray[np.int64]
    days: Floats
    correct: Floats
    fresh: Floats


def _before(cards: Cards) -> tuple[Floats, Floats]:
    """Return (N,) right and wrong answers on each card before each review."""
    sums = [np.append(0.0, np.cumsum(x.astype(np.float64))) for x in (cards.correct, 1.0 - cards.correct)]
    repeats = np.diff(cards.start)
    right, wrong = (total[:-1] - np.repeat(total[cards.start[:-1]], repeats) for total in sums)
    return right, wrong


def _loss(theta: Floats, data: _Data, ridge: float, half_life_weight: float) -> tuple[float, Floats]:
    """Return the penalised loss of weights (3 + K,) for right, wrong, bias and skills, and its gradient."""
    log2 = data.history @ theta[:2] + theta[2] + theta[3:][data.skill]
    low, high = math.log2(SHORTEST), math.log2(LONGEST)
    h = np.exp2(log2.clip(low, high))
    recall = np.exp2(-data.days / h)
    error = data.fresh * recall - data.correct
    slope = 2.0 * error * data.fresh * recall * math.log(2.0) ** 2 * data.days / h
    observed = (-data.days / np.log2(data.correct.clip(LOWEST, HIGHEST))).clip(SHORTEST, LONGEST)
    value = error @ error + half_life_weight * ((h - observed) @ (h - observed)) + ridge * (theta @ theta)
    slope += half_life_weight * 2.0 * (h - observed) * h * math.log(2.0)
    slope = np.where((log2 > low) & (log2 < high), slope, 0.0)
    gradient = 2.0 * ridge * theta
    gradient[:2] += data.history.T @ slope
    gradient[2] += slope.sum()
    gradient[3:] += np.bincount(data.skill, slope, len(theta) - 3)
    return float(value), gradient
