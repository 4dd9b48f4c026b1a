"""Guards: what the rules forbid; each answers True where an activity is allowed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .observer import Observer, Record


class Guard(ABC):
    """A rule over what is known of a learner: a pure function of the observer and the record."""

    @abstractmethod
    def __call__(self, observer: Observer, record: Record) -> Tensor:
        """Return (B, A) bool, True where the activity is allowed."""

    def over(self, observer: Observer, record: Record) -> Tensor:
        """Return (B,) bool, True where this rule ends the session because nothing fits any more."""
        return torch.zeros_like(record.step, dtype=torch.bool)


@dataclass(frozen=True)
class Prerequisites(Guard):
    """Every prerequisite skill is believed mastered, and every prerequisite activity has been done.

    `threshold` is the believed mastery that opens a skill. An activity of several skills needs those of all of them,
    except the skills that it teaches itself.
    """

    threshold: float = 0.6

    def __call__(self, observer: Observer, record: Record) -> Tensor:
        allowed = torch.ones_like(record.veto)
        if not observer.needs.empty:
            missing = (self.threshold - observer.tracer.mastery(record.belief)).clamp_min(0.0)
            allowed = missing.float() @ observer.closes == 0
        after = observer.after
        if not after.empty:
            done = record.history.attempts > 0
            allowed = allowed & (done[:, after.index] | ~after.real).all(-1)
        return allowed


@dataclass(frozen=True)
class TimeBudget(Guard):
    """The activity's typical minutes fit into what is left of the learner's time."""

    def __call__(self, observer: Observer, record: Record) -> Tensor:
        left = record.minutes_budget - record.minutes_used
        return observer.minutes <= left[:, None]

    def over(self, observer: Observer, record: Record) -> Tensor:
        shortest = torch.where(observer.offered, observer.minutes, torch.inf).amin(1)[record.role]
        return (shortest > record.minutes_budget - record.minutes_used) | torch.isinf(shortest)


@dataclass(frozen=True)
class MandatoryFirst(Guard):
    """What is mandatory gets done: in time, and while there is time.

    An activity is allowed while the minutes that it leaves still suffice for the mandatory activities not yet taken up.
    From `days` before a deadline on, only what is due is allowed, and what teaches a prerequisite of it.
    """

    days: float = 3.0

    def __call__(self, observer: Observer, record: Record) -> Tensor:
        todo = observer.mandatory[record.role] & (record.history.attempts == 0)
        needed = (todo * observer.minutes).sum(1)
        left = record.minutes_budget - record.minutes_used
        free = ~todo.any(1) | (needed > left)  # nothing is owed, or it cannot be saved any more
        allowed = todo | (left[:, None] - observer.minutes >= needed[:, None]) | free[:, None]
        due = todo & (observer.deadlines <= record.day[:, None] + self.days)
        ways = due | (due.float() @ observer.leads > 0)
        return allowed & torch.where(due.any(1)[:, None], ways, True)


@dataclass(frozen=True)
class Offered(Guard):
    """The activity is offered to the learner's role."""

    def __call__(self, observer: Observer, record: Record) -> Tensor:
        return observer.offered[record.role]


@dataclass(frozen=True)
class KSSWalk(Guard):
    """The moves that the KSS learner accepts: neighbours of the last concept in its graph (any, at the start).

    With `towards`, of those only the ones that lead to a target, or the targets where none does: the 2018 variant.
    """

    towards: bool = False

    def __call__(self, observer: Observer, record: Record) -> Tensor:
        from .students.kss import legal

        return legal(record.last, record.goal if self.towards else None)
