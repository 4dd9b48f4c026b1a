"""TMS: learners who move between sets of known skills by the published chances of a transition matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Activity, Catalog, Skill
from ...data.log import Log
from ..rng import Purpose, Rng
from ..student import Context, Response, Student
from .tms_structures import Structure, tree


class TMSState(NamedTuple):
    """Where B learners stand."""

    place: Tensor  # (B,) int64, which of the structure's states
    guess: Tensor  # (B, K), P(right) of one who does not know the skill
    slip: Tensor  # (B, K), P(wrong) of one who does


@dataclass(frozen=True, eq=False)
class TMS(Student):
    """The transition-matrix learners of EduSim, after Chen, Li, Liu and Ying (2018).

    Item i moves a learner from state to state with fixed chances, where the state is the set of known skills; nothing
    is forgotten. The answer is that of a DINA item: P(right) = 1 - slip with the skill and guess without it, after
    learning; guess and slip are drawn per learner and skill from U(noise). `finished` once every skill is known.
    The structures are `tree` (seven skills; published paths of 6) and `binary` (two; paths of 2).

    Chances depend on the state alone, so the best order is a small dynamic programme: a check, not a challenge.
    """

    structure: Structure = field(default_factory=tree)
    noise: tuple[float, float] = (0.1, 0.3)
    catalog: Catalog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", tuple(self.noise))
        if not (len(self.noise) == 2 and 0.0 <= self.noise[0] <= self.noise[1] <= 1.0):
            raise ValueError(f"TMS: noise is {self.noise}; give the lowest and the highest guess and slip, in [0, 1]")
        edges, n = self.structure.edges, len(self.structure.moves)
        skills = tuple(Skill(f"skill {k}", "", tuple(f"skill {a}" for a, b in edges if b == k)) for k in range(n))
        activities = tuple(
            Activity(f"practise {k}", f"Practise skill {k}", "practice", (f"skill {k}",), 1.0, (), (), k == 0, False)
            for k in range(n)
        )
        object.__setattr__(self, "catalog", Catalog(skills, activities))

    @cached_property
    def _known(self) -> Tensor:
        """(S, K) float32, 1 where a state holds a skill."""
        skills = range(len(self.structure.moves))
        return torch.tensor([[float(k in state) for k in skills] for state in self.structure.states])

    @cached_property
    def _below(self) -> Tensor:
        """(K, S, S) float64, the chance that item k takes one from a state to any of the states up to another."""
        n = len(self.structure.states)
        chance = torch.eye(n, dtype=torch.float64).repeat(len(self.structure.moves), 1, 1)
        for item, moves in enumerate(self.structure.moves):
            for a, b, p in moves:
                chance[item, a, b] += p
                chance[item, a, a] -= p
        return chance.cumsum(2)

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> TMSState:
        start = torch.tensor(self.structure.start, device=rng.learner.device)
        place = start[(rng.uniform(Purpose.ENROL)[:, 0] * len(start)).long()]
        low, high = self.noise
        k = len(self.structure.moves)
        noise = low + (high - low) * rng.uniform(Purpose.TRAITS, 2 * k).contiguous()
        return TMSState(place, noise[:, :k], noise[:, k:])

    def context(self, state: TMSState) -> Context:
        """Return every skill as a goal; nothing else is known."""
        none = state.place.new_zeros(len(state.place), 0)
        minutes = torch.full_like(state.guess[:, 0], torch.inf)
        return Context(torch.zeros_like(state.place), torch.ones_like(state.guess), minutes, none, none.float())

    def answer(self, state: TMSState, activity: Tensor, rng: Rng) -> tuple[TMSState, Response]:
        u = rng.uniform(Purpose.ANSWER, 2)
        below = self._below.to(u.device)[activity, state.place]
        place = (below <= u[:, :1]).sum(1).clamp_max(below.shape[1] - 1)
        after = state._replace(place=place)
        known = self.mastery(after)
        p_correct = known * (1.0 - state.slip) + (1.0 - known) * state.guess
        correct = (u[:, 1] < p_correct.gather(1, activity[:, None])[:, 0]).float()
        yes = torch.ones_like(correct, dtype=torch.bool)
        return after, Response(correct, torch.ones_like(correct), yes, (known > 0).all(1))

    def elapse(self, state: TMSState, days: Tensor, rng: Rng) -> TMSState:
        """Return `state` as it is: these learners do not forget."""
        return state

    def mastery(self, state: TMSState) -> Tensor:
        """Return (B, K), 1 where the skill is known."""
        return self._known.to(state.place.device)[state.place]
