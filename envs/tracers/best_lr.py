"""Best-LR: a logistic model of what was answered, and of right and wrong answers so far, at three levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log, Sequences
from ..rng import Rng
from ..skills import Padded, skills_of
from ..tracer import Evidence, Tracer
from .logistic import (
    Block,
    Floats,
    Past,
    learner_of,
    maximum_a_posteriori,
    mean_by_skill,
    ones,
    practised,
    sigmoid,
    single,
    sum_over_skills,
)


class BestLRBelief(NamedTuple):
    """Right answers, and answers of any kind: per skill, per activity and in all."""

    skill_right: Tensor  # (B, K)
    skill_tries: Tensor  # (B, K)
    right: Tensor  # (B, A)
    tries: Tensor  # (B, A)
    all_right: Tensor  # (B,)
    all_tries: Tensor  # (B,)


@dataclass(frozen=True, eq=False)
class BestLRParameters:
    """Fitted weights in logits; those of counts weigh log(1 + count)."""

    easiness: Tensor  # (A,) of the activity, the population's mean included
    skill_easiness: Tensor  # (K,)
    skill_right: Tensor  # (K,)
    skill_tries: Tensor  # (K,)
    right: Tensor  # (1,)
    tries: Tensor  # (1,)
    all_right: Tensor  # (1,)
    all_tries: Tensor  # (1,)
    average: Tensor  # (K,), the mean easiness of the activities of each skill
    skills: Padded  # (A, M)


@dataclass(frozen=True, eq=False)
class BestLR(Tracer):
    """The best logistic regression of Gervet, Koedinger, Schneider and Mitchell (2020, section 3.2).

    logit P(correct) = easiness of the activity + sum over its skills of [easiness + counts of the skill] + counts of
    the activity + counts of everything, where counts = weight log(1 + right) + weight log(1 + tries). The weights of
    a skill's counts are its own, the others are shared.
    With `monotone` the weights of right answers are 0 or more: a right answer in place of a wrong one lowers no
    prediction. `ridge` is the L2 penalty on all weights.
    There are no hidden traits: simulated learners start alike and come apart by their answers, which feed themselves.
    """

    monotone: bool = True
    ridge: float = 1.0
    parameters: BestLRParameters | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy fitted by penalised maximum likelihood."""
        sequences, skills = log.sequences(catalog), skills_of(catalog)
        k = len(catalog.skill_ids)
        blocks = _design(self, sequences, skills, k)
        mean, own, *weights = maximum_a_posteriori(blocks, sequences.correct.astype(np.float64))
        easiness = mean + own
        skill_easiness, skill_right, skill_tries, right, tries, all_right, all_tries = map(single, weights)
        parameters = BestLRParameters(
            easiness=single(easiness),
            skill_easiness=skill_easiness,
            skill_right=skill_right,
            skill_tries=skill_tries,
            right=right,
            tries=tries,
            all_right=all_right,
            all_tries=all_tries,
            average=single(mean_by_skill(easiness, skills, k, otherwise=float(mean[0]))),
            skills=skills,
        )
        return replace(self, parameters=parameters)

    def fitted(self) -> BestLRParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this BestLR has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> BestLRBelief:
        p = self.fitted()
        by_skill, by_activity = p.average.new_zeros(n, len(p.average)), p.easiness.new_zeros(n, len(p.easiness))
        none = p.average.new_zeros(n)
        return BestLRBelief(by_skill, by_skill, by_activity, by_activity, none, none)

    def draw(self, rng: Rng) -> BestLRBelief:
        return self.start(len(rng))

    def _by_skill(self, belief: BestLRBelief) -> Tensor:
        p = self.fitted()
        right, tries = torch.log1p(belief.skill_right), torch.log1p(belief.skill_tries)
        return p.skill_easiness + p.skill_right * right + p.skill_tries * tries

    def _in_all(self, belief: BestLRBelief) -> Tensor:
        p = self.fitted()
        return p.all_right * torch.log1p(belief.all_right) + p.all_tries * torch.log1p(belief.all_tries)

    def predict(self, belief: BestLRBelief) -> Tensor:
        p = self.fitted()
        own = p.easiness + p.right * torch.log1p(belief.right) + p.tries * torch.log1p(belief.tries)
        return sigmoid(own + sum_over_skills(self._by_skill(belief), p.skills) + self._in_all(belief)[:, None])

    def predict_at(self, belief: BestLRBelief, activity: Tensor) -> Tensor:
        p, at = self.fitted(), activity[:, None]
        index, real = p.skills.index[activity], p.skills.real[activity].to(belief.right.dtype)
        right, tries = (
            torch.log1p(belief.skill_right.gather(1, index)),
            torch.log1p(belief.skill_tries.gather(1, index)),
        )
        by_skill = p.skill_easiness[index] + p.skill_right[index] * right + p.skill_tries[index] * tries
        right, tries = torch.log1p(belief.right.gather(1, at))[:, 0], torch.log1p(belief.tries.gather(1, at))[:, 0]
        own = p.easiness[activity] + p.right * right + p.tries * tries
        return sigmoid(own + (by_skill * real).sum(1) + self._in_all(belief))

    def update(self, belief: BestLRBelief, evidence: Evidence) -> BestLRBelief:
        p, at = self.fitted(), evidence.activity[:, None]
        index, real = p.skills.index[evidence.activity], p.skills.real[evidence.activity].to(belief.right.dtype)
        score = evidence.correct[:, None].to(belief.right.dtype)
        return BestLRBelief(
            belief.skill_right.scatter_add(1, index, score * real),
            belief.skill_tries.scatter_add(1, index, real),
            belief.right.scatter_add(1, at, score),
            belief.tries.scatter_add(1, at, torch.ones_like(score)),
            belief.all_right + score[:, 0],
            belief.all_tries + 1.0,
        )

    def elapse(self, belief: BestLRBelief, days: Tensor) -> BestLRBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: BestLRBelief) -> Tensor:
        """Return (B, K), P(correct) on an average activity of each skill alone that the learner has not met."""
        return sigmoid(self.fitted().average + self._by_skill(belief) + self._in_all(belief)[:, None])

    def features(self, belief: BestLRBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.skill_right[:, :0]


def _design(model: BestLR, sequences: Sequences, skills: Padded, k: int) -> list[Block]:
    """Return the blocks of the design: the population, then the parameters in their order."""
    n, a = len(sequences.activity), len(skills.index)
    item, learner, score = sequences.activity, learner_of(sequences), sequences.correct.astype(np.float64)
    row, skill = practised(sequences, skills)
    rows, everything, low = np.arange(n), np.zeros(n, np.int64), 0.0 if model.monotone else -np.inf
    of_skill, of_item, of_all = Past(learner[row] * k + skill), Past(learner * a + item), Past(learner)

    def by_skill(value: Floats, low: float = -np.inf) -> Block:
        return Block(row, skill, value, k, model.ridge, low)

    def shared(count: Floats, low: float = -np.inf) -> Block:
        return Block(rows, everything, np.log1p(count), 1, model.ridge, low)

    return [
        ones(everything, 1, 0.0),
        ones(item, a, model.ridge),
        by_skill(np.ones(len(row))),
        by_skill(np.log1p(of_skill.sums(score[row])), low),
        by_skill(np.log1p(of_skill.sums(np.ones(len(row))))),
        shared(of_item.sums(score), low),
        shared(of_item.sums(np.ones(n))),
        shared(of_all.sums(score), low),
        shared(of_all.sums(np.ones(n))),
    ]
