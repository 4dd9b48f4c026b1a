"""Student: how learners really are; the recommender never sees one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from ..data.catalog import Catalog
from ..data.log import Log
from .rng import Rng

State = Any  # a NamedTuple of tensors with the learner axis first; each student has its own


class Context(NamedTuple):
    """What is openly known of learners when they enrol."""

    role: Tensor  # (B,) int64, index into catalog.roles
    goal: Tensor  # (B, K) float32, 1 where the learner needs the skill
    minutes: Tensor  # (B,) float32, the time the learner has for the programme; inf = no limit
    past_activity: Tensor  # (B, H) int64, what was done before enrolment, oldest first; H may be 0
    past_correct: Tensor  # (B, H) float32
    last: Tensor | None = None  # (B,) int64, the latest activity taken up, -1 none; None = the last of the past


class Response(NamedTuple):
    """What comes back when a learner is given an activity."""

    correct: Tensor  # (B,) float32 in [0, 1]
    minutes: Tensor  # (B,) float32, the time it took
    accepted: Tensor  # (B,) bool, False where the learner could not take the activity up and learnt nothing
    finished: Tensor  # (B,) bool, the learner has nothing left to reach or has left; to outcomes: the session is over
    days: Tensor | None = None  # (B,) float32, days until the learner is back; None = they come when told to
    left: Tensor | None = None  # (B,) bool, True where the learner has given the programme up; None = nobody does
    coach: Tensor | None = None  # (B,) float32, minutes of a coach's time that it took; None = none
    liked: Tensor | None = None  # (B,) float32 in [-1, 1], how they rate the activity; None = nobody asks
    spent: Tensor | None = None  # (B,) float32, minutes of the whole session so far; the classroom counts them
    day: Tensor | None = None  # (B,) float32, days since enrolment; the classroom counts them


class Student(ABC):
    """A population of simulated learners; states are explicit and every method is pure.

    Shapes: B learners (= len(rng)), A activities, K skills. Every draw comes from `rng`, so learner i lives the same
    life in any batch.
    """

    catalog: Catalog | None  # what these learners can be given; None until fitted

    @abstractmethod
    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return a copy fitted to `log`; hand-made learners, who bring their own catalogue, return themselves."""

    @abstractmethod
    def enrol(self, rng: Rng) -> State:
        """Return the states of B new learners."""

    @abstractmethod
    def context(self, state: State) -> Context:
        """Return what may be known of these learners before the first activity."""

    @abstractmethod
    def answer(self, state: State, activity: Tensor, rng: Rng) -> tuple[State, Response]:
        """Return the states and responses after each learner did `activity` (B,) int64."""

    @abstractmethod
    def elapse(self, state: State, days: Tensor, rng: Rng) -> State:
        """Return the states after `days` (B,) without practice."""

    @abstractmethod
    def mastery(self, state: State) -> Tensor:
        """Return (B, K) in [0, 1], the true mastery of each skill; for outcomes and reports, never for agents."""

    def kept(self, state: State, days: float | Tensor) -> Tensor:
        """Return (B, K), the true mastery to be expected after `days` without teaching.

        As it stands for learners whose absences hold no chance; others say what to expect on average.
        """
        role = self.context(state).role
        nobody = torch.zeros_like(role)
        away = torch.zeros(role.shape, device=role.device) + days
        return self.mastery(self.elapse(state, away, Rng(0, nobody, nobody, nobody)))

    def bridged(self, state: State) -> Tensor | None:
        """Return (B, K) logits of the distance from course to job that practice close to the job has taken away.

        None = these learners know no such distance.
        """
        return None

    def p_quit(self, state: State) -> Tensor | None:
        """Return (B,), the probability to leave the job within a month; None = these learners hold no job."""
        return None
