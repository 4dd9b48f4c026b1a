"""Acquisition: how strength grows with practice, worked examples and study."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Acquisition:
    """The growth of strength: rate * learner's rate * skill's rate * gate * amount (logits).

    The amount of one practice is `challenge(p) * taught(y)`. `rate` .15 gives about .1 logit an opportunity
    (Koedinger et al. 2023). `kappa` = 0 makes all difficulties teach alike (Moeyaert et al. 2016 found no effect);
    `best` is the success probability at which practice teaches most (Wilson et al. 2019: .8413 for gradient learners).
    gate: what is left of learning while a prerequisite is out of reach, and `ready`, the mastery that opens it fully.
    worked, fading: a worked example teaches worked - fading * P(knows).
    leap: > 0 replaces growth by two states: an unknown skill becomes known with this probability (BKT).
    """

    rate: float = 0.15
    kappa: float = 1.0
    best: float = 0.85
    gate: float = 0.15
    ready: float = 0.80
    worked: float = 1.22
    fading: float = 0.95
    feedback: bool = True  # False: every answer teaches as a right one that is shown
    leap: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.best < 1 and 0 < self.ready <= 1 and 0 <= self.gate <= 1 and 0 <= self.leap <= 1):
            raise ValueError(f"{self}: best and ready lie in (0, 1), gate and leap in [0, 1]")

    def challenge(self, p: Tensor) -> Tensor:
        """Return how well a problem of success probability `p` teaches; 1 at `best`, below 1 elsewhere."""
        if self.kappa == 0.0:
            return torch.ones_like(p)
        p = p.clamp(1e-4, 1 - 1e-4)
        easier = torch.log(p / self.best) * self.best
        harder = torch.log((1 - p) / (1 - self.best)) * (1 - self.best)
        return torch.exp(self.kappa * (easier + harder))

    def taught(self, correct: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
        """Return the factor of an answer that is graded `correct` (0 or 1)."""
        if not self.feedback:
            return torch.ones_like(correct)
        return torch.where(correct > 0.5, right, wrong)

    def example(self, knows: Tensor) -> Tensor:
        """Return what a worked example teaches someone who knows the skill with probability `knows`."""
        return (self.worked - self.fading * knows).clamp_min(0.0)

    def opened(self, reached: Tensor, real: Tensor) -> Tensor:
        """Return the gate (B, M) for prerequisites mastered to `reached` (B, M, P); padding where `real` is False."""
        if self.gate == 1.0:
            return torch.ones_like(reached[..., 0])
        share = torch.where(real, (reached / self.ready).clamp(0.0, 1.0), torch.ones_like(reached))
        product = share[..., 0]
        for j in range(1, share.shape[-1]):  # one order of multiplying, whatever the batch
            product = product * share[..., j]
        return self.gate + (1.0 - self.gate) * product
