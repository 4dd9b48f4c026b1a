"""Mixed: a policy that leaves a share of its decisions to chance, so that its log can teach and judge others."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..envs.observer import Observation
from .agent import Policy, uniform


@dataclass(frozen=True, eq=False)
class Mixed(Policy):
    """Another policy's choice, or with probability `epsilon` any allowed activity.

    Follows the rules even where that policy ignores them.
    """

    policy: Policy
    epsilon: float

    def __call__(self, observation: Observation) -> Tensor:
        return (1.0 - self.epsilon) * self.policy(observation) + self.epsilon * uniform(observation.mask)
