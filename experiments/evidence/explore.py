"""Exploring: a policy that leaves a share of its decisions to chance, so that its log can judge others."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...agents.agent import Policy, uniform
from ...envs.observer import Observation


@dataclass(frozen=True, eq=False)
class Exploring(Policy):
    """`policy` in all decisions but a `share`, which go evenly to what is allowed.

    Follows the rules even where `policy` ignores them.
    """

    policy: Policy
    share: float

    def __call__(self, observation: Observation) -> Tensor:
        return (1.0 - self.share) * self.policy(observation) + self.share * uniform(observation.mask)
