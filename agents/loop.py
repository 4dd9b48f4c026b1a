"""The one training loop, and its twin that only plays: cohorts of fresh learners, each living one session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from ..envs.classroom import Classroom, Moment, World
from ..envs.observer import Observation
from ..envs.rng import derive
from .agent import Agent, Policy, Steps, sample
from .privileged import Privileged


def train(world: World, agent: Agent, seed: int, learners: int, first: int, cohorts: int) -> Iterator[dict[str, float]]:
    """Train on cohorts `first` .. `cohorts - 1` of `learners` fresh learners each; yield the metrics of each.

    Nothing but the agent's own state is carried from one cohort to the next, so training can stop and go on there.
    """
    chance = derive(seed, "train")
    for cohort in range(first, cohorts):
        room = Classroom(world, chance, cohort * learners, learners)
        total, count, n = torch.zeros(learners), torch.zeros(learners), 0
        sums: dict[str, float] = {}
        while bool(room.alive.any()):
            steps = gather(room, agent.behave(), agent.chunk or world.observer.horizon, agent.remembers())
            for name, value in agent.learn(steps, derive(chance, cohort, n)).items():
                sums[name] = sums.get(name, 0.0) + value
            total, count, n = total + steps.reward.sum(1), count + steps.alive.sum(1), n + 1
        metrics = {name: value / n for name, value in sums.items()}
        yield metrics | {"return": float(total.mean()), "steps": float(count.sum())}


def gather(room: Classroom, policy: Policy, n: int, remember: bool = True) -> Steps:
    """Return up to `n` steps of every learner of `room` under `policy`; fewer when all sessions end before.

    `remember` keeps the histories, which some agents look at.
    """
    first, b = room.observation, len(room)
    # written in place and step after step: no second copy, and each write in one piece
    features = first.features.new_empty(n + 1, b, first.features.shape[1]).transpose(0, 1)
    mask = first.mask.new_empty(n, b, first.mask.shape[1]).transpose(0, 1)
    values: dict[str, list[Tensor]] = {}
    features[:, 0], histories, kept, t = first.features, [room.record.history] * remember, [], 0
    for t, (seen, probabilities, action, moment) in enumerate(islice(live(room, policy), n), 1):
        propensity = probabilities.gather(1, action[:, None])[:, 0]
        kept.append((action, propensity, moment.reward, moment.ended, moment.alive))
        features[:, t], mask[:, t - 1] = moment.observation.features, seen.mask
        if remember:
            histories.append(room.record.history)
        for name, value in moment.values.items():
            values.setdefault(name, []).append(value)
    measured = {name: torch.stack(column, 1) for name, column in values.items()}
    action, propensity, reward, ended, alive = (torch.stack(column, 1) for column in zip(*kept, strict=True))
    seen_all = features[:, : t + 1], mask[:, :t]
    return Steps(*seen_all, action, propensity, reward, ended, alive, tuple(histories), measured)


@dataclass
class Play:
    """What became of n learners under one policy."""

    values: dict[str, Tensor]  # each outcome summed over the session, (n,)
    minutes: Tensor  # (n,)
    steps: Tensor  # (n,)
    legal: Tensor  # (n,), how many of the steps the guards allowed
    handovers: Tensor  # (n,), how many steps were handed over to a person
    mastery: list[Tensor] = field(default_factory=list)  # (K,) mean true mastery, before each step and at the end

    @property
    def legal_rate(self) -> float:
        """The share of all steps that the guards allowed."""
        return float(self.legal.sum() / self.steps.sum().clamp_min(1.0))


class Turn(NamedTuple):
    """One step of a room as it was lived."""

    seen: Observation
    probabilities: Tensor  # (B, A)
    action: Tensor  # (B,)
    moment: Moment


def live(room: Classroom, policy: Policy | Privileged) -> Iterator[Turn]:
    """Yield step after step of `room` under `policy` until every session is over."""
    choices = _choices(room, policy)
    while bool(room.alive.any()):
        seen = room.observation
        probabilities = next(choices)
        action = sample(probabilities, room.act()[:, 0])
        yield Turn(seen, probabilities, action, room.step(action))


def _choices(room: Classroom, policy: Policy | Privileged) -> Iterator[Tensor]:
    """Yield (B, A) probabilities before every step of `room`."""
    if isinstance(policy, Privileged):
        yield from policy.watch(room)
    else:
        while True:
            yield policy(room.observation)


def play(world: World, policy: Policy | Privileged, seed: int, learners: int, first: int = 0) -> Play:
    """Play learners `first` .. `first + learners - 1` of the population `seed` under `policy`, every outcome measured.

    Two policies played with one seed meet the same learners with the same luck (common random numbers).
    """
    room = Classroom(world, seed, first, learners, guarded=policy.guarded, measure=True)
    values = {name: torch.zeros(learners) for name in world.outcomes}
    minutes, steps, legal, handovers = torch.zeros(4, learners)
    result = Play(values, minutes, steps, legal, handovers)
    result.mastery.append(_goal_mastery(world, room))
    for _, _, _, moment in live(room, policy):
        for name, value in moment.values.items():
            result.values[name] += value
        result.minutes += moment.response.minutes * moment.alive
        result.steps += moment.alive
        result.legal += moment.legal & moment.alive
        result.handovers += moment.handover & moment.alive
        result.mastery.append(_goal_mastery(world, room))
    return result


def _goal_mastery(world: World, room: Classroom) -> Tensor:
    """Return (K,), the mean true mastery over the learners who need the skill; over all where nobody does."""
    mastery, goal = world.student.mastery(room.state), world.student.context(room.state).goal
    n = goal.sum(0)
    return torch.where(n > 0, (mastery * goal).sum(0) / n.clamp_min(1.0), mastery.mean(0))
