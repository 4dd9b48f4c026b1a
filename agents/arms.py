"""Arms: how often each activity was given, and what it earned; the statistics that plain bandits share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from .agent import Steps, lived


class Arms(NamedTuple):
    """Counts and summed rewards of the activities, for learners who did each 0, 1, ... L - 1 or more times before.

    One row, L = 1, is the plain bandit whose statistics all learners share. With more rows an activity is worth what it
    was worth to learners who had done it as often: all that a bandit can have of a learner's own past, since every
    learner is new and a session too short to try each activity twice.
    """

    tries: Tensor  # (L, A) float64
    total: Tensor  # (L, A) float64

    @staticmethod
    def none(levels: int, activities: int) -> Arms:
        """Return the statistics of arms never tried; ValueError below 1 level."""
        if levels < 1:
            raise ValueError(f"levels is {levels}; give 1 for one statistic per activity, or more")
        return Arms(*torch.zeros(2, levels, activities, dtype=torch.float64))

    def add(self, levels: Tensor, action: Tensor, reward: Tensor, discount: float = 1.0) -> Arms:
        """Return the statistics after N trials, all (N,); what was known before counts `discount` times."""
        a = self.tries.shape[1]
        flat = levels * a + action
        count = torch.zeros(self.tries.numel(), dtype=torch.float64).index_add_(
            0, flat, torch.ones_like(reward).double()
        )
        total = torch.zeros_like(count).index_add_(0, flat, reward.double())
        return Arms(
            self.tries * discount + count.view_as(self.tries), self.total * discount + total.view_as(self.total)
        )

    @property
    def mean(self) -> Tensor:
        """(L, A), the mean reward; 0 where never tried."""
        return self.total / self.tries.clamp_min(1e-9)


def level(observation: Observation, levels: int) -> Tensor:
    """Return (B, A) int64, how often each learner did each activity before, at most `levels` - 1."""
    if levels == 1:
        return torch.zeros_like(observation.mask, dtype=torch.int64)
    return lived(observation).attempts.long().clamp_max(levels - 1)


def at(values: Tensor, levels: Tensor) -> Tensor:
    """Return (B, A) float32, the entries of `values` (L, A) at each learner's levels (B, A)."""
    return values.gather(0, levels).float()


def trials(steps: Steps, levels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the level, the activity and the reward (N,) of every step that was lived."""
    seen, action, reward = steps.samples()
    return level(seen, levels).gather(1, action[:, None])[:, 0], action, reward


def even(scores: Tensor, mask: Tensor) -> Tensor:
    """Return (B, A), the allowed activities with the highest score, in equal shares."""
    allowed = scores.masked_fill(~mask, -torch.inf)
    best = (allowed == allowed.max(1, keepdim=True).values) & mask
    return best / best.sum(1, keepdim=True)


def rate(scores: Tensor, space: Space, per_minute: bool) -> Tensor:
    """Return `scores` (B, A), of rewards, per minute if so wanted."""
    return scores / space.minutes.clamp_min(1e-6) if per_minute else scores
