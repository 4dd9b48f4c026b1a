"""Arithmetic whose every row comes out the same, bit for bit, in any batch and at any place of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_ROWS = 16  # multiplied at a time; as floats they fill 64 bytes
LIMIT = 15.0  # logits beyond it give 0 or 1 in float32, which no answer can be


def rows_times(x: Tensor, matrix: Tensor) -> Tensor:
    """Return x (B, n) @ matrix (n, m).

    How a matrix product rounds depends on how many rows it has: so it is cut into blocks that all have the same number.
    Narrow products take another way where there is but one block: so none is narrow.
    """
    if torch.compiler.is_exporting():  # a graph for another runtime, which rounds in its own way
        return x @ matrix
    blocks = F.pad(x, (0, 0, 0, -x.shape[0] % _ROWS)).unflatten(0, (-1, _ROWS))
    wide = F.pad(matrix, (0, -matrix.shape[1] % _ROWS)) if matrix.shape[1] % _ROWS else matrix
    return torch.bmm(blocks, wide.expand(blocks.shape[0], -1, -1)).flatten(0, 1)[: x.shape[0], : matrix.shape[1]]


def each_times(a: Tensor, b: Tensor) -> Tensor:
    """Return a (N, n, k) @ b (N, k, m), each product the same wherever it stands.

    How MKL rounds depends on where in memory a matrix begins: so all begin at multiples of 64 bytes.
    """
    return torch.bmm(_aligned(a), _aligned(b))[:, : a.shape[1], : b.shape[2]]


def _aligned(x: Tensor) -> Tensor:
    rows, columns = -x.shape[1] % _ROWS, -x.shape[2] % _ROWS
    if rows or columns:
        return F.pad(x, (0, columns, 0, rows)).contiguous()
    x = x.contiguous()
    return x.clone() if x.data_ptr() % 64 else x


def sigmoid(x: Tensor) -> Tensor:
    """Return the logistic function; the last bit of torch.sigmoid depends on an element's place in memory."""
    return 1.0 / (1.0 + torch.exp(-x))


def chance(logits: Tensor) -> Tensor:
    """Return the logistic function, kept from 0 and 1."""
    return sigmoid(logits.clamp(-LIMIT, LIMIT))
