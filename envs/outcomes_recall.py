"""Outcomes of memory tasks: how much is recalled, averaged over the whole session and not only at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .outcomes import Outcome
from .rng import Rng
from .student import Response, State, Student

_LEAST = 1e-9  # added to a probability before its logarithm, as published


@dataclass(frozen=True)
class RecallLikelihood(Outcome):
    """Mean recall over the goal skills right after each review, averaged over the `steps` of the session.

    The "likelihood" reward of Reddy, Levine and Dragan (2017), divided by the session's length; recall above 1 counts
    as 1. An average over time cannot be won by cramming before the last step.

    The published code lets the `pause` go by, then stamps the review, then measures. Here a review comes before its
    pause, and so `pause` days are taken back for measuring: right for learners who forget by the age of a review alone,
    as the memory students do. 0 measures at the end of every pause instead.
    """

    steps: int = 200
    pause: float = 5.0  # days
    title: ClassVar[str] = "Recall"
    unit: ClassVar[str] = "mean probability of recall over items and steps"

    def __post_init__(self) -> None:
        _sound(self.steps, self.pause, "RecallLikelihood")

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return _goal_mean(student, after, _recall(student, after, self.pause)) / self.steps


@dataclass(frozen=True)
class RecallLogLikelihood(Outcome):
    """Mean log recall over the goal skills right after each review, averaged over the `steps` of the session.

    The "log-likelihood" reward of Reddy, Levine and Dragan (2017), ln(1e-9 + p), divided by the session's length: it
    hangs on the items that are nearly forgotten. `pause` as in RecallLikelihood.
    """

    steps: int = 200
    pause: float = 5.0  # days
    title: ClassVar[str] = "Log recall"
    unit: ClassVar[str] = "mean log probability of recall over items and steps"

    def __post_init__(self) -> None:
        _sound(self.steps, self.pause, "RecallLogLikelihood")

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return _goal_mean(student, after, torch.log(_recall(student, after, self.pause) + _LEAST)) / self.steps


def _recall(student: Student, state: State, pause: float) -> Tensor:
    """Return (B, K), never above 1."""
    return (_later(student, state, -pause) if pause else student.mastery(state)).clamp(0.0, 1.0)


def _goal_mean(student: Student, state: State, value: Tensor) -> Tensor:
    goal = student.context(state).goal
    return (value * goal).sum(1) / goal.sum(1).clamp_min(1.0)


def _sound(steps: int, pause: float, name: str) -> None:
    if steps < 1 or not pause >= 0:
        raise ValueError(f"{name}: {steps} steps, a pause of {pause} days; give 1 step or more, 0 days or more")


def _later(student: Student, state: State, days: float) -> Tensor:
    """Return (B, K), the true mastery after `days` without teaching; every learner spends them with the same luck."""
    n = student.context(state).role
    nobody = torch.zeros_like(n)
    rng = Rng(0, nobody, nobody, nobody)
    return student.mastery(student.elapse(state, torch.full(n.shape, days, device=n.device), rng))
