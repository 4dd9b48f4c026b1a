"""Replayed: a log of real answers seen through the observer, as steps for offline agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
import torch
from torch import Tensor

from ..data.catalog import Catalog
from ..data.log import Log
from ..envs.classroom import World
from ..envs.observer import DAY, Observer, Record, Space
from ..envs.rng import Rng
from ..envs.rows import pick
from ..envs.student import Context, Response, Student
from .agent import Steps
from .bc import BC
from .logged import Logged
from .offline import joined, study


@dataclass(frozen=True, eq=False)
class Believed(Student):
    """Learners of whom only the tracer's belief is known: a state is the observer's record. They answer nothing."""

    observer: Observer

    @property
    def catalog(self) -> Catalog:  # type: ignore[override]
        return self.observer.catalog

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        return self

    def context(self, state: Record) -> Context:
        none = state.role.new_zeros(len(state.role), 0)
        return Context(state.role, state.goal, state.minutes_budget, none, none.float())

    def mastery(self, state: Record) -> Tensor:
        return self.observer.tracer.mastery(state.belief)

    def enrol(self, rng: Rng) -> NoReturn:
        raise RuntimeError("real learners are not drawn")

    def answer(self, state: Any, activity: Tensor, rng: Rng) -> NoReturn:
        raise RuntimeError("real learners answer when they do")

    def elapse(self, state: Record, days: Tensor, rng: Rng) -> Record:
        return self.observer.elapse(state, days)


def replayed(world: World, log: Log, seed: int, learners: int) -> Logged:
    """Return the first session of the first `learners` learners of `log`, rewarded by what the tracer believes.

    Rewards are the world's outcomes on the belief before and after each answer, so they are no better than the tracer.
    Where the log has no propensities, behaviour cloning estimates them; the notes in `about` say so.
    """
    sequences = log.sequences(world.observer.catalog)
    known = np.array(log.frame["propensity"], np.float64)
    spent = np.array(log.frame["minutes"], np.float64)
    n = min(learners, len(sequences.learners))
    parts, forbidden = [], 0
    for first in range(0, n, 512):
        index = np.arange(first, min(first + 512, n))
        steps, against = _session(world, sequences, index, known, spent)
        parts.append(steps)
        forbidden += against
    steps = joined(parts)
    steps, notes = estimated(steps, world.observer.space, seed)
    live = steps.alive
    if forbidden:
        notes.append(
            f"{forbidden} of {int(live.sum())} answers were to activities that the guards forbid: they are let in"
        )
    notes.append("rewards are changes of what the tracer believes, not of what anybody measured")
    lived = int(live.sum())
    if lived < len(sequences.activity):
        notes.append(f"{len(sequences.activity) - lived} answers beyond the first session or learner are left out")
    return Logged(steps, None, {"log": log.name, "learners": n, "notes": notes})


def estimated(steps: Steps, space: Space, seed: int) -> tuple[Steps, list[str]]:
    """Return `steps` with behaviour cloning's estimates for propensities that are NaN, and a note if any were."""
    steps = steps._replace(propensity=torch.where(steps.alive, steps.propensity, 1.0))  # of steps that nobody lived
    unknown = ~torch.isfinite(steps.propensity)
    if not bool(unknown.any()):
        return steps, []
    clone = BC(space, seed)
    for _ in study(steps, clone, seed, 256, 0, 10):
        pass
    with torch.no_grad():
        logits = clone._net(steps.features[:, :-1]).masked_fill(~steps.mask, -torch.inf)
    chance = logits.softmax(-1).gather(2, steps.action[..., None])[..., 0]
    share = float(unknown.sum() / steps.alive.sum())
    note = f"{share:.0%} of the propensities are estimates of behaviour cloning: nobody wrote them down"
    return steps._replace(propensity=torch.where(unknown, chance, steps.propensity)), [note]


def _session(
    world: World, sequences: Any, index: np.ndarray, known: np.ndarray, spent: np.ndarray
) -> tuple[Steps, int]:
    """Return the first session of the learners `index`, and how many answers were against the guards."""
    observer, student = world.observer, Believed(world.observer)
    start = torch.from_numpy(sequences.start[:-1][index])
    length = torch.from_numpy(np.diff(sequences.start)[index]).clamp_max(observer.horizon)
    activities, answers = torch.from_numpy(sequences.activity), torch.from_numpy(sequences.correct)
    days, chance, took = torch.from_numpy(sequences.days), torch.from_numpy(known), torch.from_numpy(spent)
    record = observer.start(_context(observer.catalog, len(index)))
    first, alive = record, length > 0
    seen = observer.observe(record)
    features, kept, against = [seen.features], [], 0
    yes = torch.ones_like(alive)
    for t in range(int(length.max())):
        rows = start + t * alive  # rows of learners whose session is over are looked up and not used
        action, correct = activities[rows], answers[rows].float()
        mask = seen.mask.scatter(1, action[:, None], True)
        against += int((alive & ~seen.mask.gather(1, action[:, None])[:, 0]).sum())
        typical = observer.minutes[action]
        minutes = torch.where(torch.isfinite(took[rows]), took[rows].float(), typical)
        after = observer.update(record, action, correct, minutes, yes)
        goes_on = alive & (t + 1 < length)
        gap = torch.zeros_like(minutes)
        if sequences.timed:
            gap = torch.where(goes_on, days[rows + goes_on.long()] - days[rows], 0.0).float()
            gap = (gap - minutes / DAY).clamp_min(0.0)  # from one answer to the next: the minutes are in it
            after = observer.elapse(after, gap)
        response = Response(correct, minutes, yes, ~goes_on, gap, spent=after.minutes_used, day=after.day)
        reward = torch.zeros(len(index))
        for name, weight in world.reward.items():
            if weight:
                reward = reward + weight * world.outcomes[name](student, first, record, response, after)
        ended = alive & ~goes_on
        kept.append((mask, action, chance[rows].float(), reward * alive, ended, alive))
        record, alive = pick(alive, after, record), goes_on
        seen = observer.observe(record)
        features.append(seen.features)
    mask, action, propensity, reward, ended, lived = (torch.stack(column, 1) for column in zip(*kept, strict=True))
    return Steps(torch.stack(features, 1), mask, action, propensity, reward, ended, lived), against


def _context(catalog: Catalog, n: int) -> Context:
    """Return learners of the first role without a limit of time: a log of answers knows no more."""
    goal = torch.from_numpy(catalog.goals()).float()[:1].expand(n, -1)
    none = torch.zeros(n, 0, dtype=torch.int64)
    return Context(torch.zeros(n, dtype=torch.int64), goal, torch.full((n,), torch.inf), none, none.float())
