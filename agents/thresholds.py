"""Thresholds: policies that look for the activity whose believed recall or chance of success is as it should be."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.observer import Observation, Observer, Space
from ..envs.skills import mean_over_skills
from .agent import Policy, greedy, uniform


@dataclass(frozen=True, eq=False)
class Threshold(Policy):
    """The allowed activity whose believed recall is nearest to `threshold` (Reddy, Levine and Dragan 2017's tutor).

    There the tutor knows true recall (`OracleThreshold`); here it has what the tracer believes of an activity's skills.
    """

    space: Space
    threshold: float = 0.5

    def __call__(self, observation: Observation) -> Tensor:
        recall = mean_over_skills(self.space.of(observation, "mastery"), self.space.skills)
        return greedy(-(recall - self.threshold).abs(), observation.mask)


@dataclass(frozen=True, eq=False)
class TargetDifficulty(Policy):
    """The allowed goal activity whose chance of a right answer is nearest to `target`: neither dull nor hopeless.

    The zone of proximal development as a rule (Vygotsky 1978); near .85 learning is fastest in several models (Wilson,
    Shenhav, Straccia and Cohen 2019). Where no activity of a goal skill is allowed, any activity.
    """

    space: Space
    observer: Observer
    target: float = 0.85

    def __call__(self, observation: Observation) -> Tensor:
        if observation.record is None:
            raise ValueError("TargetDifficulty needs the learners' records: observe through an Observer")
        p_correct = self.observer.tracer.predict(observation.record.belief)
        goal = mean_over_skills(self.space.of(observation, "goal"), self.space.skills) > 0
        return greedy((goal & observation.mask) * 2.0 - (p_correct - self.target).abs(), observation.mask)


@dataclass(frozen=True, eq=False)
class Memorize(Policy):
    """MEMORIZE (Tabibian et al. 2019, equation 9): review at a rate of q ** -1/2 (1 - recall).

    Here one activity comes at every step, so the rates become choice probabilities and the price q of a review
    cancels: each allowed activity of a goal skill in proportion to what is believed forgotten of it. Where nothing is,
    any activity.
    """

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        skills = self.space.skills
        goal = mean_over_skills(self.space.of(observation, "goal"), skills) > 0
        rate = (1.0 - mean_over_skills(self.space.of(observation, "mastery"), skills)).clamp_min(0.0)
        rate = rate * (goal & observation.mask)
        total = rate.sum(1, keepdim=True)
        return torch.where(total > 1e-9, rate / total.clamp_min(1e-9), uniform(observation.mask))
