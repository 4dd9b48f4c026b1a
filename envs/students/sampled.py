"""SampledStudent: any fitted tracer turned into a population of learners."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Purpose, Rng
from ..student import Context, Response, Student
from ..tracer import Evidence, Tracer


class SampledState(NamedTuple):
    """The tracer's belief taken as the learner's truth, and what is openly known."""

    belief: Any
    role: Tensor  # (B,)
    goal: Tensor  # (B, K) float32, 1 where the learner needs the skill


@dataclass(frozen=True, eq=False)
class SampledStudent(Student):
    """A learner who answers as a fitted tracer predicts.

    Each answer is a Bernoulli draw from the tracer's probability and is fed back to it; what the tracer only believes
    is drawn at once (`Tracer.settle`). So a BKT learner knows each skill or does not, and `mastery` is that truth.
    Traits (learner class, ability) are drawn at enrolment and never shown. Roles are drawn evenly; a learner's goals
    are the skills the role needs, or `goals` of them, drawn for each learner at enrolment (0: all; or as many as there
    are). `minutes` is the time each learner has (inf = no limit), `tempo` the sd of the log of the time an activity
    takes.
    """

    tracer: Tracer
    catalog: Catalog | None = None
    minutes: float = float("inf")
    tempo: float = 0.25
    goals: int = 0

    def __post_init__(self) -> None:
        if self.goals < 0:
            raise ValueError(f"SampledStudent: goals is {self.goals}; give a number of target skills, or 0 for all")

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return a copy whose tracer is fitted to `log`; RuntimeError when there is no log."""
        if log is None or catalog is None:
            raise RuntimeError("SampledStudent is made from a log: choose a source, or a student that needs none")
        return replace(self, tracer=self.tracer.fit(log, catalog), catalog=catalog)

    def _offer(self) -> Catalog:
        if self.catalog is None:
            raise RuntimeError("this SampledStudent has no catalogue yet: call fit(log, catalog)")
        return self.catalog

    @cached_property
    def _typical(self) -> Tensor:
        return torch.from_numpy(self._offer().minutes()).float()

    @cached_property
    def _goals(self) -> Tensor:
        return torch.from_numpy(self._offer().goals()).float()

    def enrol(self, rng: Rng) -> SampledState:
        n_roles = self._goals.shape[0]
        role = (rng.uniform(Purpose.ENROL)[:, 0] * n_roles).long().clamp_max(n_roles - 1)
        belief = self.tracer.settle(self.tracer.draw(rng), rng, Purpose.KNOWN)
        return SampledState(belief, role, self._targets(self._goals.to(role.device)[role], rng))

    def _targets(self, needed: Tensor, rng: Rng) -> Tensor:
        """Return (B, K), the skills of `needed` (B, K) that become each learner's goals."""
        if not self.goals:
            return needed
        order = rng.uniform(Purpose.ENROL, needed.shape[1], block=1) + 2.0 * (needed == 0)
        place = order.argsort(dim=1, stable=True).argsort(dim=1)
        return needed * (place < self.goals)

    def context(self, state: SampledState) -> Context:
        n = state.role.shape[0]
        none = state.role.new_zeros(n, 0)
        return Context(state.role, state.goal, state.goal.new_full((n,), self.minutes), none, none.float())

    def answer(self, state: SampledState, activity: Tensor, rng: Rng) -> tuple[SampledState, Response]:
        u = rng.uniform(Purpose.ANSWER, 3)
        correct = (u[:, 0] < self.tracer.predict_at(state.belief, activity)).float()
        pace = torch.sqrt(-2.0 * torch.log1p(-u[:, 1])) * torch.cos(2.0 * torch.pi * u[:, 2])
        minutes = self._typical.to(activity.device)[activity] * torch.exp(self.tempo * pace - 0.5 * self.tempo**2)
        belief = self.tracer.update(state.belief, Evidence(activity, correct))
        belief = self.tracer.settle(belief, rng, Purpose.LEARN, activity)
        yes = torch.ones_like(activity, dtype=torch.bool)
        return state._replace(belief=belief), Response(correct, minutes, yes, ~yes)

    def elapse(self, state: SampledState, days: Tensor, rng: Rng) -> SampledState:
        belief = self.tracer.elapse(state.belief, days)
        return state._replace(belief=self.tracer.settle(belief, rng, Purpose.ELAPSE))

    def kept(self, state: SampledState, days: float | Tensor) -> Tensor:
        """Return (B, K), the mastery to be expected after `days`; chance decides what is lost, so nothing is drawn."""
        away = torch.zeros_like(state.goal[:, 0]) + days
        return self.tracer.mastery(self.tracer.elapse(state.belief, away))

    def mastery(self, state: SampledState) -> Tensor:
        return self.tracer.mastery(state.belief)
