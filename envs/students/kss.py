"""KSS: the field's ten-concept learner, kept so that results can be laid beside published ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Activity, Catalog, Skill
from ...data.log import Log
from ..rng import Purpose, Rng
from ..rows import take
from ..student import Context, Response, Student

CONCEPTS = 10
CAP = 5.0  # the highest ability
GUESS, SLOPE = 0.25, 8.5  # of the answer model; the slope is 1.7 times a discrimination of 5
EDGES = (
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (2, 8),
    (3, 4),
    (4, 8),
    (5, 4),
    (5, 9),
    (6, 7),
    (7, 8),
    (8, 9),
)  # (before, after)
TOPOLOGICAL = (0, 5, 6, 1, 2, 7, 3, 4, 8, 9)  # the order in which a warming-up learner looks for something to practise

_BEFORE = tuple(tuple(p for p, s in EDGES if s == k) for k in range(CONCEPTS))
_AFTER = tuple(tuple(s for p, s in EDGES if p == k) for k in range(CONCEPTS))
_MOST_BEFORE = max(map(len, _BEFORE))
_ATTEMPTS = 64  # with the published difficulties 1 learner in about 100,000 needs a second one


def _near(last: int) -> set[int]:
    """Return the concepts that may follow `last`: itself, what builds on it, and what lies around its prerequisites."""
    around = (concept for p in _BEFORE[last] for concept in (p, *_BEFORE[p], *_AFTER[p]))
    return {last, *_AFTER[last], *around}


NEIGHBOURS = torch.tensor([[k in _near(last) for k in range(CONCEPTS)] for last in range(CONCEPTS)])  # (10, 10) bool


def legal(last: Tensor) -> Tensor:
    """Return (B, 10) bool, the concepts a learner takes up after concept `last` (B,) int64; every one after -1."""
    return _tables(last.device).legal[last]


def p_correct(ability: Tensor, difficulty: Tensor) -> Tensor:
    """Return the item response probability of abilities (B, 10) at difficulties (10,), both on the scale up to 5."""
    return GUESS + (1.0 - GUESS) * torch.sigmoid(SLOPE * (ability - difficulty))


class KSSState(NamedTuple):
    """How B KSS learners are."""

    ability: Tensor  # (B, 10) float64, at most 5
    last: Tensor  # (B,) int64, the concept last taken up; -1 = none yet
    goal: Tensor  # (B, 10) float32, 1 where the concept is a target
    past_activity: Tensor  # (B, warm_up) int64
    past_correct: Tensor  # (B, warm_up) float32


class _Tables(NamedTuple):
    """The graph as tensors, one row per practised concept."""

    legal: Tensor  # (11, 10) bool; the last row, found by -1, is for a learner without a last concept
    before: Tensor  # (10, 3) int64, the prerequisites, padded
    counts: Tensor  # (10, 3) float64, 0 where padded
    gain: Tensor  # (10, 10) float64, how much of an increment reaches each concept
    rank: Tensor  # (10,) float32, the earlier in topological order the higher


@cache
def _tables(device: torch.device) -> _Tables:
    before = [[*p, *[0] * (_MOST_BEFORE - len(p))] for p in _BEFORE]
    counts = [[1.0] * len(p) + [0.0] * (_MOST_BEFORE - len(p)) for p in _BEFORE]
    # Half of every increment goes on to each successor, once per path. The original cuts at 5 after every visit;
    # increments are never negative, so one cut after their sum gives the same, and the visits add up to this table.
    gain = [[float(j == k) for j in range(CONCEPTS)] for k in range(CONCEPTS)]
    for row in gain:
        for k in TOPOLOGICAL:
            for s in _AFTER[k]:
                row[s] += 0.5 * row[k]
    return _Tables(
        torch.cat([NEIGHBOURS, torch.ones(1, CONCEPTS, dtype=torch.bool)]).to(device),
        torch.tensor(before, device=device),
        torch.tensor(counts, dtype=torch.float64, device=device),
        torch.tensor(gain, dtype=torch.float64, device=device),
        torch.tensor([float(CONCEPTS - TOPOLOGICAL.index(k)) for k in range(CONCEPTS)], device=device),
    )


@cache
def _ability_at(p: float, difficulty: tuple[int, ...], device: torch.device) -> Tensor:
    """Return (10,) float64, the abilities at which `p_correct` is p."""
    odds = (p - GUESS) / (1.0 - p)
    return torch.tensor(difficulty, dtype=torch.float64, device=device) + math.log(odds) / SLOPE


def _practise(ability: Tensor, last: Tensor, concept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return abilities, last concepts and legality (B,) bool after each learner practised `concept` (B,) int64."""
    tables = _tables(ability.device)
    accepted = tables.legal[last, concept]
    before = ability.gather(1, tables.before.index_select(0, concept))
    gap = (CAP - before) * tables.counts.index_select(0, concept)
    ready = torch.exp(-(gap[:, 0] + gap[:, 1] + gap[:, 2]))  # one order of adding, whatever the batch size
    room = CAP - ability.gather(1, concept.unsqueeze(1)).squeeze(1)
    step = 0.5 * room * ready * accepted
    # In place on fresh memory: several times faster for large batches than one new tensor per operation.
    after = tables.gain.index_select(0, concept).mul_(step.unsqueeze(1)).add_(ability).clamp_max_(CAP)
    return after, torch.where(accepted, concept, last), accepted


def _catalog() -> Catalog:
    def named(k: int) -> str:
        return f"concept {k}"

    skills = tuple(Skill(named(k), f"Concept {k}", tuple(map(named, _BEFORE[k])), ()) for k in range(CONCEPTS))
    activities = tuple(
        Activity(f"practise {k}", f"Practise concept {k}", "practice", (named(k),), 1.0, (), (), k == 0, False)
        for k in range(CONCEPTS)
    )
    return Catalog(skills, activities)


@dataclass(frozen=True, eq=False)
class KSS(Student):
    """The Knowledge Structure based Simulator, in the form known as "v1" (the EduSim package of 2019-2020).

    Description
        A made-up learner of ten concepts that stand in a graph of prerequisites. No forgetting, no chance in the
        answers, no time: good for comparing with published figures, and for nothing else.
    Actions
        Practise one of the ten concepts; activity k practises concept k and takes one minute. After concept l only l,
        its successors, its prerequisites and the concepts next to those are legal (`legal`). An illegal activity is
        answered, but nothing is learnt from it.
    State
        An ability per concept, at most 5; the concept last taken up; the targets; the warm-up log. A concept is passed
        where `p_correct` is at least a half, which is an ability of at least difficulty - ln(2) / 8.5.
    Starting state
        Ability of concept i: a whole number from -3..0, less 0.1 i. Targets: 3 to 10 concepts. Then `warm_up`
        activities by habit, under the rules of learning below. After a right answer, unless the last three concepts
        are all the same: that concept twice more. After a wrong answer, with probability .7: the same again. Else, with
        probability .9: the first concept in topological order whose `p_correct` is below .6. Else: any concept.
        A learner who then has every target is drawn anew.
    Learning
        Practising k adds d = (5 - ability_k) / 2 * exp(-sum over its prerequisites p of (5 - ability_p)) to concept k,
        d/2 to each successor, d/4 to each of theirs and so on, once per path; every ability is cut at 5.
        The answer is whether the concept is passed after that.
    Episode end
        `finished` once every target is passed. Published runs stop after 20 activities; promotion is (passed at the end
        - passed at the start) / (targets - passed at the start), over the targets.
    Known faults
        Illegal practice is dropped without a word: of a uniformly random agent's activities only 40 % are taken up, of
        a cyclic one's 46 %. So a sensible mastery rule that ignores legality earns almost nothing, and a random walk
        over legal moves (mean promotion .34 against .12) keeps up with several agents published on the 2018 variant.
        Quote the share of accepted activities with every result.
        The same rule traps the warm-up: two learners in three still stand at concept 0 after it, and end it by asking
        in vain for concept 5.
    Source
        Liu, Tong, Liu, Zhao, Chen, Ma and Wang (2019), "Exploiting cognitive structure for adaptive learning", KDD
        (CSEAL). The default difficulties are that code's draw with seed 10: ten whole numbers from 0..5, sorted, given
        out in the order 5, 0, 1, 2, 3, 4, 6, 7, 8, 9; here they stand by concept, from concept 0 to concept 9.

    `enrol` raises a ValueError where the difficulties are so low that learners start with nothing left to learn.
    """

    difficulty: tuple[int, ...] = (0, 1, 2, 3, 3, 0, 3, 3, 4, 4)
    warm_up: int = 20
    catalog: Catalog = field(init=False, repr=False, default_factory=_catalog)

    def __post_init__(self) -> None:
        object.__setattr__(self, "difficulty", tuple(self.difficulty))
        if len(self.difficulty) != CONCEPTS:
            raise ValueError(
                f"KSS: difficulty has {len(self.difficulty)} values; give one for each of {CONCEPTS} concepts"
            )
        if not all(math.isfinite(value) for value in self.difficulty):
            raise ValueError(
                f"KSS: difficulty {self.difficulty} holds a value that is not finite; give numbers up to 5"
            )
        if self.warm_up < 0:
            raise ValueError(f"KSS: warm_up is {self.warm_up}; give 0 or more activities")

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> KSSState:
        """Return B learners after their warm-up, none of whom has passed every target."""
        state = self._newcomers(rng, 0)
        for attempt in range(1, _ATTEMPTS + 1):
            again = self._finished(state).nonzero().squeeze(1)
            if not len(again):
                return state
            redrawn = self._newcomers(take(rng, again), attempt)
            state = KSSState(*(old.index_copy(0, again, new) for old, new in zip(state, redrawn, strict=True)))
        raise ValueError(
            f"KSS: {len(again)} of {len(rng)} learners passed all their targets in each of {_ATTEMPTS} draws; "
            f"raise difficulty {self.difficulty} or lower warm_up {self.warm_up}"
        )

    def context(self, state: KSSState) -> Context:
        """Return the targets, the warm-up log and what was taken up last; there is one role, and no limit of time."""
        role = torch.zeros_like(state.last)
        minutes = torch.full_like(state.goal[:, 0], math.inf)
        return Context(role, state.goal, minutes, state.past_activity, state.past_correct, state.last)

    def answer(self, state: KSSState, activity: Tensor, rng: Rng) -> tuple[KSSState, Response]:
        """Return the state after practising `activity` (B,) int64, with pass (1) or fail (0), never by chance."""
        ability, last, accepted = _practise(state.ability, state.last, activity)
        state = state._replace(ability=ability, last=last)
        passed = self._passed(ability)
        correct = passed.gather(1, activity.unsqueeze(1)).squeeze(1).to(torch.float32)
        finished = (passed | (state.goal == 0)).all(1)
        return state, Response(correct, torch.ones_like(correct), accepted, finished)

    def elapse(self, state: KSSState, days: Tensor, rng: Rng) -> KSSState:
        """Return `state` as it is: KSS learners do not forget."""
        return state

    def mastery(self, state: KSSState) -> Tensor:
        """Return (B, 10) float32, 1 where the concept is passed, else 0."""
        return self._passed(state.ability).to(torch.float32)

    def _passed(self, ability: Tensor) -> Tensor:
        return ability >= _ability_at(0.5, self.difficulty, ability.device)

    def _finished(self, state: KSSState) -> Tensor:
        return (self._passed(state.ability) | (state.goal == 0)).all(1)

    def _newcomers(self, rng: Rng, attempt: int) -> KSSState:
        """Return B learners after their warm-up, whatever they have passed."""
        u = rng.uniform(Purpose.ENROL, 2 * CONCEPTS + 1 + 3 * self.warm_up, block=attempt)
        handicap = 0.1 * torch.arange(CONCEPTS, dtype=torch.float64, device=u.device)
        ability = torch.floor(4 * u[:, :CONCEPTS]) - 3 - handicap
        # A random order of the concepts, of which the first 3..10 are the targets.
        place = u[:, CONCEPTS : 2 * CONCEPTS].argsort(stable=True, dim=1).argsort(dim=1)
        goal = (place < 3 + torch.floor(8 * u[:, 2 * CONCEPTS : 2 * CONCEPTS + 1])).to(torch.float32)
        last = torch.full_like(rng.learner, -1)
        past = torch.zeros(len(rng), self.warm_up, dtype=torch.int64, device=u.device)
        right = torch.zeros(len(rng), self.warm_up, dtype=torch.bool, device=u.device)
        twice = torch.zeros_like(last, dtype=torch.bool)
        for t in range(self.warm_up):
            coins = u[:, 2 * CONCEPTS + 1 + 3 * t :][:, :3]
            concept, twice = self._habit(ability, past[:, :t], right[:, :t], twice, coins)
            ability, last, _ = _practise(ability, last, concept)
            past[:, t] = concept
            right[:, t] = self._passed(ability).gather(1, concept.unsqueeze(1)).squeeze(1)
        return KSSState(ability, last, goal, past, right.to(torch.float32))

    def _habit(
        self, ability: Tensor, past: Tensor, right: Tensor, twice: Tensor, coins: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the next concept of a learner left alone, and whether it is the first of a pair of practices.

        `past` and `right` (B, t) are the log so far, `twice` (B,) says that the last one was the first of a pair,
        `coins` (B, 3) are uniforms.
        """
        unsure = ability < _ability_at(0.6, self.difficulty, ability.device)
        first = (unsure * _tables(ability.device).rank).max(1).indices
        anything = torch.floor(CONCEPTS * coins[:, 2]).to(torch.int64)
        concept = torch.where(coins[:, 1] < 0.9, first, anything)
        if not past.shape[1]:
            return concept, twice
        varied = (past[:, -3:] != past[:, -1:]).any(1)
        pair = ~twice & right[:, -1] & varied
        again = ~right[:, -1] & (coins[:, 0] < 0.7)
        return torch.where(twice | pair | again, past[:, -1], concept), pair
