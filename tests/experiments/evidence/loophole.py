"""A simulator with a bug that is worth exploiting: one activity may teach everything at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.student import Context, Response, Student
from trailmark.envs.students.sampled import SampledState, SampledStudent


@dataclass(frozen=True, eq=False)
class Loophole(Student):
    """`inner`, BKT learners, but `activity` makes each skill known with probability `leap`."""

    inner: SampledStudent
    activity: int = 0
    leap: float = 0.15

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        return replace(self, inner=self.inner.fit(log, catalog))

    @property
    def catalog(self) -> Catalog | None:
        return self.inner.catalog

    def enrol(self, rng: Rng) -> SampledState:
        return self.inner.enrol(rng)

    def context(self, state: SampledState) -> Context:
        return self.inner.context(state)

    def answer(self, state: SampledState, activity: Tensor, rng: Rng) -> tuple[SampledState, Response]:
        state, response = self.inner.answer(state, activity, rng)
        known = state.belief.known
        here = (activity == self.activity)[:, None, None]
        leaps = here & (rng.uniform(Purpose.TRAITS, known.shape[2], block=7) < self.leap)[:, None]
        return state._replace(belief=state.belief._replace(known=known.masked_fill(leaps, 1.0))), response

    def elapse(self, state: SampledState, days: Tensor, rng: Rng) -> SampledState:
        return self.inner.elapse(state, days, rng)

    def mastery(self, state: SampledState) -> Tensor:
        return self.inner.mastery(state)
