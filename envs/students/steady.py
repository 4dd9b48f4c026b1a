"""Functions that round alike in any batch.

torch's own sigmoid and pow treat the last few numbers of an array by another routine than the rest, so the last bit of
a learner's value would hang on how many learners stand beside. exp and log do not.
"""

from __future__ import annotations

import torch
from torch import Tensor


def logistic(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)); 0 below -87, where float32 ends."""
    return 1.0 / (1.0 + torch.exp(-x))


def power(x: Tensor, exponent: float) -> Tensor:
    """Return x ** exponent for x >= 0 and exponent > 0."""
    return torch.exp(exponent * torch.log(x))


def halved(times: Tensor, share: float = 0.5) -> Tensor:
    """Return share ** times, for 0 <= share <= 1; share 0 leaves nothing after one time."""
    if share == 0.0:
        return (times == 0).to(torch.float32)
    return torch.exp(float(torch.log(torch.tensor(share, dtype=torch.float64))) * times.to(torch.float32))
