"""Privileged: choosers that see the learners' hidden state; ceilings to measure others by, never policies to deploy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..envs.classroom import Classroom
from ..envs.skills import mean_over_skills
from .agent import greedy


class Privileged(ABC):
    """Watches a classroom with its hidden states; whatever it reaches, no recommender can be asked for.

    It sees how learners are, not the coins that are still to fall. It is no `Policy`: it takes no observation, so no
    bundle can hold it. Tables call its kind `ceiling`.
    """

    guarded: ClassVar[bool] = True

    @abstractmethod
    def watch(self, room: Classroom) -> Iterator[Tensor]:
        """Yield (B, A) probabilities before every step of `room`, for as long as it is asked; rows as a Policy's."""


@dataclass(frozen=True)
class OracleThreshold(Privileged):
    """The allowed activity whose true recall is nearest to `threshold` (the "Threshold" tutor of Reddy et al. 2017)."""

    threshold: float = 0.5

    def watch(self, room: Classroom) -> Iterator[Tensor]:
        skills = room.world.observer.skills
        while True:
            recall = mean_over_skills(room.world.student.mastery(room.state), skills)
            yield greedy(-(recall - self.threshold).abs(), room.observation.mask)


@dataclass(frozen=True)
class OracleWeakest(Privileged):
    """The allowed activity whose goal skills are truly weakest; among equals the first of the catalogue.

    It wastes no practice on what is known already. No bound where learning a skill takes others first, or fades.
    """

    def watch(self, room: Classroom) -> Iterator[Tensor]:
        skills = room.world.observer.skills
        while True:
            goal, known = room.record.goal, room.world.student.mastery(room.state)
            gap, share = mean_over_skills((1.0 - known) * goal, skills), mean_over_skills(goal, skills)
            yield greedy(torch.where(share > 0, gap / share.clamp_min(1e-6), 0.0), room.observation.mask)


@dataclass(frozen=True)
class OneStepGreedy(Privileged):
    """The allowed activity with the highest expected reward of the next step, given the hidden state.

    Every activity is tried on every learner: A futures of each, or `draws` times A where chance decides answers; all
    activities meet the same `draws` coins, which are not those of the room. Among equals: the first of the catalogue.
    """

    draws: int = 1

    def watch(self, room: Classroom) -> Iterator[Tensor]:
        while True:
            yield greedy(self._gains(room), room.observation.mask)

    def _gains(self, room: Classroom) -> Tensor:
        """Return (B, A), the mean reward of each activity over the draws."""
        n, a = room.observation.mask.shape
        gains = torch.zeros(n, a)
        for draw in range(self.draws):
            futures = room.fork(torch.arange(n).repeat_interleave(a), draw)
            gains += futures.step(torch.arange(a).repeat(n)).reward.view(n, a)
        return gains / self.draws
