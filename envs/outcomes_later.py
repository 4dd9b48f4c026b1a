"""Outcomes that show later or elsewhere: what is kept and used at work, who gives up, days and coaches it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .outcomes import Outcome
from .student import Response, State, Student


def _transferred(student: Student, state: State, mastery: Tensor, distance: float) -> Tensor:
    """Return (B, K), sigmoid(logit(mastery) - distance + what is bridged), written without logarithms."""
    reached, bridged = mastery.clamp(1e-6, 1 - 1e-6), student.bridged(state)
    if bridged is None:
        return reached / (reached + (1.0 - reached) * math.exp(distance))
    return reached / (reached + (1.0 - reached) * torch.exp((distance - bridged).clamp_min(0.0)))


def _goal_mean(student: Student, state: State, value: Tensor) -> Tensor:
    goal = student.context(state).goal
    return (value * goal).sum(1) / goal.sum(1).clamp_min(1.0)


def _ahead(days: float, course: float, response: Response) -> tuple[float | Tensor, float | Tensor]:
    """Return how many days lie between each end of a step and the day that counts.

    That day is `days` after each moment itself, or with a `course` of so many days, `days` after its last one.
    """
    if not course or response.day is None:
        return days, days
    lived = response.minutes / 1440.0 + (0.0 if response.days is None else response.days)
    left = course + days - response.day
    return (left + lived).clamp_min(0.0), left.clamp_min(0.0)


@dataclass(frozen=True)
class Retention(Outcome):
    """What is left of the goal skills `days` after the course, less what would be left without it.

    Potential-based: the steps add up to E[kept | the end] - E[kept | the start], so an agent cannot gain by detours
    (Ng, Harada and Russell 1999). With a `course` of so many days both look at one day, `days` after its last, so what
    is forgotten while time goes by anyway is nobody's fault. Without, each looks `days` ahead of itself.
    """

    days: float = 30.0
    course: float = 0.0
    title: ClassVar[str] = "Retention"
    unit: ClassVar[str] = "mean mastery of goal skills so many days later, end minus start"

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        then, now = _ahead(self.days, self.course, response)
        return _goal_mean(student, after, student.kept(after, now)) - _goal_mean(
            student, before, student.kept(before, then)
        )


@dataclass(frozen=True)
class Shaping(Outcome):
    """discount * potential(after) - potential(before), the potential being what would be kept after `days`.

    Where a session is over the potential is 0, so that, added to any reward, it leaves the best policy what it was (Ng,
    Harada and Russell 1999, theorem 1); a help for learning, not a result, so reports keep it apart.
    """

    days: float = 30.0
    discount: float = 1.0
    title: ClassVar[str] = "Shaping"
    unit: ClassVar[str] = "discounted change of what would be kept"
    is_outcome: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        kept = _goal_mean(student, after, student.kept(after, self.days)) * ~response.finished
        return self.discount * kept - _goal_mean(student, before, student.kept(before, self.days))


@dataclass(frozen=True)
class JobPerformance(Outcome):
    """Goal skills used well at work `days` after the session, or after a `course` of so many days, end minus start.

    P(done well) = guess + (1 - guess - slip) sigmoid(logit(mastery) - distance + bridged), times the share applied:
    `applied` at once, half of that every `half_life` days (62, 44 and 34 % at 0, 6 and 12 months: Saks and Belcourt
    2006).
    """

    days: float = 60.0
    course: float = 0.0
    distance: float = 0.5  # logits from the course to the job; 1.0 for far transfer
    guess: float = 0.10
    slip: float = 0.05
    applied: float = 0.62
    half_life: float = 395.0
    title: ClassVar[str] = "Job performance"
    unit: ClassVar[str] = "share of goal tasks done well, end minus start"

    def applies(self, days: float) -> float:
        """Return the share that is applied `days` after."""
        return self.applied * math.exp2(-days / self.half_life)

    def level(self, student: Student, state: State, ahead: float | Tensor | None = None) -> Tensor:
        """Return (B,), the performance of learners as they are, `ahead` days from now; None = `days`."""
        kept = student.kept(state, self.days if ahead is None else ahead)
        near = _transferred(student, state, kept, self.distance)
        done = self.guess + (1.0 - self.guess - self.slip) * near
        return _goal_mean(student, state, done) * self.applies(self.days)

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        then, now = _ahead(self.days, self.course, response)
        return self.level(student, after, now) - self.level(student, before, then)


@dataclass(frozen=True)
class LeadershipBehaviour(Outcome):
    """How far leading is done as it was taught, `days` after the session: an index from 0 to 1, end minus start.

    The mean over the goal skills among `skills` (ids; none named = all) of what is left of them, carried over a far
    `distance` less what practice at work has bridged, times the share that is applied (Saks and Belcourt 2006). It is
    the expected rating: what raters disagree about (reliability about .5) is left out, as it would only add noise.
    """

    skills: tuple[str, ...] = ()
    days: float = 90.0
    course: float = 0.0
    distance: float = 1.0
    applied: float = 0.62
    half_life: float = 395.0
    title: ClassVar[str] = "Leadership behaviour"
    unit: ClassVar[str] = "expected rating from 0 to 1, end minus start"

    def level(self, student: Student, state: State, ahead: float | Tensor | None = None) -> Tensor:
        """Return (B,), the index of learners as they are; ValueError names a skill that the catalogue lacks."""
        kept = student.kept(state, self.days if ahead is None else ahead)
        shown = _transferred(student, state, kept, self.distance)
        goal = student.context(state).goal
        if self.skills:
            assert student.catalog is not None
            unknown = sorted(set(self.skills) - set(student.catalog.skill_ids))
            if unknown:
                raise ValueError(f"LeadershipBehaviour: no skill {unknown[0]!r} in the catalogue")
            chosen = torch.zeros(goal.shape[1], device=goal.device)
            chosen[[student.catalog.skill_index[name] for name in self.skills]] = 1.0
            goal = goal * chosen
        mean = (shown * goal).sum(1) / goal.sum(1).clamp_min(1.0)
        return mean * self.applied * math.exp2(-self.days / self.half_life)

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        then, now = _ahead(self.days, self.course, response)
        return self.level(student, after, now) - self.level(student, before, then)


@dataclass(frozen=True)
class JobRetention(Outcome):
    """The chance to be still in the job `months` after the session, were nothing to change; exploratory, no reward.

    (1 - p_quit)^months, counted once, when the session is over; 0 for learners who hold no job.
    """

    months: float = 12.0
    title: ClassVar[str] = "Job retention"
    unit: ClassVar[str] = "share of learners who stay in the job"

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        p_quit = student.p_quit(after)
        if p_quit is None:
            return torch.zeros_like(response.minutes)
        return torch.exp(self.months * torch.log1p(-p_quit)) * response.finished


@dataclass(frozen=True)
class Dropout(Outcome):
    """Learners who gave the programme up; 0 for learners who never do."""

    title: ClassVar[str] = "Dropout"
    unit: ClassVar[str] = "share of learners"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return torch.zeros_like(response.minutes) if response.left is None else response.left.to(response.minutes.dtype)


@dataclass(frozen=True)
class CoachHours(Outcome):
    """Hours of a coach's time."""

    title: ClassVar[str] = "Coach hours"
    unit: ClassVar[str] = "hours per learner"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        return torch.zeros_like(response.minutes) if response.coach is None else response.coach / 60.0


@dataclass(frozen=True)
class TimeToProficiency(Outcome):
    """Days until every goal skill is truly mastered to `threshold`; who never gets there counts all `days`.

    Counts the days of each step in which something was still missing, so skills that are lost again count again.
    `days` = 0 charges only the days lived, which flatters policies whose learners leave early.
    """

    threshold: float = 0.80
    days: float = 0.0
    title: ClassVar[str] = "Time to proficiency"
    unit: ClassVar[str] = "days; all days of the course for those who never get there"
    higher_is_better: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        goal = student.context(before).goal > 0
        short = ((student.mastery(before) < self.threshold) & goal).any(1)
        days = response.minutes / 1440.0 if response.days is None else response.days + response.minutes / 1440.0
        lived = days * short
        if response.day is None or not self.days:
            return lived
        missing = response.finished & ((student.mastery(after) < self.threshold) & goal).any(1)
        return lived + (self.days - response.day).clamp_min(0.0) * missing


def tail_mean(values: Tensor, share: float = 0.2) -> Tensor:
    """Return the mean of the lowest `share` of `values` (B,): the conditional value at risk.

    ValueError for a share outside (0, 1].
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is {share}; give a number above 0, at most 1")
    return values.sort().values[: max(1, math.ceil(share * len(values)))].mean()


def worst_group(values: Tensor, group: Tensor) -> Tensor:
    """Return the lowest group mean of `values` (B,) over the groups `group` (B,) int64 that have members."""
    count = torch.bincount(group)
    total = torch.zeros(len(count), dtype=values.dtype, device=values.device).index_add_(0, group, values)
    return (total[count > 0] / count[count > 0]).min()
