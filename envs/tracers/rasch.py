"""Rasch's model: one ability per learner, followed answer by answer, and one easiness per activity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Purpose, Rng
from ..skills import skills_of
from ..tracer import Evidence, Tracer
from .logistic import (
    Block,
    Floats,
    Integers,
    learner_of,
    maximum_a_posteriori,
    mean_by_skill,
    ones,
    practised,
    sigmoid,
    single,
)

_VARIANCES = (0.01, 4.0)  # of ability in a population, in logits**2: what is outside is a log too small to tell
_SLOPES = (0.25, 4.0)
_SLOPE_RIDGE = 10.0


class RaschBelief(NamedTuple):
    """A normal posterior of the ability, in logits; variance 0 = known, as a simulated learner's is."""

    mean: Tensor  # (B,)
    variance: Tensor  # (B,)


@dataclass(frozen=True, eq=False)
class RaschParameters:
    """Fitted weights in logits."""

    easiness: Tensor  # (A,), minus the difficulty
    slope: Tensor  # (A,), the discrimination: 1 in Rasch's own model
    skill_easiness: Tensor  # (K,), of an average activity of the skill
    skill_slope: Tensor  # (K,)
    variance: Tensor  # (1,), of ability among learners


@dataclass(frozen=True, eq=False)
class Rasch(Tracer):
    """Item response theory with an ability that is followed online.

    logit P(correct) = slope ability + easiness of the activity (Rasch 1960: slope = 1; with `discrimination` each
    activity has its own: Birnbaum 1968). The easiness is that of the population, plus the mean of the activity's
    skills, plus its own part; `ridge` shrinks the last two, so an activity that the log does not show has the mean of
    its skills, and a skill that it does not show that of the population.

    The posterior of the ability is kept normal by one Newton step per answer, and predictions average over it (Glickman
    1999; MacKay 1992). `drift` is the variance in logits**2 that every answer adds, since learners change; the ability
    drawn for a simulated learner is known and stays. Without `online` all abilities are 0: only the activity counts.
    """

    online: bool = True
    discrimination: bool = False
    drift: float = 0.01
    ridge: float = 1.0
    parameters: RaschParameters | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy fitted by penalised maximum likelihood, the variance of ability by expectation maximisation."""
        sequences, skills, q = log.sequences(catalog), skills_of(catalog), catalog.q_matrix()
        answers, item = sequences.correct.astype(np.float64), sequences.activity
        a, k = q.shape
        share = q / np.maximum(q.sum(1, keepdims=True), 1)
        row, skill = practised(sequences, skills)
        nobody = np.zeros(len(item), np.int64)
        blocks = [
            ones(nobody, 1, 0.0),
            ones(item, a, self.ridge),
            Block(row, skill, share[item[row], skill], k, self.ridge),
        ]
        if self.online:
            (mean, own, by_skill), slope, variance = self._with_abilities(
                blocks, share, answers, item, learner_of(sequences)
            )
        else:
            mean, own, by_skill = maximum_a_posteriori(blocks, answers)
            slope, variance = np.ones(a), 0.0
        easiness = mean + own + share @ by_skill
        skill_easiness = np.where(q.any(0), mean_by_skill(easiness, skills, k), mean + by_skill)
        skill_slope = mean_by_skill(slope, skills, k, otherwise=1.0)
        found = (single(x) for x in (easiness, slope, skill_easiness, skill_slope, np.array([variance])))
        return replace(self, parameters=RaschParameters(*found))

    def _with_abilities(
        self, blocks: list[Block], share: Floats, answers: Floats, item: Integers, learner: Integers
    ) -> tuple[list[Floats], Floats, float]:
        """Return the weights of `blocks`, the slopes (A,) and the variance of ability."""
        rows, n_learners = np.arange(len(item)), int(learner[-1]) + 1
        slope, variance, start = np.ones(len(share)), 1.0, None
        for turn in range(5 if self.discrimination else 2):
            everything = [*blocks, Block(rows, learner, slope[item], n_learners, 1.0 / variance)]
            start = maximum_a_posteriori(everything, answers, 0.0, start, 1e-7 if turn else 1e-5)
            *weights, ability = start
            if self.discrimination and turn:
                own = Block(rows, item, ability[learner], len(slope), _SLOPE_RIDGE, _SLOPES[0] - 1.0, _SLOPES[1] - 1.0)
                *weights, beyond = maximum_a_posteriori(
                    [*blocks, own], answers, ability[learner], [*weights, slope - 1.0], 1e-6
                )
                slope, start = 1.0 + beyond, [*weights, ability]
            mean, activity, by_skill = weights
            logit = (mean + activity + share @ by_skill)[item] + slope[item] * ability[learner]
            p = 1.0 / (1.0 + np.exp(-logit))
            information = np.bincount(learner, slope[item] ** 2 * p * (1.0 - p), minlength=n_learners)
            moment = float(np.mean(ability**2 + 1.0 / (information + 1.0 / variance)))  # Laplace's E-step
            if turn < 2:  # then it is kept, or slopes and abilities would trade scale for ever
                variance = min(max(moment, _VARIANCES[0]), _VARIANCES[1])
        return weights, slope, variance

    def fitted(self) -> RaschParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this Rasch has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> RaschBelief:
        variance = self.fitted().variance
        return RaschBelief(variance.new_zeros(n), variance.expand(n).clone())

    def draw(self, rng: Rng) -> RaschBelief:
        start = self.start(len(rng))
        normal = rng.normal(Purpose.TRAITS)[:, 0].to(start.mean.device)
        return RaschBelief(torch.sqrt(start.variance) * normal, torch.zeros_like(start.variance))

    def predict(self, belief: RaschBelief) -> Tensor:
        p = self.fitted()
        return _average(belief.mean[:, None], belief.variance[:, None], p.easiness, p.slope)

    def predict_at(self, belief: RaschBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        return _average(belief.mean, belief.variance, p.easiness[activity], p.slope[activity])

    def update(self, belief: RaschBelief, evidence: Evidence) -> RaschBelief:
        p = self.fitted()
        slope = p.slope[evidence.activity]
        expected = sigmoid(p.easiness[evidence.activity] + slope * belief.mean)
        variance = belief.variance / (1.0 + belief.variance * slope**2 * expected * (1.0 - expected))
        mean = belief.mean + variance * slope * (evidence.correct - expected)
        return RaschBelief(mean, torch.where(variance > 0, variance + self.drift, variance))

    def elapse(self, belief: RaschBelief, days: Tensor) -> RaschBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: RaschBelief) -> Tensor:
        """Return (B, K), P(correct) on an average activity of each skill."""
        p = self.fitted()
        return _average(belief.mean[:, None], belief.variance[:, None], p.skill_easiness, p.skill_slope)

    def features(self, belief: RaschBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.mean[:, None][:, :0]


def _average(mean: Tensor, variance: Tensor, easiness: Tensor, slope: Tensor) -> Tensor:
    """Return P(correct) averaged over the posterior of the ability (MacKay 1992, equation 10)."""
    return sigmoid((easiness + slope * mean) / torch.sqrt(1.0 + slope**2 * variance * (pi / 8.0)))
