"""A memory of slots that is read and then written, over whole batches, with its gradient written out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Written(torch.autograd.Function):
    """Dynamic memory of Zhang, Shi, King and Yeung (2017, equations 2-7): every step reads, then erases and adds.

    weights: (T, B, N) of the slots; erase, add: (T, B, D); start: (N, D). Returns (T, B, D), what was read before each
    step was written.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, erase: Tensor, add: Tensor, start: Tensor) -> Tensor:
        T, B, N = weights.shape
        D = erase.shape[2]
        slots = erase.new_empty(T, B, N, D)
        slots[0] = start
        for t in range(T - 1):
            torch.addcmul(add[t][:, None], erase[t][:, None], slots[t], value=-1.0, out=slots[t + 1])
            slots[t + 1].mul_(weights[t][..., None]).add_(slots[t])
        read = torch.matmul(weights[:, :, None], slots)[:, :, 0]
        ctx.save_for_backward(weights, erase, add, slots)
        return read

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weights, erase, add, slots = ctx.saved_tensors
        outer = grads[0]
        T = weights.shape[0]
        d_weights = torch.matmul(slots, outer[..., None])[..., 0]
        d_erase, d_add = torch.zeros_like(erase), torch.zeros_like(add)
        back = weights[T - 1][..., None] * outer[T - 1][:, None]
        for t in range(T - 2, -1, -1):
            weight = weights[t][:, None]
            moved = back * slots[t]
            d_add[t] = torch.bmm(weight, back)[:, 0]
            d_erase[t] = torch.bmm(weight, moved)[:, 0].neg_()
            d_weights[t] += torch.bmm(back, add[t][..., None])[..., 0]
            d_weights[t] -= torch.bmm(moved, erase[t][..., None])[..., 0]
            kept = torch.addcmul(outer[t][:, None], back, erase[t][:, None], value=-1.0)
            back.addcmul_(kept, weights[t][..., None])
        return d_weights, d_erase, d_add, back.sum(0)


def written(weights: Tensor, erase: Tensor, add: Tensor, start: Tensor) -> Tensor:
    """Return (T, B, D), what each of T steps read; see `Written`."""
    return torch.as_tensor(Written.apply(weights, erase, add, start))
