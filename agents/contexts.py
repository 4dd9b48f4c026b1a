"""Contexts: what a bandit may take into account, drawn from an observation."""

from __future__ import annotations

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.skills import mean_over_skills

WIDTH = 5  # columns of `contexts`


def contexts(space: Space, observation: Observation) -> Tensor:
    """Return (B, A, 5), what can be said of each activity for each learner.

    Columns: 1; the share of its skills that are goals; believed mastery of those; the mastery of all its skills; the
    share of the session that is left.
    """
    mastery, goal = space.of(observation, "mastery"), space.of(observation, "goal")
    share = mean_over_skills(goal, space.skills)
    wanted = mean_over_skills(mastery * goal, space.skills)
    left = 1.0 - space.of(observation, "progress")[:, 1:2].expand_as(share)
    return torch.stack([torch.ones_like(share), share, wanted, mean_over_skills(mastery, space.skills), left], -1)


def whole(observation: Observation) -> Tensor:
    """Return (B, 1 + F), a 1 and all features of each learner: one context for all activities."""
    features = observation.features
    return torch.cat([torch.ones_like(features[:, :1]), features], 1)
