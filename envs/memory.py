"""Forgetting curves: the probability of recall as a pure function of the days since the last review.

Every curve is 1 at 0 days and falls from there; days below 0 count as 0, so that no curve can exceed 1. Tensors of any
shapes that broadcast; stabilities, half-lives and days share one unit, here days.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

RETAINED = 0.9  # what is recalled after one stability, by definition of the word


def exponential(days: Tensor, stability: Tensor) -> Tensor:
    """Return exp(-days / stability) (Ebbinghaus 1885, as Reddy et al. 2017 use it)."""
    return torch.exp(-days.clamp_min(0.0) / stability)


def half_life(days: Tensor, life: Tensor) -> Tensor:
    """Return 2 ** (-days / life), a half after one half-life (Settles and Meeder 2016, equation 1)."""
    return torch.exp(-math.log(2.0) * days.clamp_min(0.0) / life)


def hyperbolic(days: Tensor, rate: Tensor, exponent: Tensor) -> Tensor:
    """Return (1 + rate days) ** -exponent (Wickelgren 1974, as DASH uses it)."""
    return torch.exp(-exponent * torch.log1p(rate * days.clamp_min(0.0)))


def power_factor(decay: Tensor | float) -> Tensor:
    """Return F = .9 ** (-1 / decay) - 1, for which `power` is .9 after one stability."""
    return torch.expm1(-math.log(RETAINED) / torch.as_tensor(decay))


def power(days: Tensor, stability: Tensor, decay: Tensor | float) -> Tensor:
    """Return (1 + F days / stability) ** -decay (the forgetting curve of FSRS-6)."""
    return torch.exp(-decay * torch.log1p(power_factor(decay) * days.clamp_min(0.0) / stability))


def power_interval(retention: Tensor | float, stability: Tensor, decay: Tensor | float) -> Tensor:
    """Return the days after which `power` has fallen to `retention`; 0 for a retention of 1."""
    wanted = torch.as_tensor(retention, dtype=stability.dtype)
    return stability / power_factor(decay) * torch.expm1(-torch.log(wanted) / decay)
