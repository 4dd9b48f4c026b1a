"""BeliefWorld: what planners expect of the future, from nothing but the observer's own belief."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.observer import Observation, Observer, Record
from ..envs.tracer import Belief, Evidence


@dataclass(frozen=True, eq=False)
class BeliefWorld:
    """The tracer as a simulator: no learner is looked into.

    After every `sitting` activities `gap_days` go by, as the planner was told; a belief is worth the mean believed
    mastery of the goal skills, `after` days later.
    """

    observer: Observer
    sitting: int
    gap_days: float
    after: float

    def record(self, observation: Observation) -> Record:
        """Return the record that `observation` was made from; ValueError where it comes without."""
        if observation.record is None:
            raise ValueError("planning needs the learners' records: observe through an Observer")
        return observation.record

    def days(self, step: Tensor) -> Tensor:
        """Return (B,), the days that follow the activity with the number `step` + 1."""
        return ((step + 1) % self.sitting == 0) * self.gap_days

    def rest(self, belief: Belief, days: Tensor) -> Belief:
        """Return the belief after `days` (B,)."""
        return self.observer.tracer.elapse(belief, days) if self.gap_days else belief

    def worth(self, belief: Belief, goal: Tensor) -> Tensor:
        """Return (B,), the mean mastery of the goals (B, K), `after` days on."""
        tracer = self.observer.tracer
        if self.after:
            belief = tracer.elapse(belief, torch.full_like(goal[:, 0], self.after))
        return (tracer.mastery(belief) * goal).sum(1) / goal.sum(1).clamp_min(1.0)

    def answered(self, record: Record, activity: Tensor, correct: Tensor) -> Record:
        """Return the records after each `activity` was answered `correct` in its typical time, and the days after."""
        days = self.days(record.step)
        minutes = self.observer.minutes.to(activity.device)[activity]
        yes = torch.ones_like(activity, dtype=torch.bool)
        after = self.observer.update(record, activity, correct, minutes, yes)
        return self.observer.elapse(after, days) if self.gap_days else after

    def chance(self, belief: Belief, activity: Tensor) -> Tensor:
        """Return (B,), the believed chance of a right answer."""
        return self.observer.tracer.predict_at(belief, activity)

    def updated(self, belief: Belief, activity: Tensor, correct: float) -> Belief:
        """Return the belief after the same answer of every learner."""
        evidence = Evidence(activity, torch.full(activity.shape, correct, device=activity.device))
        return self.observer.tracer.update(belief, evidence)
