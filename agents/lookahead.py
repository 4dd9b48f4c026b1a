"""Lookahead: the activity after which the goals are believed best mastered, one step ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.observer import Observation, Observer, Record, Space
from ..envs.rows import spread, take
from .agent import Policy, greedy
from .belief_world import BeliefWorld

_FUTURES = 20_000  # imagined side by side


@dataclass(frozen=True, eq=False)
class Lookahead(Policy):
    """One-step lookahead on the agent's own belief: expected gain in believed goal mastery, over both answers.

    Works with any tracer and sees no hidden state. After the activity the days of the pace go by (`sitting`,
    `gap_days`), and then `after` more, so that what is forgotten again counts less. The gain is what the activity adds
    to having none; with `per_minute`, divided by its typical minutes.
    """

    space: Space
    observer: Observer
    sitting: int = 8
    gap_days: float = 0.0
    after: float = 0.0  # days
    per_minute: bool = True

    def __call__(self, observation: Observation) -> Tensor:
        world = BeliefWorld(self.observer, self.sitting, self.gap_days, self.after)
        record = world.record(observation)
        if torch.compiler.is_exporting():  # a graph has no lists of what is allowed: it imagines everything
            n, a = observation.mask.shape
            all_of = spread(record, a)
            gains = self._gains(world, all_of, torch.arange(a).expand(n, a).flatten()).view(n, a)
        else:
            gains = torch.full_like(observation.mask, -torch.inf, dtype=torch.float32)
            for part in observation.mask.nonzero().split(_FUTURES):
                rows, activity = part[:, 0], part[:, 1]
                gains[rows, activity] = self._gains(world, take(record, rows), activity)
        if self.per_minute:
            gains = gains / self.space.minutes.clamp_min(1e-6)
        return greedy(gains, observation.mask)

    def _gains(self, world: BeliefWorld, record: Record, activity: Tensor) -> Tensor:
        """Return (B,), what each `activity` adds to the believed goal mastery, over both answers."""
        belief, goal = record.belief, record.goal
        days, chance = world.days(record.step), world.chance(belief, activity)
        right = world.worth(world.rest(world.updated(belief, activity, 1.0), days), goal)
        wrong = world.worth(world.rest(world.updated(belief, activity, 0.0), days), goal)
        return chance * right + (1.0 - chance) * wrong - world.worth(world.rest(belief, days), goal)
