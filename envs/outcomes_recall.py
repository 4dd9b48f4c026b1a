"""Outcomes of memory tasks: how much is recalled, averaged over the whole session and not only at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .outcomes import Outcome
from .student import Response, State, Student

_LEAST = 1e-9  # added to a probability before its logarithm, as published


def _recall(student: Student, state: State) -> tuple[Tensor, Tensor]:
    """Return (B, K) recall, never above 1, and the goals."""
    return student.mastery(state).clamp(0.0, 1.0), student.context(state).goal


def _steps(steps: int, name: str) -> None:
    if steps < 1:
        raise ValueError(f"{name}: steps is {steps}; give the length of the session, 1 or more")


@dataclass(frozen=True)
class RecallLikelihood(Outcome):
    """Mean recall over the goal skills after each step, averaged over the `steps` of the session.

    The "likelihood" reward of Reddy, Levine and Dragan (2017), divided by the session's length. An average over time
    cannot be won by cramming before the last step.
    """

    steps: int = 200
    title: ClassVar[str] = "Recall"
    unit: ClassVar[str] = "mean probability of recall over items and steps"

    def __post_init__(self) -> None:
        _steps(self.steps, "RecallLikelihood")

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        recall, goal = _recall(student, after)
        return (recall * goal).sum(1) / goal.sum(1).clamp_min(1.0) / self.steps


@dataclass(frozen=True)
class RecallLogLikelihood(Outcome):
    """Mean log recall over the goal skills after each step, averaged over the `steps` of the session.

    The "log-likelihood" reward of Reddy, Levine and Dragan (2017), ln(1e-9 + p), divided by the session's length: it
    hangs on the items that are nearly forgotten.
    """

    steps: int = 200
    title: ClassVar[str] = "Log recall"
    unit: ClassVar[str] = "mean log probability of recall over items and steps"

    def __post_init__(self) -> None:
        _steps(self.steps, "RecallLogLikelihood")

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        recall, goal = _recall(student, after)
        return (torch.log(recall + _LEAST) * goal).sum(1) / goal.sum(1).clamp_min(1.0) / self.steps
