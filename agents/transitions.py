"""Transitions: steps cut into single rows for one-step and n-step learning, and the memory that keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .agent import State, Steps


class Transitions(NamedTuple):
    """N rows: what was seen and done, what it paid, and what can be done next."""

    features: Tensor  # (N, F)
    mask: Tensor  # (N, A) bool
    action: Tensor  # (N,) int64
    reward: Tensor  # (N,), discounted sum over the steps up to the next row
    next_features: Tensor  # (N, F)
    next_mask: Tensor  # (N, A) bool
    discount: Tensor  # (N,), weight of what follows: discount ** steps, 0 where the session ended


def transitions(steps: Steps, discount: float, n: int = 1) -> Transitions:
    """Return a row for every live step, looking up to `n` steps ahead within its session.

    What is allowed after a chunk is not known, so rows look no further than the chunk's last step; that step itself
    is left out unless the session ended with it.
    """
    length = steps.alive.shape[1]
    ended = steps.ended | ~steps.alive
    reward, weight = steps.reward * steps.alive, torch.full_like(steps.reward, discount)
    ahead = torch.arange(1, length + 1).expand_as(ended)  # where the row's next state is
    over = ended.clone()
    for j in range(1, n):
        if j >= length:
            break
        later = torch.zeros_like(over)
        later[:, : length - j] = True
        later[:, length - j - 1] &= ended[:, -1]  # nothing is allowed to follow the chunk's last step
        later &= ~over
        paid, stops = torch.roll(steps.reward, -j, 1), torch.roll(ended, -j, 1)
        reward = reward + torch.where(later, discount**j * paid, 0.0)
        weight = torch.where(later, discount ** (j + 1), weight)
        ahead = torch.where(later, ahead + 1, ahead)
        over = over | (later & stops)
    kept = steps.alive & (over | (ahead < length))
    row, t = kept.nonzero(as_tuple=True)
    there = ahead[row, t]
    return Transitions(
        steps.features[row, t],
        steps.mask[row, t],
        steps.action[row, t],
        reward[row, t],
        steps.features[row, there],
        steps.mask[row, there.clamp_max(length - 1)],
        torch.where(over, 0.0, weight)[row, t],
    )


def shuffled(rows: Transitions, size: int, generator: torch.Generator) -> Iterator[Transitions]:
    """Yield all `rows` once, in random order, `size` at a time."""
    for part in torch.randperm(len(rows.action), generator=generator).split(size):
        yield Transitions(*(column[part] for column in rows))


def spread(old: float, steps: Steps, first: bool) -> float:
    """Return the running mean of squared returns over a chunk, brought up to date with `steps`."""
    now = float(steps.reward.sum(1).square().mean())
    return now if first else 0.9 * old + 0.1 * now


def unit(spread: float) -> float:
    """Return the size of a typical return, by which rewards are divided."""
    return float(max(spread, 1e-12) ** 0.5)


class Memory:
    """The latest `capacity` transitions in preallocated tensors, with a priority each; the oldest give way.

    With `power` 0 all rows are drawn alike, else in proportion to priority ** power (Schaul et al. 2016, equation 1).
    """

    def __init__(self, n_features: int, n_activities: int, capacity: int, power: float = 0.0) -> None:
        """Hold nothing yet."""
        self.capacity, self.power = capacity, power
        self._size = self._at = 0
        self._shape = (n_features, n_activities)
        self._rows: Transitions | None = None  # allocated with the first rows
        self._priority = torch.zeros(0)

    def __len__(self) -> int:
        return self._size

    def _empty(self) -> Transitions:
        (f, a), n = self._shape, self.capacity
        self._priority = torch.zeros(n if self.power else 0)
        return Transitions(
            torch.zeros(n, f),
            torch.zeros(n, a, dtype=torch.bool),
            torch.zeros(n, dtype=torch.int64),
            torch.zeros(n),
            torch.zeros(n, f),
            torch.zeros(n, a, dtype=torch.bool),
            torch.zeros(n),
        )

    def add(self, rows: Transitions) -> None:
        """Keep `rows`; of more than the memory holds, the last ones. New rows have the highest priority."""
        n = min(len(rows.action), self.capacity)
        if not n:
            return
        self._rows = self._rows or self._empty()
        place = (self._at + torch.arange(n)) % self.capacity
        for column, new in zip(self._rows, rows, strict=True):
            column[place] = new[-n:]
        if self.power:
            self._priority[place] = float(self._priority.max()) or 1.0
        self._at, self._size = (self._at + n) % self.capacity, min(self._size + n, self.capacity)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Transitions, Tensor]:
        """Return the places of `n` rows drawn with replacement, the rows, and the chance of each times their number."""
        assert self._rows is not None
        if self.power:
            chance = self._priority[: self._size] ** self.power
            chance = chance / chance.sum()
            place = torch.multinomial(chance, n, replacement=True, generator=generator)
            odds = chance[place] * self._size
        else:
            place = torch.randint(self._size, (n,), generator=generator)
            odds = torch.ones(n)
        return place, Transitions(*(column[place] for column in self._rows)), odds

    def judge(self, place: Tensor, priority: Tensor) -> None:
        """Set the priorities of rows."""
        if self.power:
            self._priority[place] = priority

    def state(self) -> State:
        """Return a copy of what is held."""
        saved: State = {"memory/size": torch.tensor(self._size), "memory/at": torch.tensor(self._at)}
        if self._rows is not None:
            saved |= {f"memory/{k}": v[: self._size].clone() for k, v in self._rows._asdict().items()}
            saved["memory/priority"] = self._priority[: self._size].clone()
        return saved

    def restore(self, state: State) -> None:
        """Hold exactly what `state` says."""
        self._size, self._at = int(state["memory/size"]), int(state["memory/at"])
        self._rows = None
        if "memory/action" in state:
            self._rows = self._empty()
            for name, column in self._rows._asdict().items():
                column[: self._size] = state[f"memory/{name}"]
            self._priority[: self._size] = state["memory/priority"]
