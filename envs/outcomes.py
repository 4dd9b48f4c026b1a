"""Outcomes: what counts as good; the reward of training and the measure of a report are one type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .student import Response, State, Student


class Outcome(ABC):
    """A value of each step whose sum over a learner's session is the value of the session.

    `is_outcome` is False for measures of mere activity, which reports show only to say why not to use them.
    """

    title: ClassVar[str]
    unit: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    is_outcome: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        """Return (B,), the value of the step from `before` to `after` for learners who enrolled as `start`."""


def _goal_mean(student: Student, state: State, value: Tensor) -> Tensor:
    goal = student.context(state).goal
    return (value * goal).sum(1) / goal.sum(1).clamp_min(1.0)


@dataclass(frozen=True)
class LearningGain(Outcome):
    """Change of the true mean mastery of the learner's goal skills, forgetting included."""

    title: ClassVar[str] = "Learning gain"
    unit: ClassVar[str] = "mean mastery of goal skills, end minus start"

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return _goal_mean(student, after, student.mastery(after) - student.mastery(before))


@dataclass(frozen=True)
class NormalisedGain(Outcome):
    """Gain as a share of what was still to gain: (E_end - E_start) / (E_full - E_start) (Liu et al. 2019, equation 1).

    A learner with nothing left to gain scores 0.
    """

    title: ClassVar[str] = "Normalised gain"
    unit: ClassVar[str] = "share of the possible gain on goal skills"

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        room = 1.0 - _goal_mean(student, start, student.mastery(start))
        gain = _goal_mean(student, after, student.mastery(after) - student.mastery(before))
        return torch.where(room > 1e-6, gain / room.clamp_min(1e-6), torch.zeros_like(gain))


@dataclass(frozen=True)
class TimeToMastery(Outcome):
    """Minutes of study until every goal skill is truly mastered; who never gets there counts the whole time budget.

    The restricted mean of survival analysis (Royston and Parmar 2013): a policy gains nothing by wasting little time on
    learners who get nowhere. Without a budget there is nothing to charge: then read it beside the skills mastered.
    """

    threshold: float = 0.95
    title: ClassVar[str] = "Time to mastery"
    unit: ClassVar[str] = "minutes; all of the budget for those who never get there"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        goal = student.context(before).goal > 0
        short = ((student.mastery(before) < self.threshold) & goal).any(1)
        spent = response.minutes * short
        if response.spent is None:
            return spent
        missing = response.finished & ((student.mastery(after) < self.threshold) & goal).any(1)
        left = (student.context(start).minutes - response.spent).clamp_min(0.0)
        return spent + torch.where(missing & torch.isfinite(left), left, torch.zeros_like(left))


@dataclass(frozen=True)
class SkillsMastered(Outcome):
    """Change of the number of goal skills truly mastered."""

    threshold: float = 0.95
    title: ClassVar[str] = "Skills mastered"
    unit: ClassVar[str] = "goal skills above the threshold, end minus start"

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        goal = student.context(after).goal
        now, then = (student.mastery(after) >= self.threshold), (student.mastery(before) >= self.threshold)
        return ((now.float() - then.float()) * goal).sum(1)


@dataclass(frozen=True)
class StudyMinutes(Outcome):
    """Minutes spent on activities: a cost, to be kept within a budget (`constraints`) or weighed against outcomes."""

    title: ClassVar[str] = "Minutes of study"
    unit: ClassVar[str] = "minutes spent on activities"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return response.minutes


@dataclass(frozen=True)
class Completion(Outcome):
    """Activities completed: easy to count and easy to inflate, so never a reward; it is here to show why not."""

    title: ClassVar[str] = "Completions"
    unit: ClassVar[str] = "activities completed"
    is_outcome: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return response.accepted.to(response.minutes.dtype)


@dataclass(frozen=True)
class Clicks(Outcome):
    """Activities opened, whether taken up or not: what a platform counts as engagement. Never a reward."""

    title: ClassVar[str] = "Clicks"
    unit: ClassVar[str] = "activities opened"
    is_outcome: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return torch.ones_like(response.minutes)


@dataclass(frozen=True)
class Satisfaction(Outcome):
    """How learners rate the activities: what feels easy is liked, and what feels easy teaches little. Never a reward.

    0 for learners who are not asked.
    """

    title: ClassVar[str] = "Satisfaction"
    unit: ClassVar[str] = "ratings between -1 and 1, summed over activities"
    is_outcome: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return torch.zeros_like(response.minutes) if response.liked is None else response.liked
