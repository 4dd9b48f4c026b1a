"""The long short-term memory over whole batches, with its gradient written out: two products a step, not four."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Unrolled(torch.autograd.Function):
    """Hochreiter and Schmidhuber (1997) with a forget gate (Gers et al. 2000), from h = c = 0.

    inputs: (T, B, 4H) what the inputs add to the gates, in the order input, forget, output, candidate; recurrent:
    (H, 4H). Returns (T, B, H), h after each step. Backwards, the gradient of `recurrent` is one product over all steps.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, recurrent: Tensor) -> Tensor:
        T, B, width = inputs.shape
        H = width // 4
        gates = inputs.clone()
        cells = inputs.new_empty(T, B, H)
        hidden = inputs.new_empty(T, B, H)
        for t in range(T):
            gate = gates[t]
            if t:
                gate.addmm_(hidden[t - 1], recurrent)
            gate[:, : 3 * H].sigmoid_()
            gate[:, 3 * H :].tanh_()
            i, f, o, g = gate.split(H, 1)
            torch.mul(i, g, out=cells[t])
            if t:
                cells[t].addcmul_(f, cells[t - 1])
            torch.tanh(cells[t], out=hidden[t])
            hidden[t].mul_(o)
        ctx.save_for_backward(gates, cells, hidden, recurrent)
        return hidden

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gates, cells, hidden, recurrent = ctx.saved_tensors
        outer = grads[0]
        T, B, width = gates.shape
        H = width // 4
        back = torch.empty_like(gates)
        turned = recurrent.t().contiguous()
        d_cell = torch.zeros(B, H)
        d_hidden = outer[T - 1].clone()
        for t in range(T - 1, -1, -1):
            i, f, o, g = gates[t].split(H, 1)
            squashed = torch.tanh(cells[t])
            d_cell.addcmul_(d_hidden * o, 1.0 - squashed * squashed)
            gate = back[t]
            torch.mul(d_cell, g, out=gate[:, :H])
            if t:
                torch.mul(d_cell, cells[t - 1], out=gate[:, H : 2 * H])
            else:
                gate[:, H : 2 * H] = 0.0
            torch.mul(d_hidden, squashed, out=gate[:, 2 * H : 3 * H])
            three = gates[t, :, : 3 * H]
            gate[:, : 3 * H].mul_(three).mul_(1.0 - three)
            torch.mul(d_cell * i, 1.0 - g * g, out=gate[:, 3 * H :])
            if t:
                d_hidden = torch.addmm(outer[t - 1], gate, turned)
                d_cell.mul_(f)
        d_recurrent = hidden[:-1].flatten(0, 1).t() @ back[1:].flatten(0, 1)
        return back, d_recurrent


def unrolled(inputs: Tensor, recurrent: Tensor) -> Tensor:
    """Return (T, B, H), the hidden states after each of T steps; see `Unrolled`."""
    return torch.as_tensor(Unrolled.apply(inputs, recurrent))
