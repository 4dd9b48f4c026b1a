"""FSRS-6: a stability and a difficulty per skill, and a power law of forgetting between reviews."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..cards import Cards, whole_days
from ..memory import power_interval
from ..rng import Rng
from ..skills import Padded, mean_over_skills, skills_of
from ..tracer import Evidence, Tracer
from . import fsrs_rules as rules
from .fsrs_fit import fitted_weights
from .readiness import HIGHEST, LOWEST, Readiness


class FSRSBelief(NamedTuple):
    """The memory of each skill."""

    stability: Tensor  # (B, K) days after which recall is .9; 1 where never reviewed
    difficulty: Tensor  # (B, K) in 1..10
    age: Tensor  # (B, K) float64, days since the last review
    seen: Tensor  # (B, K) int64, -1 never reviewed, else whether the last answer was right


@dataclass(frozen=True, eq=False)
class FSRSParameters:
    """The 21 weights, shared by all skills, and what recall is multiplied by."""

    weights: Tensor  # (21,)
    readiness: Readiness
    skills: Padded  # (A, M)


@dataclass(frozen=True, eq=False)
class FSRS(Tracer):
    """FSRS-6 (open-spaced-repetition, Jarrett Ye and others; the rules are in fsrs_rules) with a skill as a card.

    A score of `pass_mark` or more is the grade Good, a lower one Again; Hard and Easy do not occur. Days are whole
    days, as in py-fsrs: reviews of the same day change the stability by a rule of their own and are not scored.
    P(correct) = fresh * R for skills reviewed before. FSRS itself has fresh = 1, which is right for flash cards; for
    skills that take more than remembering, `fresh` is fitted per skill and last answer from reviews of the same day.
    (`curve_alone` = True leaves it at 1: better on later days for flash cards, where the answers of the first day are
    mere learning.) Skills never met are answered at the skill's own rate. An activity with several skills is answered
    with the mean of their probabilities, and reviews each of them.

    `fit` trains the weights as py-fsrs does: Adam at `rate` with cosine decay, `epochs` passes in batches of `batch`
    reviews (larger ones for long logs), within py-fsrs's bounds; with fewer reviews on later days than one batch the
    defaults stay. With the default weights a better answer in the past never lowered R later, in 20,000 random
    histories; nothing in the rules guarantees it for fitted weights.
    """

    pass_mark: float = 0.5
    curve_alone: bool = False
    epochs: int = 5
    batch: int = 512  # reviews
    rate: float = 0.04
    parameters: FSRSParameters | None = None

    def fit(self, log: Log | None, catalog: Catalog) -> Self:
        """Return a copy fitted to every row of `log`; a log without times leaves the weights as they are.

        Without a log it is `of(catalog)`.
        """
        if log is None:
            return self.of(catalog)
        cards, skills = Cards.of(log.sequences(catalog), catalog), len(catalog.skill_ids)
        ready = Readiness.fit(cards, skills, self.pass_mark)
        ready = ready.curve_alone() if self.curve_alone else ready
        passed = torch.from_numpy(cards.correct).roll(1) >= self.pass_mark
        fresh = ready.fresh[torch.from_numpy(cards.of_skill), passed.long()]
        weights = fitted_weights(cards, fresh, self.pass_mark, self.epochs, self.batch, self.rate)
        return replace(self, parameters=FSRSParameters(weights, ready, skills_of(catalog)))

    def of(self, catalog: Catalog) -> Self:
        """Return a copy with the default weights, for cards of which there is no log."""
        ready = Readiness.certain(len(catalog.skill_ids))
        return replace(self, parameters=FSRSParameters(torch.tensor(rules.WEIGHTS), ready, skills_of(catalog)))

    def fitted(self) -> FSRSParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this FSRS has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> FSRSBelief:
        first = self.fitted().readiness.first
        one = first.new_ones(n, first.shape[0])
        return FSRSBelief(one, 5.0 * one, torch.zeros_like(one, dtype=torch.float64), -one.long())

    def draw(self, rng: Rng) -> FSRSBelief:
        """Return the beliefs of learners who have met nothing yet; FSRS knows no traits."""
        return self.start(len(rng))

    def recall(self, belief: FSRSBelief) -> Tensor:
        """Return (B, K), R of each skill now; 0 where it was never reviewed."""
        days = whole_days(belief.age).float()
        return torch.where(belief.seen < 0, 0.0, rules.recall(days, belief.stability, self.fitted().weights))

    def interval_for(self, belief: FSRSBelief, retention: float) -> Tensor:
        """Return (B, K), the days after a review at which R has fallen to `retention`; 0 for skills never met."""
        if not 0.0 < retention < 1.0:
            raise ValueError(f"a retention of {retention}; give a probability between 0 and 1, such as 0.9")
        days = power_interval(retention, belief.stability, self.fitted().weights[20])
        return torch.where(belief.seen < 0, 0.0, days)

    def mastery(self, belief: FSRSBelief) -> Tensor:
        ready = self.fitted().readiness
        return self._p_correct(belief, ready.first, ready.fresh)

    def predict(self, belief: FSRSBelief) -> Tensor:
        return mean_over_skills(self.mastery(belief), self.fitted().skills)

    def predict_at(self, belief: FSRSBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, real = p.skills.index[activity], p.skills.real[activity].float()
        there = FSRSBelief(*(part.gather(1, index) for part in belief))
        p_correct = self._p_correct(there, p.readiness.first[index], p.readiness.fresh[index])
        return (p_correct * real).sum(1) / real.sum(1)

    def _p_correct(self, belief: FSRSBelief, first: Tensor, fresh: Tensor) -> Tensor:
        ready = torch.where(belief.seen > 0, fresh[..., 1], fresh[..., 0])
        return torch.where(belief.seen < 0, first, ready * self.recall(belief)).clamp(LOWEST, HIGHEST)

    def update(self, belief: FSRSBelief, evidence: Evidence) -> FSRSBelief:
        p = self.fitted()
        index, real = p.skills.index[evidence.activity], p.skills.real[evidence.activity]  # (B, M)
        passed = (evidence.correct >= self.pass_mark)[:, None].expand(index.shape)
        grade = torch.where(passed, rules.GOOD, rules.AGAIN)
        stability, difficulty, age, seen = (part.gather(1, index) for part in belief)
        new = seen < 0
        first = rules.first_review(grade, p.weights)
        later = rules.review(stability, difficulty, whole_days(age).float(), grade, p.weights)
        after = (
            torch.where(new, first[0], later[0]),
            torch.where(new, first[1], later[1]),
            torch.zeros_like(age),
            passed.long(),
        )
        # A padded place must not write: it is given the value it has, at a column past the last skill.
        index = torch.where(real, index, belief.age.shape[1])
        return FSRSBelief(*(_write(old, index, value) for old, value in zip(belief, after, strict=True)))

    def elapse(self, belief: FSRSBelief, days: Tensor) -> FSRSBelief:
        return belief._replace(age=belief.age + days[:, None])

    def features(self, belief: FSRSBelief) -> Tensor:
        """Return (B, 3K): log stability (0 if never met), difficulty / 10, and log(1 + days since the review)."""
        met = (belief.seen >= 0).float()
        days = torch.log1p(belief.age).float()
        return torch.cat([torch.log(belief.stability), met * belief.difficulty / 10.0, met * days], 1)


def _write(old: Tensor, index: Tensor, value: Tensor) -> Tensor:
    """Return `old` (B, K) with `value` (B, M) at the columns `index` (B, M); what falls on column K is dropped."""
    if index.shape[1] == 1:
        return old.scatter(1, index, value)
    wide = torch.cat([old, torch.zeros_like(old[:, :1])], 1)
    return wide.scatter(1, index, value)[:, :-1].contiguous()
