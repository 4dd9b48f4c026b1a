"""Laboratory: participants who go through an experiment step by step, and the material that they learn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...data.catalog import Activity, Catalog, Skill
from ..rng import Purpose, Rng
from ..rows import pick
from ..student import Response, State, Student
from ..students.ssr import SSR
from ..students.ssr_kinds import Kind
from ..students.ssr_motivation import Motivation
from ..students.ssr_population import Material, Population

STILL = Motivation(quits=False, leaves=False, rhythm=False)  # paid participants do what they are told
UNIFORM = Material(difficulty_sd=0.0, rate_mean=0.0, rate_sd=0.0, item_sd=0.0, slope_sd=0.0)
DAY = 1440.0  # minutes


@dataclass(frozen=True, eq=False)
class Visit:
    """B participants at one moment; each method returns the next moment, so a path can fork."""

    student: Student
    rng: Rng
    state: State
    step: int = 0

    @staticmethod
    def of(student: Student, n: int, seed: int) -> Visit:
        """Return n fresh participants."""
        rng = Rng.enrol(seed, 0, n)
        return Visit(student, rng, student.enrol(rng))

    def give(self, activity: int | Tensor, only: Tensor | None = None) -> tuple[Visit, Response]:
        """Return the visit after `activity`, for everybody or for those of `only` (B,) bool, and what they answered."""
        if isinstance(activity, int):
            activity = torch.full_like(self.rng.learner, activity)
        state, response = self.student.answer(self.state, activity, self.rng.at(self.step))
        if only is not None:
            state = pick(only, state, self.state)
        return replace(self, state=state, step=self.step + 1), response

    def wait(self, days: float) -> Visit:
        """Return the visit after `days` without practice."""
        elapsed = torch.full((len(self.rng),), days)
        state = self.student.elapse(self.state, elapsed, self.rng.at(self.step))
        return replace(self, state=state, step=self.step + 1)

    def mastery(self) -> Tensor:
        """Return (B, K), the true mastery now."""
        return self.student.mastery(self.state)

    def draw(self) -> Tensor:
        """Return (B, K) uniforms of this moment, for a test of every skill."""
        return self.rng.at(self.step).uniform(Purpose.ACT, self.mastery().shape[1])

    def recalled(self) -> Tensor:
        """Return (B,), the share of all skills that each participant recalls in a test that changes nothing."""
        return (self.draw() < self.mastery()).float().mean(1)


def material(skills: int, kinds: tuple[tuple[str, float], ...], items: int = 1) -> Catalog:
    """Return a catalogue: for each (kind, minutes) in order, `items` activities for each skill in order."""
    names = [f"s{k}" for k in range(skills)]
    activities = [
        Activity(f"{kind} {name} {i}", "", kind, (name,), minutes)
        for kind, minutes in kinds
        for i in range(items)
        for name in names
    ]
    return Catalog(tuple(Skill(name) for name in names), tuple(activities))


def participants(catalog: Catalog, kinds: dict[str, Kind], like: SSR, population: Population, stuff: Material) -> SSR:
    """Return learners with the minds of `like`, brought to this material; nobody is tired, leaves or comes late."""
    return replace(
        like, catalog=catalog, kinds=kinds, motivation=STILL, population=population, material=stuff, coach_days=0.0
    )
