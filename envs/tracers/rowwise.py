"""Arithmetic whose every row comes out the same, bit for bit, in any batch and at any place of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_ROWS = 16  # multiplied at a time
LIMIT = 15.0  # logits beyond it give 0 or 1 in float32, which no answer can be


def rows_times(x: Tensor, matrix: Tensor) -> Tensor:
    """Return x (B, n) @ matrix (n, m).

    How a matrix product rounds depends on how many rows it has: so it is cut into blocks that all have the same number.
    """
    if torch.compiler.is_exporting():  # a graph for another runtime, which rounds in its own way
        return x @ matrix
    blocks = F.pad(x, (0, 0, 0, -x.shape[0] % _ROWS)).unflatten(0, (-1, _ROWS))
    return torch.bmm(blocks, matrix.expand(blocks.shape[0], -1, -1)).flatten(0, 1)[: x.shape[0]]


def sigmoid(x: Tensor) -> Tensor:
    """Return the logistic function; the last bit of torch.sigmoid depends on an element's place in memory."""
    return 1.0 / (1.0 + torch.exp(-x))


def chance(logits: Tensor) -> Tensor:
    """Return the logistic function, kept from 0 and 1."""
    return sigmoid(logits.clamp(-LIMIT, LIMIT))
