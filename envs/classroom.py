"""Classroom: B learners side by side, each meeting one activity a step; the tensor core of every environment."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from .observer import Observation, Observer, Record
from .outcomes import Outcome
from .rng import Purpose, Rng, derive
from .rows import pick, take, to_device
from .student import Response, State, Student


class Moment(NamedTuple):
    """What one step of a classroom gives."""

    observation: Observation  # after the step
    reward: Tensor  # (B,) weighted sum of outcomes; 0 for learners whose session was over before
    values: dict[str, Tensor]  # every measured outcome, (B,)
    response: Response
    legal: Tensor  # (B,) bool, the guards allowed the activity
    handover: Tensor  # (B,) bool, nothing had been allowed: the fallback was given
    ended: Tensor  # (B,) bool, the session is over now: terminated in gymnasium's words
    alive: Tensor  # (B,) bool, the session was still on before this step


@dataclass(frozen=True)
class Pace:
    """How time passes: after every `sitting` activities, `gap_days` go by without practice; 0 days = all in one go."""

    sitting: int = 8
    gap_days: float = 0.0


@dataclass(frozen=True, eq=False)
class World:
    """What a classroom is made of: the learner, the observer, the measures, their weights in the reward, and the pace.

    `reward` names the outcomes that training maximises and their weights; the others are only measured.
    """

    student: Student
    observer: Observer
    outcomes: dict[str, Outcome]
    reward: dict[str, float]
    pace: Pace = Pace()
    watch: tuple[str, ...] = ()  # outcomes that training measures though it does not reward them

    def __post_init__(self) -> None:
        missing = sorted(set(self.watch) - set(self.outcomes))
        if missing:
            raise ValueError(f"{missing} are to be watched, and the outcomes are {sorted(self.outcomes)}")
        unknown = sorted(set(self.reward) - set(self.outcomes))
        if unknown:
            raise ValueError(f"reward weighs {unknown}, which are not among the outcomes {sorted(self.outcomes)}")


class Classroom:
    """B learners of one world, from enrolment to the end of each session.

    `seed` and the learners' numbers fix everything that chance decides: learner i lives the same life in any batch.
    The guards of `world.observer` decide what is `legal`; with `guarded=False` they advise but forbid nothing.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        first: int,
        n: int,
        guarded: bool = True,
        measure: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Enrol learners `first` .. `first + n - 1`; `measure` computes every outcome, not only the rewarded ones."""
        if torch.device(device).type != "cpu":  # worlds are made, kept and loaded on the CPU
            world = replace(world, student=to_device(world.student, device), observer=world.observer.on(device))
        self.world = world
        self.guarded = guarded
        self._view = world.observer if guarded else world.observer.unguarded()
        rewarded = [name for name, weight in world.reward.items() if weight]
        self._names = tuple(world.outcomes) if measure else tuple(dict.fromkeys([*rewarded, *world.watch]))
        self.rng = Rng.enrol(seed, first, n, device)
        self._enrol(self.rng)
        self.rng = self.rng.looking_ahead()
        self.alive = torch.ones_like(self.rng.learner, dtype=torch.bool)

    def _enrol(self, rng: Rng) -> None:
        self.start: State = self.world.student.enrol(rng)
        self.state: State = self.start
        self.record: Record = self.world.observer.start(self.world.student.context(self.start))
        self.observation: Observation = self._view.observe(self.record)

    def fork(self, rows: Tensor, draw: int = 0) -> Classroom:
        """Return a classroom of imagined futures: learner `rows[i]` (int64) as it is now, with coins of its own.

        The same learner has the same coins in all futures of one `draw`; none are those of this room. Only the reward
        is measured.
        """
        room = self.imagined(rows)
        coins = room.rng
        room.rng = Rng(derive(coins.seed, "imagined"), coins.learner, coins.episode + draw, coins.step)
        return room

    def imagined(self, rows: Tensor) -> Classroom:
        """Return a copy that holds learner `rows[i]` (int64) of this room, with the coins of this room."""
        room = copy(self)
        room._names = tuple(name for name, weight in self.world.reward.items() if weight)
        room.rng = Rng(self.rng.seed, self.rng.learner[rows], self.rng.episode[rows], self.rng.step[rows])
        room.start, room.state, room.record = take((self.start, self.state, self.record), rows)
        room.observation, room.alive = take(self.observation, rows), self.alive[rows]
        return room

    def __len__(self) -> int:
        return len(self.rng)

    def act(self, n: int = 1) -> Tensor:
        """Return (B, n) uniforms for choosing the next activity."""
        return self.rng.uniform(Purpose.ACT, n)

    def step(self, activity: Tensor) -> Moment:
        """Give each learner `activity` (B,) int64; learners whose session is over stay as they are."""
        world, alive = self.world, self.alive
        rng = self.rng
        if self.guarded:
            legal = self.observation.mask.gather(1, activity[:, None])[:, 0]
        else:
            legal = world.observer.observe(self.record).mask.gather(1, activity[:, None])[:, 0]
        handover = self.observation.handover
        state, response = world.student.answer(self.state, activity, rng)
        record = world.observer.update(self.record, activity, response.correct, response.minutes, response.accepted)
        days, away = self._gap(record.step)
        if response.days is not None:  # learners who come back when they do
            days = days + response.days
            away = bool((days > 0).any())
        if away:
            state = world.student.elapse(state, days, rng)
            record = world.observer.elapse(record, days)
        ended = alive & (response.finished | world.observer.over(record))
        response = response._replace(
            days=torch.zeros_like(response.minutes) + days, finished=ended, spent=record.minutes_used, day=record.day
        )
        values = {
            name: world.outcomes[name](world.student, self.start, self.state, response, state) * alive
            for name in self._names
        }
        reward = torch.zeros(len(self), device=alive.device)
        for name, weight in world.reward.items():
            if weight:
                reward = reward + weight * values[name]
        if not bool(alive.all()):
            state, record = pick(alive, state, self.state), pick(alive, record, self.record)
        self.state, self.record = state, record
        self.alive = alive & ~ended
        self.rng = rng.at(record.step)
        self.observation = self._view.observe(record)
        return Moment(self.observation, reward, values, response, legal, handover, ended, alive)

    def _gap(self, step: Tensor) -> tuple[Tensor, bool]:
        """Return (B,) days without practice that the pace puts after activity number `step`, and whether any are."""
        pace = self.world.pace
        together = self.rng.together
        if together is None and pace.gap_days:
            days = (step % pace.sitting == 0) * pace.gap_days
            return days, bool((days > 0).any())
        gap = pace.gap_days if together is not None and (together + 1) % pace.sitting == 0 else 0.0
        return torch.full((1,), gap, device=step.device).expand(len(self)), gap > 0  # one number for all

    def renew(self, rows: Tensor) -> None:
        """Let new learners take the places `rows` (B,) bool: the same numbers in their next episode."""
        rng = Rng(self.rng.seed, self.rng.learner, self.rng.episode + 1, torch.zeros_like(self.rng.step))
        start = self.world.student.enrol(rng)
        record = self.world.observer.start(self.world.student.context(start))
        self.start, self.state = pick(rows, start, self.start), pick(rows, start, self.state)
        self.record = pick(rows, record, self.record)
        self.rng = Rng(
            self.rng.seed,
            self.rng.learner,
            torch.where(rows, rng.episode, self.rng.episode),
            torch.where(rows, rng.step, self.rng.step),
        ).looking_ahead()
        self.alive = self.alive | rows
        self.observation = self._view.observe(self.record)
