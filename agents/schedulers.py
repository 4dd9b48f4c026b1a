"""Schedulers: rules from the field that say which card is due; most of them need nothing but the learner's history."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.skills import mean_over_skills
from .agent import Policy, greedy, lived, uniform

_LATER = 1e6  # sets one class of activities behind another; lateness stays far below it


@dataclass(frozen=True, eq=False)
class Leitner(Policy):
    """Leitner's boxes with doubling intervals (Leitner 1972): the latest of the due activities, then new ones.

    An activity answered right s times in a row lies in box s + 1, at most `boxes`; a miss brings it back to box 1. Box b
    is due `first` * 2 ** (b - 1) days after the last review. What is due goes by lateness, days since the review over
    the interval; where nothing is due, the first new activity of the catalogue; else what is due next. With `new_first`
    every activity is met once before anything is reviewed.
    """

    space: Space
    first: float = 1.0  # days
    boxes: int = 5
    new_first: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        box = lived(observation).streak.clamp_max(self.boxes - 1).float()
        return _by_lateness(observation, self.first * torch.exp2(box), self.new_first)


@dataclass(frozen=True, eq=False)
class LeitnerQueues(Policy):
    """Leitner's queues, sampled (Reddy, Labutov, Banerjee and Joachims 2016, as a tutor of Reddy et al. 2017).

    With probability `arrival` the first new activity of the catalogue, while there is one; else queue i is drawn in
    proportion to 1 / sqrt(i) among the queues that are not empty, and of it the activity that waits longest. The
    queue is the box of `Leitner`.
    """

    space: Space
    arrival: float = 0.5
    boxes: int = 5

    def __call__(self, observation: Observation) -> Tensor:
        history, mask = lived(observation), observation.mask
        new = mask & (history.attempts == 0)
        p = torch.zeros_like(mask, dtype=torch.float32)
        weights = torch.zeros_like(p[:, 0])
        box = history.streak.clamp_max(self.boxes - 1)
        for b in range(self.boxes):
            here = mask & ~new & (box == b)
            weight = here.any(1) * (b + 1) ** -0.5
            p = p + _one(history.since, here) * weight[:, None]
            weights = weights + weight
        fresh = _one(_first(mask), new)
        share = torch.where(weights > 0, torch.where(new.any(1), self.arrival, 0.0), 1.0)[:, None]
        return share * fresh + (1.0 - share) * p / weights.clamp_min(1e-9)[:, None]


@dataclass(frozen=True, eq=False)
class SM2(Policy):
    """SuperMemo 2 (Wozniak 1990) with two grades: 4 for a right answer, 2 for a wrong one; due first, then new ones.

    Grade 4 leaves the ease as it is, so it follows from the misses alone: ease = max(1.3, 2.5 - fall * misses), where
    `fall` = .32 is what the formula for grade 2 takes; Wozniak's own text keeps the ease after a miss, which is
    `fall` = 0. A miss starts the repetitions anew, so the interval follows from the right answers s in a row: 1 day for
    s <= 1, 6 for s = 2, then 6 ease ** (s - 2); the ease cannot change within a row. All intervals times `day`. What is
    due goes by lateness as in `Leitner`; so does `new_first`.
    """

    space: Space
    day: float = 1.0
    fall: float = 0.32
    new_first: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        history = lived(observation)
        ease = (2.5 - self.fall * (history.attempts - history.right).float()).clamp_min(1.3)
        streak = history.streak.float()
        interval = torch.where(streak <= 1, 1.0, 6.0 * ease ** (streak - 2.0).clamp(0.0, 30.0))
        return _by_lateness(observation, self.day * interval, self.new_first)


@dataclass(frozen=True, eq=False)
class DueFirst(Policy):
    """Due first, with a desired retention (as FSRS schedules): reviews, then new material.

    Of what was practised before, the activity with the lowest believed recall, if that is below `retention`; else the
    first new activity of the catalogue; else the lowest recall. Recall is the believed mastery of an activity's skills,
    so the tracer should be one that forgets. `new_first` as in `Leitner`.
    """

    space: Space
    retention: float = 0.9
    new_first: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        recall = mean_over_skills(self.space.of(observation, "mastery"), self.space.skills)
        new = lived(observation).attempts == 0
        return _ranked(observation, 1.0 - recall, recall < self.retention, new, self.new_first)


@dataclass(frozen=True, eq=False)
class RepeatTarget(Policy):
    """Drill the goals: the goal activity that was done least often so far, the first of the catalogue among equals.

    A strong trivial baseline where practice is all that counts. Where no activity of a goal skill is allowed, any.
    """

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        goal = mean_over_skills(self.space.of(observation, "goal"), self.space.skills) > 0
        drills = goal & observation.mask
        chosen = _one(-lived(observation).attempts.float(), drills)
        return torch.where(drills.any(1, keepdim=True), chosen, uniform(observation.mask))


def _by_lateness(observation: Observation, interval: Tensor, new_first: bool) -> Tensor:
    history = lived(observation)
    new = history.attempts == 0
    late = torch.where(new, 0.0, history.since) / interval.clamp_min(1e-6)
    return _ranked(observation, late, late >= 1.0, new, new_first)


def _ranked(observation: Observation, urgency: Tensor, due: Tensor, new: Tensor, new_first: bool) -> Tensor:
    """Return (B, A): what is due by urgency, then the new in their order, then the rest by urgency."""
    urgency = urgency.double().clamp_max(0.1 * _LATER)
    score = torch.where(due, 2.0 * _LATER + urgency, urgency)
    fresh = (3.0 if new_first else 1.0) * _LATER + _first(new)
    return greedy(torch.where(new, fresh, score), observation.mask).float()


def _first(like: Tensor) -> Tensor:
    """Return (A,), higher for activities that come earlier in the catalogue."""
    return torch.arange(like.shape[1], 0, -1, device=like.device)


def _one(score: Tensor, among: Tensor) -> Tensor:
    """Return (B, A), 1 at the highest score `among` (B, A), the first of equals; rows of 0 where that is empty."""
    score = score.float().expand_as(among)
    return greedy(score, among) * among.any(1, keepdim=True)
