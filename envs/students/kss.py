"""KSS: the field's ten-concept learner, kept so that results can be laid beside published ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Activity, Catalog, Skill
from ...data.log import Log
from ..rng import Purpose, Rng
from ..rows import take
from ..student import Context, Response, Student
from .kss_graph import BEFORE, CONCEPTS, EDGES, NEIGHBOURS, ability_at, legal, p_correct, practise, tables

__all__ = ["EDGES", "KSS", "NEIGHBOURS", "KSSState", "legal", "p_correct"]

_ATTEMPTS = 64  # with the published difficulties 1 learner in about 100,000 needs a second one


class KSSState(NamedTuple):
    """How B KSS learners are."""

    ability: Tensor  # (B, 10) float64, at most 5
    last: Tensor  # (B,) int64, the concept last taken up; -1 = none yet
    goal: Tensor  # (B, 10) float32, 1 where the concept is a target
    past_activity: Tensor  # (B, warm_up) int64, the latest of the warm-up
    past_correct: Tensor  # (B, warm_up) float32


def _catalog() -> Catalog:
    def named(k: int) -> str:
        return f"concept {k}"

    skills = tuple(Skill(named(k), f"Concept {k}", tuple(map(named, BEFORE[k])), ()) for k in range(CONCEPTS))
    activities = tuple(
        Activity(f"practise {k}", f"Practise concept {k}", "practice", (named(k),), 1.0, (), (), k == 0, False)
        for k in range(CONCEPTS)
    )
    return Catalog(skills, activities)


@dataclass(frozen=True, eq=False)
class KSS(Student):
    """The Knowledge Structure based Simulator; as it stands, the form known as "v1" (the EduSim package of 2019-2020).

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
    Variants
        What is called KSS differs from paper to paper. The settings below are those differences, one by one;
        configs/student/kss_2018.yaml and kss_2021.yaml hold the two other forms that published figures stand on.
    Source
        Liu, Tong, Liu, Zhao, Chen, Ma and Wang (2019), "Exploiting cognitive structure for adaptive learning", KDD
        (CSEAL). The default difficulties are that code's draw with seed 10: ten whole numbers from 0..5, sorted, given
        out in the order 5, 0, 1, 2, 3, 4, 6, 7, 8, 9; here they stand by concept, from concept 0 to concept 9.

    `enrol` raises a ValueError where the difficulties are so low that learners start with nothing left to learn.
    """

    difficulty: tuple[int, ...] = (0, 1, 2, 3, 3, 0, 3, 3, 4, 4)
    warm_up: int = 20
    lowest: int = -3  # starting abilities are whole numbers from here
    highest: int = 0  # to here, less 0.1 i
    targets: tuple[int, int] = (3, 10)  # the fewest and the most targets drawn
    repeats: bool = False  # targets are drawn with replacement, so that some coincide
    warm_up_walk: bool = True  # the warm-up obeys the rule of legality
    warm_up_pairs: bool = False  # the two practices after a right answer count as one activity of the warm-up
    warm_up_kept: bool = True  # what the warm-up taught stays; else only its log and its last concept do
    habit_ability: float | None = None  # practise the first concept below this ability; None: below a p_correct of .6
    chance: bool = False  # answers are drawn with p_correct, before learning
    towards: bool = False  # a legal concept must lead to a target, where one does
    redraw: bool = True  # who has every target at the start is drawn anew
    ends: bool = True  # the session ends with the last target
    catalog: Catalog = field(init=False, repr=False, default_factory=_catalog)

    def __post_init__(self) -> None:
        object.__setattr__(self, "difficulty", tuple(self.difficulty))
        object.__setattr__(self, "targets", tuple(self.targets))
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
        if self.lowest > self.highest:
            raise ValueError(f"KSS: abilities from {self.lowest} to {self.highest}; give the lower one first")
        if not (len(self.targets) == 2 and 1 <= self.targets[0] <= self.targets[1] <= CONCEPTS):
            raise ValueError(f"KSS: targets is {self.targets}; give the fewest and the most, from 1 to {CONCEPTS}")

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> KSSState:
        """Return B learners after their warm-up; with `redraw`, none of whom has passed every target."""
        state = self._newcomers(rng, 0)
        if not self.redraw:
            return state
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
        """Return the state after practising `activity` (B,) int64, with pass (1) or fail (0)."""
        accepted = self._accepts(state.last, state.goal, activity)
        ability = practise(state.ability, activity, accepted)
        passed = self._passed(ability)
        if self.chance:
            correct = self._drawn(state.ability, activity, rng.uniform(Purpose.ANSWER)[:, 0]).to(torch.float32)
        else:
            correct = passed.gather(1, activity.unsqueeze(1)).squeeze(1).to(torch.float32)
        finished = (passed | (state.goal == 0)).all(1) & self.ends
        state = state._replace(ability=ability, last=torch.where(accepted, activity, state.last))
        return state, Response(correct, torch.ones_like(correct), accepted, finished)

    def elapse(self, state: KSSState, days: Tensor, rng: Rng) -> KSSState:
        """Return `state` as it is: KSS learners do not forget."""
        return state

    def mastery(self, state: KSSState) -> Tensor:
        """Return (B, 10) float32, 1 where the concept is passed, else 0."""
        return self._passed(state.ability).to(torch.float32)

    def _passed(self, ability: Tensor) -> Tensor:
        return ability >= ability_at(0.5, self.difficulty, ability.device)

    def _finished(self, state: KSSState) -> Tensor:
        return (self._passed(state.ability) | (state.goal == 0)).all(1)

    def _accepts(self, last: Tensor, goal: Tensor, concept: Tensor) -> Tensor:
        """Return (B,) bool, whether each learner takes `concept` (B,) up."""
        if self.towards:
            return legal(last, goal).gather(1, concept.unsqueeze(1)).squeeze(1)
        return tables(last.device).legal[last, concept]

    def _drawn(self, ability: Tensor, concept: Tensor, coin: Tensor) -> Tensor:
        """Return (B,) bool, answers at `concept` (B,) drawn with `coin` (B,) uniforms."""
        difficulty = torch.tensor(self.difficulty, dtype=torch.float64, device=ability.device)
        return coin <= p_correct(ability.gather(1, concept.unsqueeze(1)).squeeze(1), difficulty[concept])

    def _newcomers(self, rng: Rng, attempt: int) -> KSSState:
        """Return B learners after their warm-up, whatever they have passed."""
        lives = self.warm_up * (1 + self.warm_up_pairs)  # practices there may be
        u = rng.uniform(Purpose.ENROL, 2 * CONCEPTS + 1 + 3 * lives, block=attempt)
        coins = rng.uniform(Purpose.TRAITS, lives, block=attempt) if self.chance else u
        handicap = 0.1 * torch.arange(CONCEPTS, dtype=torch.float64, device=u.device)
        start = torch.floor((self.highest - self.lowest + 1) * u[:, :CONCEPTS]) + self.lowest - handicap
        goal = self._targets(u[:, CONCEPTS : 2 * CONCEPTS], u[:, 2 * CONCEPTS : 2 * CONCEPTS + 1])
        ability = start
        last = torch.full_like(rng.learner, -1)
        past = torch.zeros(len(rng), lives, dtype=torch.int64, device=u.device)
        right = torch.zeros(len(rng), lives, dtype=torch.bool, device=u.device)
        twice = torch.zeros_like(last, dtype=torch.bool)
        done, length = torch.zeros_like(last), torch.zeros_like(last)
        for t in range(lives):
            going = done < self.warm_up
            concept, twice = self._habit(ability, past[:, :t], right[:, :t], twice, u[:, 2 * CONCEPTS + 1 + 3 * t :])
            accepted = going & self._accepts(last, goal, concept) if self.warm_up_walk else going
            before, ability = ability, practise(ability, concept, accepted)
            last = torch.where(accepted, concept, last)
            past[:, t] = concept
            answered = self._passed(ability).gather(1, concept.unsqueeze(1)).squeeze(1)
            right[:, t] = self._drawn(before, concept, coins[:, t]) if self.chance else answered
            done = done + ~(twice & self.warm_up_pairs)
            length = length + going
        latest = (length - self.warm_up)[:, None] + torch.arange(self.warm_up, device=u.device)
        past, right = past.gather(1, latest), right.gather(1, latest)
        return KSSState(ability if self.warm_up_kept else start, last, goal, past, right.to(torch.float32))

    def _targets(self, u: Tensor, size: Tensor) -> Tensor:
        """Return (B, 10) float32, 1 where a concept is a target; `u` (B, 10) and `size` (B, 1) are uniforms."""
        fewest, most = self.targets
        n = fewest + torch.floor((most - fewest + 1) * size)
        if self.repeats:
            drawn = torch.floor(CONCEPTS * u).to(torch.int64)
            counted = (torch.arange(CONCEPTS, device=u.device) < n).to(torch.float32)
            return torch.zeros_like(u).scatter_add_(1, drawn, counted).clamp_max_(1.0)
        # A random order of the concepts, of which the first n are the targets.
        place = u.argsort(stable=True, dim=1).argsort(dim=1)
        return (place < n).to(torch.float32)

    def _habit(
        self, ability: Tensor, past: Tensor, right: Tensor, twice: Tensor, coins: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the next concept of a learner left alone, and whether it is the first of a pair of practices.

        `past` and `right` (B, t) are the log so far, `twice` (B,) says that the last one was the first of a pair,
        `coins` (B, 3 or more) are uniforms.
        """
        if self.habit_ability is None:
            unsure = ability < ability_at(0.6, self.difficulty, ability.device)
        else:
            unsure = ability < self.habit_ability
        first = (unsure * tables(ability.device).rank).max(1).indices
        anything = torch.floor(CONCEPTS * coins[:, 2]).to(torch.int64)
        concept = torch.where(coins[:, 1] < 0.9, first, anything)
        if not past.shape[1]:
            return concept, twice
        varied = (past[:, -3:] != past[:, -1:]).any(1)
        pair = ~twice & right[:, -1] & varied
        again = ~right[:, -1] & (coins[:, 0] < 0.7)
        return torch.where(twice | pair | again, past[:, -1], concept), pair
