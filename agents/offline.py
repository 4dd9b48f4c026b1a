"""Offline: learning from steps that another policy took, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..envs.classroom import Classroom, World
from ..envs.rng import derive
from ..envs.rows import take
from .agent import Agent, Policy, Steps
from .loop import gather


def study(steps: Steps, agent: Agent, seed: int, sessions: int, first: int, epochs: int) -> Iterator[dict[str, float]]:
    """Learn from `steps` in epochs `first` .. `epochs - 1`, `sessions` learners at a time; yield the metrics of each.

    Nothing but the agent's own state is carried from one epoch to the next, so study can stop and go on there.
    """
    chance = derive(seed, "study")
    for epoch in range(first, epochs):
        order = torch.randperm(len(steps.alive), generator=torch.Generator().manual_seed(derive(chance, epoch)))
        sums: dict[str, float] = {}
        parts = order.split(sessions)
        for n, rows in enumerate(parts):
            for name, value in agent.learn(take(steps, rows), derive(chance, epoch, n)).items():
                sums[name] = sums.get(name, 0.0) + value
        metrics = {name: value / len(parts) for name, value in sums.items()}
        yield metrics | {"return": float(steps.reward.sum(1).mean()), "steps": float(steps.alive.sum())}


def write_down(world: World, policy: Policy, seed: int, learners: int) -> Steps:
    """Return the whole sessions of `learners` learners under `policy`, with its propensities.

    The learners are those of no training and no evaluation with the same seed. Histories and the steps' other outcomes
    are left out.
    """
    chance, parts = derive(seed, "log"), []
    for start in range(0, learners, 512):
        room = Classroom(world, chance, start, min(512, learners - start))
        parts.append(gather(room, policy, world.observer.horizon)._replace(history=()))
    return joined(parts)


def joined(parts: list[Steps]) -> Steps:
    """Return the learners of all `parts`, sessions filled up to the longest with steps that nobody lived."""
    length = max(part.alive.shape[1] for part in parts)
    names = [name for name in Steps._fields if name not in Steps._field_defaults]
    columns = {name: torch.cat([_longer(name, part, length) for part in parts]) for name in names}
    return Steps(**columns)  # type: ignore[arg-type]


def _longer(name: str, steps: Steps, length: int) -> torch.Tensor:
    column: torch.Tensor = getattr(steps, name)
    short = length - steps.alive.shape[1]
    more = column[:, -1:].expand(-1, short, *column.shape[2:])  # masks and propensities have to stay possible
    if name in ("reward", "ended", "alive"):
        more = torch.zeros_like(more)
    return torch.cat([column, more], 1)
