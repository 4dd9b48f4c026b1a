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
from ..envs.students.sampled import SampledStudent
from .agent import greedy
from .lookahead import Lookahead


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
class OracleLookahead(Privileged):
    """One-step lookahead on the truth: `Lookahead` that is told what the learners' own model holds of them.

    For learners sampled from the very model that the observer's tracer is; ValueError for others. It is greedy, so no
    bound where one activity only prepares for another. `sitting` and `gap_days` as there.
    """

    sitting: int = 8
    gap_days: float = 0.0

    def watch(self, room: Classroom) -> Iterator[Tensor]:
        observer, student = room.world.observer, room.world.student
        if not isinstance(student, SampledStudent) or type(student.tracer) is not type(observer.tracer):
            raise ValueError(
                "OracleLookahead: these learners are not sampled from the model that the observer believes"
            )
        look = Lookahead(observer.space, observer, self.sitting, self.gap_days)
        while True:
            yield look(room.observation._replace(record=room.record._replace(belief=room.state.belief)))


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
