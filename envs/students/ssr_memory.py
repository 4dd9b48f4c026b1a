"""Memory: how long what was learnt stays in reach, and how retrieving it makes it stay longer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .steady import halved

SAME_SITTING = 0.5  # days within which growth events of one skill wear each other out


@dataclass(frozen=True)
class Memory:
    """Retrievability falls with time as a power of days / stability; stability grows with effortful success.

    R = (1 + F days / S)^-decay with F such that R(S) = .9: the curve of FSRS-6, whose decay is .1542. A success at
    reachability R multiplies S by 1 + tired^n mult gain S^-damping (exp(pull effort) - 1), where n counts growth in the
    same half day and effort = (1 - recall R) (1 - exp(-days / working)). A failure that is corrected sets S to at most
    lapse ((S + 1)^lapse_power - 1) exp(lapse_pull (1 - R)); a failure without feedback changes nothing (Kornell, Bjork
    and Garcia 2011). The constants are fitted to Cepeda et al. (2008), Roediger and Karpicke (2006) and Karpicke and
    Roediger (2008).

    forgets: False keeps everything in reach. effortful: False lets every success count alike, whatever its spacing.
    """

    forgets: bool = True
    decay: float = 0.70
    gain: float = 0.55
    damping: float = 0.77
    pull: float = 6.0
    working: float = 0.002  # days, how fast working memory empties
    tired: float = 0.60
    lapse: float = 8.0
    lapse_power: float = 0.2629
    lapse_pull: float = 3.4
    effortful: bool = True

    def __post_init__(self) -> None:
        if not (self.decay > 0 and self.working >= 0 and 0 <= self.tired <= 1):
            raise ValueError(f"{self}: decay is above 0, working 0 or more, tired between 0 and 1")

    def reach(self, days: Tensor, stability: Tensor) -> Tensor:
        """Return the probability that what is known comes to mind `days` after it last did."""
        if not self.forgets:
            return torch.ones_like(stability)
        factor = 0.9 ** (-1.0 / self.decay) - 1.0
        return torch.exp(-self.decay * torch.log1p(factor * days.clamp_min(0.0) / stability))

    def effort(self, days: Tensor, reach: Tensor, recall: Tensor) -> Tensor:
        """Return how much a success had to be worked for; `recall` tells apart recall (.83) and recognition (.90)."""
        if not self.effortful:
            return torch.full_like(reach, 0.5)
        fresh = 1.0 - torch.exp(-days.clamp_min(0.0) / self.working) if self.working > 0 else torch.ones_like(days)
        return (1.0 - recall * reach) * fresh

    def grown(self, stability: Tensor, effort: Tensor, count: Tensor, weight: Tensor) -> Tensor:
        """Return the stability after a success, `count` growth events into the half day."""
        room = weight * self.gain * torch.exp(-self.damping * torch.log(stability))
        worn = halved(count, self.tired)
        return stability * (1.0 + worn * room * torch.expm1(self.pull * effort))

    def lapsed(self, stability: Tensor, reach: Tensor) -> Tensor:
        """Return the stability after a failure that was corrected."""
        power = torch.exp(self.lapse_power * torch.log1p(stability)) - 1.0
        return torch.minimum(stability, self.lapse * power * torch.exp(self.lapse_pull * (1.0 - reach)))
