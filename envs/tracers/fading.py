"""Attention that fades with the distance, with its gradient written out: a third of the passes that autograd makes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NEVER = -1e9  # the score of what may not be attended to


class Faded(torch.autograd.Function):
    """Monotonic attention of AKT (Ghosh, Heffernan and Lan 2020, equations 4-6): weights from scores.

    A score shrinks by exp(-slope * distance), distance = sqrt(age * attention paid to what came later), through which
    no gradient flows. scores: (..., H, Q, L), the newest of L first; slope: (H,) > 0; age: (..., Q, L) in steps;
    hidden: (..., Q, L) bool, what may not be attended to. Returns (..., H, Q, L); rows that see nothing are uniform.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, slope: Tensor, age: Tensor, hidden: Tensor) -> Tensor:
        wall = hidden.to(scores.dtype) * NEVER
        paid = torch.softmax(scores + wall, -1)
        later = paid.cumsum(-1)
        distance = paid.zero_()
        torch.mul(later[..., :-1], age[..., 1:], out=distance[..., 1:])
        distance.sqrt_()
        effect = torch.mul(distance, -slope[:, None, None], out=later).exp_()
        weights = torch.softmax((scores * effect).add_(wall), -1)
        ctx.save_for_backward(scores, distance, effect, weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        scores, distance, effect, weights = ctx.saved_tensors
        back = grads[0] * weights
        back.addcmul_(weights, back.sum(-1, keepdim=True), value=-1.0).mul_(effect)
        steep = (back * scores).mul_(distance).sum((-1, -2))
        return back, -steep.flatten(0, -2).sum(0), None, None


def faded(scores: Tensor, slope: Tensor, age: Tensor, hidden: Tensor) -> Tensor:
    """Return attention weights (..., H, Q, L); see `Faded`."""
    return torch.as_tensor(Faded.apply(scores, slope, age, hidden))
