"""Counter-based random numbers: learner i lives the same life in any batch, on any device, after any resume.

Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011) turns (seed, purpose, learner, episode, step) into uniforms.
Nothing is stored but the counters, so no global state exists that could drift between two runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_WORD = 0xFFFFFFFF
_TINY = 4  # up to this many counters plain Python integers beat array calls
_CACHED = 16384  # counters at a time, so that ten rounds stay in the processor's cache
_AHEAD = 1 << 14  # counters that are worth one go: below, the array calls cost more than the numbers
_STEPS = 32  # steps drawn ahead at most


class Purpose(IntEnum):
    """What a draw is for; draws of two purposes never share a counter."""

    ENROL = 1
    ANSWER = 2
    ACT = 3
    ELAPSE = 4
    LEARN = 5
    MINUTES = 6
    TRAITS = 7
    KNOWN = 8


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: int, k1: int) -> tuple[Any, Any, Any, Any]:
    """Return the four 32-bit words of Philox 4x32-10 for counters `c0..c3` and key `k0, k1`.

    The counters may be Python integers, NumPy uint64 arrays or torch int64 tensors, all holding 32-bit words;
    the words that come back are of the same kind (Salmon et al. 2011, section 3.3).
    """
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = ((p1 >> 32) & _WORD) ^ c1 ^ k0, p1 & _WORD, ((p0 >> 32) & _WORD) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _W0) & _WORD, (k1 + _W1) & _WORD
    return c0, c1, c2, c3


def derive(seed: int, *names: str | int) -> int:
    """Return a 32-bit seed for a named part of a run, such as `derive(3, "evaluate")`."""
    text = ":".join(str(part) for part in (seed, *names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


class Drawn(NamedTuple):
    """Uniforms drawn ahead for the step of `at` and the S - 1 after it; None after a first draw."""

    at: Rng  # step `first`
    values: Tensor | None  # (S, B, n)


@dataclass(frozen=True, eq=False)
class Rng:
    """The random numbers of B learners at one moment of their lives.

    `learner`, `episode` and `step` are int64 tensors of shape (B,) with values below 2**32. `ahead` holds what was
    drawn for steps to come: the same numbers, cheaper for few learners. None draws step by step.
    """

    seed: int
    learner: Tensor  # (B,)
    episode: Tensor  # (B,)
    step: Tensor  # (B,)
    ahead: dict[tuple[Purpose, int, int], Drawn] | None = field(default=None, repr=False)

    @staticmethod
    def enrol(seed: int, first: int, n: int, device: torch.device | str = "cpu") -> Rng:
        """Return the numbers of learners first .. first+n-1 at the start of their first episode."""
        learner = torch.arange(first, first + n, dtype=torch.int64, device=device)
        zero = torch.zeros_like(learner)
        return Rng(seed, learner, zero, zero)

    def at(self, step: int | Tensor) -> Rng:
        """Return the same learners' numbers at `step`."""
        if isinstance(step, int):
            step = torch.full_like(self.learner, step)
        return replace(self, step=step)

    def __len__(self) -> int:
        return self.learner.shape[0]

    def looking_ahead(self) -> Rng:
        """Return the same numbers, drawn for several steps at once from the second step in a row that asks for them."""
        worth = self.learner.device.type == "cpu" and 2 * len(self) <= _AHEAD
        return replace(self, ahead={} if worth else None)

    def uniform(self, purpose: Purpose, n: int = 1, block: int | Tensor = 0) -> Tensor:
        """Return (B, n) float32 uniforms in [0, 1); `block` opens a further, disjoint set for the same purpose.

        A tensor gives each learner a block of its own, (B,) int64.
        """
        if self.ahead is None or not isinstance(block, int):
            return self._now(purpose, n, block)
        drawn = self.ahead.get((purpose, n, block))
        if drawn is not None and drawn.at.learner is self.learner:  # some of the learners only: not the same rows
            least, most = self._since(drawn.at)
            if drawn.values is not None and least >= 0 and most < len(drawn.values):
                if least == most:
                    return drawn.values[least]
                return drawn.values[self.step - drawn.at.step, torch.arange(len(self))]
            if most == (1 if drawn.values is None else len(drawn.values)):
                values = self._coming(purpose, n, block)
                self.ahead[purpose, n, block] = Drawn(replace(self, ahead=None), values)
                return values[0]
        self.ahead[purpose, n, block] = Drawn(replace(self, ahead=None), None)
        return self._now(purpose, n, block)

    @cached_property
    def together(self) -> int | None:
        """The step of all learners, or None where they are at different ones."""
        if not len(self):
            return None
        least, most = int(self.step.min()), int(self.step.max())
        return least if least == most else None

    def _since(self, earlier: Rng) -> tuple[int, int]:
        """Return how many steps, at least and at most, lie between `earlier` and now."""
        if self.together is not None and earlier.together is not None:
            return self.together - earlier.together, self.together - earlier.together
        late = self.step - earlier.step
        return int(late.min()), int(late.max())

    def _coming(self, purpose: Purpose, n: int, block: int) -> Tensor:
        """Return (S, B, n), the uniforms of this step and those after it."""
        steps = min(_STEPS, max(1, _AHEAD // len(self)))
        later = torch.arange(steps)[:, None] + self.step
        many = Rng(self.seed, self.learner.repeat(steps), self.episode.repeat(steps), later.flatten())
        return many._now(purpose, n, block).reshape(steps, len(self), n)

    def _now(self, purpose: Purpose, n: int, block: int | Tensor) -> Tensor:
        key = (self.seed & _WORD, int(purpose))
        if self.learner.device.type != "cpu":
            return self._by_tensor(n, block, key)
        return self._by_integer(n, block, key) if len(self) <= _TINY else self._by_array(n, block, key)

    def _by_tensor(self, n: int, block: int | Tensor, key: tuple[int, int]) -> Tensor:
        blocks = (torch.zeros_like(self.learner) + block) << 16
        counters = self.learner, self.episode, self.step
        words = [w for i in range((n + 3) // 4) for w in philox(*counters, blocks + i, *key)]
        return torch.stack(words[:n], 1).bitwise_right_shift(8).to(torch.float32) * 2.0**-24

    def _by_integer(self, n: int, block: int | Tensor, key: tuple[int, int]) -> Tensor:
        blocks = [block] * len(self) if isinstance(block, int) else block.tolist()
        rows = zip(self.learner.tolist(), self.episode.tolist(), self.step.tolist(), blocks, strict=True)
        turns = range((n + 3) // 4)
        drawn = [[w for j in turns for w in philox(i, e, t, (b << 16) + j, *key)][:n] for i, e, t, b in rows]
        return torch.tensor([[(w >> 8) * 2.0**-24 for w in row] for row in drawn], dtype=torch.float32).reshape(-1, n)

    def _by_array(self, n: int, block: int | Tensor, key: tuple[int, int]) -> Tensor:
        c0, c1, c2 = (c.numpy() for c in (self.learner, self.episode, self.step))
        blocks = block if isinstance(block, int) else block.numpy()
        turns = np.arange((n + 3) // 4)[:, None]
        out = np.empty((len(self), len(turns), 4), np.float32)
        size = max(1, _CACHED // len(turns))
        for at in range(0, len(self), size):
            rows = slice(at, at + size)
            own = blocks if isinstance(blocks, int) else blocks[rows]
            _fill(out[rows], c0[rows], c1[rows], c2[rows], (own << 16) + turns, key)
        return torch.from_numpy(out.reshape(len(self), 4 * len(turns))[:, :n])

    def normal(self, purpose: Purpose, n: int = 1, block: int = 0) -> Tensor:
        """Return (B, n) standard normals by Box and Muller (1958)."""
        u = self.uniform(purpose, 2 * n, block)
        radius = torch.sqrt(-2.0 * torch.log1p(-u[:, :n]))
        return radius * torch.cos(2.0 * torch.pi * u[:, n:])


def _fill(
    out: np.ndarray, c0: np.ndarray, c1: np.ndarray, c2: np.ndarray, c3: np.ndarray, key: tuple[int, int]
) -> None:
    """Write the uniforms of the counters (n,), c3 (m, 1) or (m, n), into `out` (n, m, 4).

    The rounds of `philox`, both multiplications in one call and nothing allocated on the way.
    """
    shape = (2, len(c3), len(c0))
    even, odd, product = np.empty(shape, np.uint64), np.empty(shape, np.uint64), np.empty(shape, np.uint64)
    even[0], even[1], odd[0], odd[1] = c0, c2, c1, c3
    times = np.array([_M0, _M1], np.uint64)[:, None, None]
    keys, step = np.array(key, np.uint64)[:, None, None], np.array([_W0, _W1], np.uint64)[:, None, None]
    low, half = np.uint64(_WORD), np.uint64(32)
    for _ in range(10):
        np.multiply(even, times, out=product)
        np.right_shift(product, half, out=even)
        np.bitwise_xor(even[::-1], odd, out=odd)
        np.bitwise_xor(odd, keys, out=odd)
        np.bitwise_and(product[::-1], low, out=product[::-1])
        even, odd, product = odd, product[::-1], even
        keys = (keys + step) & low
    for i, words in enumerate((even[0], odd[0], even[1], odd[1])):
        np.right_shift(words, np.uint64(8), out=words)
        np.multiply(words.view(np.int64).T, 2.0**-24, out=out[..., i], casting="same_kind")
