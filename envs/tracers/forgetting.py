"""Forgetting: exponential forgetting at a rate that is inferred for every card and learner, by Bayes on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..cards import Cards
from ..rng import Purpose, Rng
from ..skills import Padded, mean_over_skills, skills_of
from ..tracer import Evidence, Tracer
from .readiness import HIGHEST, LOWEST, Readiness

_REACH = 2.5  # standard deviations that the grid of rates reaches to both sides
_RATES = np.geomspace(1e-4, 10.0, 60)  # median rates that `fit` tries, per day


class ForgettingBelief(NamedTuple):
    """The posterior of each skill's rate, and what practice made of it."""

    weight: Tensor  # (B, K, G), probabilities of the rates of the grid
    right: Tensor  # (B, K)
    wrong: Tensor  # (B, K)
    age: Tensor  # (B, K) float64, days since the last answer
    seen: Tensor  # (B, K) int64, -1 never met, else whether the last answer was right


@dataclass(frozen=True, eq=False)
class ForgettingParameters:
    """The grid and what recall is multiplied by."""

    rates: Tensor  # (G,) per day at strength 1
    prior: Tensor  # (G,)
    readiness: Readiness
    skills: Padded  # (A, M)


@dataclass(frozen=True, eq=False)
class Forgetting(Tracer):
    """P(recall) = exp(-rate days / strength), the rate unknown (after Reddy, Labutov, Banerjee and Joachims 2016).

    strength = (1 + linear answers) exp(per_right right + per_wrong wrong). Rates are lognormal over learners and
    skills, with median `rate` per day and log-sd `spread`; each answer reweighs `grid` of them by its likelihood. So
    the model knows the population and infers the card. P(correct) = fresh * recall with `fresh` as in FSRS, and a skill
    never met is answered at its own first rate; with `known`, every skill was last met that many days before the start.

    `fit` takes `fresh`, the first rates and the median rate from the log (the rate by maximum likelihood on a grid, all
    learners alike); without a log the settings stand as they are and fresh = 1, for cards made by hand.
    """

    rate: float = 0.077
    spread: float = 1.0
    linear: float = 1.0
    per_right: float = 0.0
    per_wrong: float = 0.0
    known: float | None = None  # days
    grid: int = 15
    pass_mark: float = 0.5
    parameters: ForgettingParameters | None = None

    def __post_init__(self) -> None:
        if self.grid < 2 or not (self.rate > 0 and self.spread >= 0 and self.linear >= 0):
            raise ValueError("Forgetting: give a grid of 2 or more, a rate above 0, a spread and a growth of 0 or more")
        if self.per_right < self.per_wrong:
            raise ValueError("Forgetting: a right answer must strengthen at least as much as a wrong one")

    def fit(self, log: Log | None, catalog: Catalog) -> Self:
        """Return a copy fitted to every row of `log`; without a log, one that knows the catalogue."""
        if log is None:
            return self._with(self.rate, Readiness.certain(len(catalog.skill_ids)), catalog)
        cards = Cards.of(log.sequences(catalog), catalog)
        readiness = Readiness.fit(cards, len(catalog.skill_ids), self.pass_mark)
        return self._with(self._median(cards, readiness), readiness, catalog)

    def _with(self, rate: float, readiness: Readiness, catalog: Catalog) -> Self:
        place = torch.linspace(-_REACH, _REACH, self.grid, dtype=torch.float64)
        prior = torch.exp(-0.5 * place.square())
        rates = (rate * torch.exp(self.spread * place)).float()
        known = ForgettingParameters(rates, (prior / prior.sum()).float(), readiness, skills_of(catalog))
        return replace(self, parameters=known)

    def _median(self, cards: Cards, readiness: Readiness) -> float:
        """Return the one rate under which the log's later answers are likeliest."""
        scored = cards.later & (cards.gap > 0)
        if not scored.any():
            return self.rate
        before = (np.arange(len(cards.row)) - np.repeat(cards.start[:-1], np.diff(cards.start)))[scored]
        fresh = readiness.fresh.numpy()[cards.of_skill[scored], 1].astype(np.float64)
        days, correct = cards.gap[scored] / (1.0 + self.linear * before), cards.correct[scored].astype(np.float64)
        likelihoods = []
        for rate in _RATES:
            p = (fresh * np.exp(-rate * days)).clip(LOWEST, HIGHEST)
            likelihoods.append(float((correct * np.log(p) + (1.0 - correct) * np.log1p(-p)).sum()))
        return float(_RATES[int(np.argmax(likelihoods))])

    def fitted(self) -> ForgettingParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this Forgetting has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> ForgettingBelief:
        p = self.fitted()
        k = p.readiness.first.shape[0]
        zero = p.prior.new_zeros(n, k)
        age = torch.full_like(zero, self.known or 0.0, dtype=torch.float64)
        seen = torch.full_like(zero, -1 if self.known is None else 1, dtype=torch.int64)
        return ForgettingBelief(p.prior.expand(n, k, -1).contiguous(), zero, zero, age, seen)

    def draw(self, rng: Rng) -> ForgettingBelief:
        """Return the beliefs of learners whose rates are drawn from the population, each known for certain."""
        p, belief = self.fitted(), self.start(len(rng))
        u = rng.uniform(Purpose.TRAITS, belief.right.shape[1])
        which = (torch.cumsum(p.prior, 0)[None, None, :-1] <= u[:, :, None]).sum(2)
        return belief._replace(weight=torch.nn.functional.one_hot(which, self.grid).to(p.prior.dtype))

    def _recall(self, right: Tensor, wrong: Tensor, age: Tensor) -> Tensor:
        """Return (..., G), recall under each rate of the grid."""
        strength = (1.0 + self.linear * (right + wrong)) * torch.exp(self.per_right * right + self.per_wrong * wrong)
        return torch.exp(-self.fitted().rates * (age.float() / strength)[..., None])

    def _p_correct(self, belief: ForgettingBelief, first: Tensor, fresh: Tensor) -> Tensor:
        by_rate = belief.weight * self._recall(belief.right, belief.wrong, belief.age)
        recall = by_rate[..., 0]
        for g in range(1, self.grid):  # one order of adding, whatever the batch size
            recall = recall + by_rate[..., g]
        ready = torch.where(belief.seen > 0, fresh[..., 1], fresh[..., 0])
        return torch.where(belief.seen < 0, first, ready * recall).clamp(LOWEST, HIGHEST)

    def mastery(self, belief: ForgettingBelief) -> Tensor:
        ready = self.fitted().readiness
        return self._p_correct(belief, ready.first, ready.fresh)

    def predict(self, belief: ForgettingBelief) -> Tensor:
        return mean_over_skills(self.mastery(belief), self.fitted().skills)

    def predict_at(self, belief: ForgettingBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, real = p.skills.index[activity], p.skills.real[activity].float()
        there = ForgettingBelief(*(_at(part, index) for part in belief))
        p_correct = self._p_correct(there, p.readiness.first[index], p.readiness.fresh[index])
        return (p_correct * real).sum(1) / real.sum(1)

    def update(self, belief: ForgettingBelief, evidence: Evidence) -> ForgettingBelief:
        p = self.fitted()
        index, real = p.skills.index[evidence.activity], p.skills.real[evidence.activity]
        weight, right, wrong, age, seen = (_at(part, index) for part in belief)
        score = evidence.correct[:, None].to(weight.dtype).expand(index.shape)
        # Blamed on the rate as after a right answer, whatever the last one was: so better answers never lower a belief.
        chance = (p.readiness.fresh[index, 1][..., None] * self._recall(right, wrong, age)).clamp(LOWEST, HIGHEST)
        likely = weight * (score[..., None] * chance + (1.0 - score[..., None]) * (1.0 - chance))
        total = likely[..., 0]
        for g in range(1, self.grid):
            total = total + likely[..., g]
        weight = torch.where((seen < 0)[..., None], weight, likely / total[..., None])
        passed = (score >= self.pass_mark).long()
        after = (weight, right + score, wrong + 1.0 - score, torch.zeros_like(age), passed)
        # A padded place must not write: it is given a column past the last skill.
        place = torch.where(real, index, belief.age.shape[1])
        return ForgettingBelief(*(_put(old, place, value) for old, value in zip(belief, after, strict=True)))

    def elapse(self, belief: ForgettingBelief, days: Tensor) -> ForgettingBelief:
        return belief._replace(age=belief.age + days[:, None])

    def features(self, belief: ForgettingBelief) -> Tensor:
        """Return (B, 3K): the believed log rate, the log of the answers, and log(1 + days since the answer)."""
        by_rate = belief.weight * torch.log(self.fitted().rates)
        log_rate = by_rate[..., 0]
        for g in range(1, self.grid):
            log_rate = log_rate + by_rate[..., g]
        answers = torch.log1p(belief.right + belief.wrong)
        return torch.cat([log_rate, answers, torch.log1p(belief.age).float()], 1)


def _at(values: Tensor, index: Tensor) -> Tensor:
    """Return (B, M, ...), `values` (B, K, ...) at the skills `index` (B, M)."""
    place = index if values.dim() == 2 else index[..., None].expand(-1, -1, values.shape[2])
    return values.gather(1, place)


def _put(values: Tensor, index: Tensor, new: Tensor) -> Tensor:
    """Return `values` (B, K, ...) with `new` (B, M, ...) at the columns `index` (B, M); column K is dropped."""
    place = index if values.dim() == 2 else index[..., None].expand(-1, -1, values.shape[2])
    if index.shape[1] == 1:
        return values.scatter(1, place, new)
    wide = torch.cat([values, torch.zeros_like(values[:, :1])], 1)
    return wide.scatter(1, place, new)[:, :-1].contiguous()
