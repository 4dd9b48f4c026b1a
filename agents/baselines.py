"""Baselines: the floors and the honest heuristics that learning has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.skills import mean_over_skills
from .agent import Policy, greedy, uniform


@dataclass(frozen=True, eq=False)
class Random(Policy):
    """Any activity, whatever the rules say: the lowest floor."""

    space: Space
    guarded: ClassVar[bool] = False

    def __call__(self, observation: Observation) -> Tensor:
        return uniform(observation.mask)


@dataclass(frozen=True, eq=False)
class RandomLegal(Policy):
    """Any activity that the rules allow: the floor that published agents often fail to beat."""

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        return uniform(observation.mask)


@dataclass(frozen=True, eq=False)
class FixedOrder(Policy):
    """The catalogue from top to bottom, and again: the next allowed activity after the latest one."""

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        n = self.space.n_activities
        last = (self.space.of(observation, "progress")[:, 3:4] * n).round().long() - 1
        ahead = (torch.arange(n, device=last.device) - last - 1) % n
        return greedy(-ahead.float(), observation.mask)


@dataclass(frozen=True, eq=False)
class Cyclic(Policy):
    """Activity 0, 1, 2, ... and again, whatever the rules say (the published KSS comparison)."""

    space: Space
    guarded: ClassVar[bool] = False

    def __call__(self, observation: Observation) -> Tensor:
        step = (self.space.of(observation, "progress")[:, 1] * self.space.horizon).round().long()
        place = observation.mask.long().cumsum(1) - 1
        return ((place == (step % observation.mask.sum(1))[:, None]) & observation.mask).float()


@dataclass(frozen=True, eq=False)
class MasteryLearning(Policy):
    """Stay with each goal skill, in catalogue order, until it is believed mastered (Bloom 1968; Corbett 2001: .95).

    The first allowed activity that teaches an unmastered goal skill; when none is left, the weakest allowed one.
    """

    space: Space
    threshold: float = 0.95

    def __call__(self, observation: Observation) -> Tensor:
        mastery, goal = self.space.of(observation, "mastery"), self.space.of(observation, "goal")
        wanted = mean_over_skills(((mastery < self.threshold) & (goal > 0)).float(), self.space.skills) > 0
        order = torch.arange(self.space.n_activities, 0, -1, device=mastery.device)
        return greedy(wanted * order + _weakness(self.space, observation), observation.mask)


@dataclass(frozen=True, eq=False)
class WeakestAllowed(Policy):
    """The allowed activity whose goal skills are believed weakest; among equals the first of the catalogue."""

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        return greedy(_weakness(self.space, observation), observation.mask)


@dataclass(frozen=True, eq=False)
class GapPerMinute(Policy):
    """The allowed activity with the largest believed gap per minute, summed over its goal skills."""

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        skills = self.space.skills
        gap = (1.0 - self.space.of(observation, "mastery")) * self.space.of(observation, "goal")
        total = mean_over_skills(gap, skills) * skills.real.sum(1)
        return greedy(total / self.space.minutes.clamp_min(1e-6), observation.mask)


def _weakness(space: Space, observation: Observation) -> Tensor:
    """Return (B, A) in [0, 1], the mean believed gap over the goal skills of each activity; 0 where it has none."""
    mastery, goal = space.of(observation, "mastery"), space.of(observation, "goal")
    gap, share = mean_over_skills((1.0 - mastery) * goal, space.skills), mean_over_skills(goal, space.skills)
    return torch.where(share > 0, gap / share.clamp_min(1e-6), torch.zeros_like(gap))
