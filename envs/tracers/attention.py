"""Multi-head attention over the answers so far: a whole batch at once for training, one step at a time for beliefs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .fading import NEVER, faded
from .neural import Noise, uniform
from .rowwise import each_times, rows_times


@dataclass(frozen=True, eq=False)
class Block:
    """The weights of one layer: attention, then two feed-forward layers, each added to its input and normalised.

    `feed` may be of width 0: attention alone. `fade` (H,) makes attention decay (AKT), (0,) leaves it as it is.
    """

    query: Tensor  # (D, D)
    query_bias: Tensor  # (D,)
    key: Tensor  # (D, D), or (0, 0) where keys are made as queries are
    value: Tensor  # (D, D)
    out: Tensor  # (D, D)
    norm: Tensor  # (2, D) scale and shift
    feed: Tensor  # (D, F)
    feed_bias: Tensor  # (F,)
    feed_out: Tensor  # (F, D)
    feed_norm: Tensor  # (2, D)
    fade: Tensor  # (H,) or (0,)

    @staticmethod
    def untrained(width: int, feed: int, fading: int, shared: bool, generator: torch.Generator) -> Block:
        """Return random weights; `fading` heads decay; `shared`: keys are made as queries are."""
        bound = math.sqrt(3.0 / width)
        own = 0 if shared else width
        norm = torch.stack([torch.ones(width), torch.zeros(width)])
        return Block(
            query=uniform(generator, bound, width, width),
            query_bias=uniform(generator, float(shared), width),  # shared, it lifts all scores: the recent then count
            key=uniform(generator, bound, own, own),
            value=uniform(generator, bound, width, width),
            out=uniform(generator, bound, width, width),
            norm=norm,
            feed=uniform(generator, bound, width, feed),
            feed_bias=torch.zeros(feed),
            feed_out=uniform(generator, math.sqrt(3.0 / max(feed, 1)), feed, width),
            feed_norm=norm.clone(),
            fade=torch.linspace(-3.0, 1.0, fading) if fading else torch.zeros(0),
        )

    def to_query(self, x: Tensor) -> Tensor:
        """Return (B, Q, D), the queries of `x` (B, Q, D), and its keys where they are made alike, row by row."""
        return rowwise(x, self.query) + self.query_bias


class Memory(NamedTuple):
    """Keys and values of the latest answers, newest first; what lies past the learner's count is empty."""

    keys: Tensor  # (B, H, L, D / H)
    values: Tensor  # (B, H, L, D / H)

    @staticmethod
    def empty(n: int, heads: int, length: int, like: Tensor) -> Memory:
        """Return the memory of n learners who have answered nothing, for a block with the matrices of `like` (D, D)."""
        zero = like.new_zeros(n, heads, length, like.shape[0] // heads)
        return Memory(zero, zero.clone())

    def with_one(self, key: Tensor, value: Tensor) -> Memory:
        """Return the memory after one more answer (B, D) each; a full one forgets its oldest."""
        return Memory(_prepended(key, self.keys), _prepended(value, self.values))


def _prepended(new: Tensor, old: Tensor) -> Tensor:
    return torch.cat([new.view(old.shape[0], old.shape[1], 1, old.shape[3]), old[:, :, :-1]], 2)


def attend(b: Block, heads: int, x: Tensor, keys: Tensor | None, values: Tensor, strict: bool, noise: Noise) -> Tensor:
    """Return (B, T, D): `x` (B, T, D) after it attended to `keys` and `values` (B, T, D), already projected.

    keys: None = they are the queries. strict: only to earlier steps, else also to its own. A first step with nothing
    before it takes in nothing.
    """
    query = x @ b.query + b.query_bias
    q, k, v = (split(t, heads) for t in (query, query if keys is None else keys, values))
    if strict:
        q, k, v = q[:, :, 1:], k[:, :, :-1], v[:, :, :-1]
    if not b.fade.numel():
        taken = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        step = torch.arange(q.shape[2], device=x.device)
        behind = step[:, None] - step.flip(0)
        scores = q @ (k.flip(2).transpose(-1, -2) / math.sqrt(q.shape[-1]))
        age = (behind + int(strict)).clamp_min(0).float()
        taken = faded(scores, F.softplus(b.fade), age, behind < 0) @ v.flip(2)
    if strict:
        taken = F.pad(taken, (0, 0, 1, 0))
    taken = noise.drop(taken.transpose(1, 2).flatten(2) @ b.out)
    x = _normal(x + taken, b.norm)
    if not b.feed.shape[1]:
        return x
    return _normal(x + noise.drop(torch.relu(x @ b.feed + b.feed_bias) @ b.feed_out), b.feed_norm)


def room(length: int) -> int:
    """Return how many answers a memory of `length` should have room for, so that nothing need be copied to be read."""
    return -(-length // 16) * 16


def attend_now(
    b: Block, heads: int, x: Tensor, memory: Memory, held: Tensor, own: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return (B, Q, D): Q candidates `x` (B, Q, D) for the present step, after each attended to the memory.

    held: (B,) how many of the memory's answers count. own: keys and values (B, Q, D) of the candidates themselves,
    where a step sees itself. Each learner's rows are the same in any batch.
    """
    scale = math.sqrt(x.shape[-1] // heads)
    q = split(b.to_query(x), heads)
    place = torch.arange(memory.keys.shape[2], device=x.device)
    hidden, age = place >= held[:, None, None, None], (place + 1).float().expand(1, 1, 1, -1)
    scores = heads_times(memory.keys, q.transpose(-1, -2)).transpose(-1, -2) / scale
    values = memory.values
    if own is not None:
        mine = (q * split(own[0], heads)).sum(-1, keepdim=True) / scale
        scores, hidden, age = torch.cat([mine, scores], -1), F.pad(hidden, (1, 0)), F.pad(age, (1, 0))
    if b.fade.numel():
        weights = faded(scores, F.softplus(b.fade), age, hidden)
    else:
        weights = torch.softmax(scores.masked_fill(hidden, NEVER), -1)
    if own is None:
        taken = heads_times(weights, values) * (held > 0)[:, None, None, None]
    else:
        taken = heads_times(weights[..., 1:], values) + weights[..., :1] * split(own[1], heads)
    x = _normal(x + rowwise(taken.transpose(1, 2).flatten(2), b.out), b.norm)
    if not b.feed.shape[1]:
        return x
    return _normal(x + rowwise(torch.relu(rowwise(x, b.feed) + b.feed_bias), b.feed_out), b.feed_norm)


def rowwise(x: Tensor, matrix: Tensor) -> Tensor:
    """Return x (B, Q, D) @ matrix (D, E), each row the same in any batch."""
    return rows_times(x.flatten(0, 1), matrix).view(*x.shape[:2], -1)


def heads_times(a: Tensor, b: Tensor) -> Tensor:
    """Return a (B, H, Q, D) @ b (B, H, D, E), each the same in any batch."""
    return each_times(a.flatten(0, 1), b.flatten(0, 1)).view(*a.shape[:3], b.shape[3])


def split(x: Tensor, heads: int) -> Tensor:
    """Return (B, H, T, D / H) of (B, T, D)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _normal(x: Tensor, norm: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], norm[0], norm[1])
