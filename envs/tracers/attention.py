"""Multi-head attention over the answers so far: a whole batch at once for training, one step at a time for beliefs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .neural import Noise, uniform
from .rowwise import rows_times

_NEVER = -1e9  # the score of what may not be attended to


@dataclass(frozen=True, eq=False)
class Block:
    """The weights of one layer: attention, then two feed-forward layers, each added to its input and normalised.

    `feed` may be of width 0: attention alone. `fade` (heads,) makes attention decay (AKT), (0,) leaves it as it is.
    """

    query: Tensor  # (D, D)
    key: Tensor  # (D, D), or (0, 0) where keys are made as queries are
    value: Tensor  # (D, D)
    out: Tensor  # (D, D)
    norm: Tensor  # (2, D) scale and shift
    feed: Tensor  # (D, F)
    feed_bias: Tensor  # (F,)
    feed_out: Tensor  # (F, D)
    feed_norm: Tensor  # (2, D)
    fade: Tensor  # (heads,) or (0,)

    @staticmethod
    def untrained(width: int, feed: int, fading: int, shared: bool, generator: torch.Generator) -> Block:
        """Return random weights; `fading` heads decay; `shared`: keys are made as queries are."""
        bound = math.sqrt(3.0 / width)
        own = 0 if shared else width
        norm = torch.stack([torch.ones(width), torch.zeros(width)])
        return Block(
            query=uniform(generator, bound, width, width),
            key=uniform(generator, bound, own, own),
            value=uniform(generator, bound, width, width),
            out=uniform(generator, bound, width, width),
            norm=norm,
            feed=uniform(generator, bound, width, feed),
            feed_bias=torch.zeros(feed),
            feed_out=uniform(generator, math.sqrt(3.0 / max(feed, 1)), feed, width),
            feed_norm=norm.clone(),
            fade=torch.zeros(fading),
        )

    @property
    def to_key(self) -> Tensor:
        """The matrix that makes keys."""
        return self.key if self.key.numel() else self.query


class Memory(NamedTuple):
    """Keys and values of the latest answers, oldest first; what lies past the learner's count is empty."""

    keys: Tensor  # (B, L, D)
    values: Tensor  # (B, L, D)

    @staticmethod
    def empty(n: int, length: int, like: Tensor) -> Memory:
        """Return the memory of n learners who have answered nothing, for a block with the matrices of `like` (D, D)."""
        return Memory(like.new_zeros(n, length, like.shape[0]), like.new_zeros(n, length, like.shape[0]))

    def with_one(self, key: Tensor, value: Tensor, count: Tensor) -> Memory:
        """Return the memory after one more answer (B, D) each; a full one forgets its oldest."""
        return Memory(_append(self.keys, key, count), _append(self.values, value, count))


def _append(old: Tensor, new: Tensor, count: Tensor) -> Tensor:
    length = old.shape[1]
    full = count >= length
    if bool(full.any()):
        old = torch.where(full[:, None, None], old.roll(-1, 1), old)
    place = count.clamp_max(length - 1)[:, None, None].expand(-1, 1, old.shape[2])
    return old.scatter(1, place, new[:, None])


def attend(b: Block, heads: int, x: Tensor, keys: Tensor, values: Tensor, strict: bool, noise: Noise) -> Tensor:
    """Return (B, T, D): `x` (B, T, D) after it attended to `keys` and `values` (B, T, D), already projected.

    strict: only to earlier steps, else also to its own. A first step with nothing before it takes in nothing.
    """
    T = x.shape[1]
    q, k, v = (_heads(t, heads) for t in (x @ b.query, keys, values))
    step = torch.arange(T, device=x.device)
    seen = step[:, None] - step >= (1 if strict else 0)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    weights = _weights(scores, seen, (step[:, None] - step).clamp_min(0).float(), b.fade)
    taken = (weights @ v).transpose(1, 2).flatten(2)
    return _finish(b, x, taken @ b.out, noise)


def attend_now(
    b: Block, heads: int, x: Tensor, memory: Memory, count: Tensor, own: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return (B, Q, D): Q candidates `x` (B, Q, D) for the present step, after each attended to the memory.

    count: (B,) answers so far. own: keys and values (B, Q, D) of the candidates themselves, where a step sees itself.
    """
    length = memory.keys.shape[1]
    q, k, v = (_heads(t, heads) for t in (rowwise(x, b.query), memory.keys, memory.values))
    held = count.clamp_max(length)[:, None, None, None]
    place = torch.arange(length, device=x.device)
    seen, age = place < held, (held - place).clamp_min(0).float()
    scores = _each(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    if own is None:
        taken = _each(_weights(scores, seen, age, b.fade), v)
    else:
        mine = (q * _heads(own[0], heads)).sum(-1, keepdim=True) / math.sqrt(q.shape[-1])
        seen, age = F.pad(seen, (0, 1), value=True), F.pad(age, (0, 1))
        weights = _weights(torch.cat([scores, mine], -1), seen, age, b.fade)
        taken = _each(weights[..., :-1], v) + weights[..., -1:] * _heads(own[1], heads)
    return _finish_now(b, x, rowwise(taken.transpose(1, 2).flatten(2), b.out))


def rowwise(x: Tensor, matrix: Tensor) -> Tensor:
    """Return x (B, Q, D) @ matrix (D, E), each row the same in any batch."""
    return rows_times(x.flatten(0, 1), matrix).view(*x.shape[:2], -1)


def _each(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b; the operator @ rounds otherwise where there is but one learner."""
    return torch.bmm(a.flatten(0, 1), b.flatten(0, 1)).view(*a.shape[:3], -1)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _weights(scores: Tensor, seen: Tensor, age: Tensor, fade: Tensor) -> Tensor:
    """Return attention weights (B, heads, Q, L) that sum to 1 over what is seen, or are 0 where nothing is.

    With `fade` a score shrinks with the distance sqrt(age * attention paid to what came later) (Ghosh, Heffernan and
    Lan 2020, equations 4-6), through which no gradient flows.
    """
    scores = scores.masked_fill(~seen, _NEVER)
    if fade.numel():
        with torch.no_grad():
            paid = torch.softmax(scores, -1) * seen
            later = F.pad(paid.flip(-1).cumsum(-1).flip(-1)[..., 1:], (0, 1))  # a difference of sums would lose digits
            distance = torch.sqrt(later * age)
        effect = torch.exp(-F.softplus(fade)[:, None, None] * distance).clamp_min(1e-5)
        scores = (scores * effect).masked_fill(~seen, _NEVER)
    weights: Tensor = torch.softmax(scores, -1) * seen
    return weights


def _finish(b: Block, x: Tensor, taken: Tensor, noise: Noise) -> Tensor:
    x = _normal(x + noise.drop(taken), b.norm)
    if not b.feed.shape[1]:
        return x
    fed = torch.relu(x @ b.feed + b.feed_bias) @ b.feed_out
    return _normal(x + noise.drop(fed), b.feed_norm)


def _finish_now(b: Block, x: Tensor, taken: Tensor) -> Tensor:
    x = _normal(x + taken, b.norm)
    if not b.feed.shape[1]:
        return x
    return _normal(x + rowwise(torch.relu(rowwise(x, b.feed) + b.feed_bias), b.feed_out), b.feed_norm)


def _normal(x: Tensor, norm: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], norm[0], norm[1])
