"""Episodes: logged sessions of any length, laid out so that sequential estimators are sums over a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .estimate import Array, Index


@dataclass(frozen=True, eq=False)
class Episodes:
    """n sessions of up to T steps; who left early stays where they were: reward 0, weight 1, q = v = 0.

    `weight` is the candidate's probability of the logged action / the logged propensity, one step at a time; `q` and
    `v` are the fitted value of the logged action and of the candidate's choice (0 without a model).
    """

    reward: Array  # (n, T)
    weight: Array  # (n, T)
    q: Array  # (n, T)
    v: Array  # (n, T)
    real: NDArray[np.bool_]  # (n, T), False after the end
    discount: float = 1.0
    ratio: Array | None = None  # (n, T), how the fit of q weighs the rows; None leaves its own error out of intervals

    @staticmethod
    def of(
        start: Index,
        reward: Array,
        weight: Array,
        q: Array | None = None,
        v: Array | None = None,
        discount: float = 1.0,
        ratio: Array | None = None,
    ) -> Episodes:
        """Return episodes from rows (N,): session i owns rows start[i]:start[i + 1], in time order.

        ValueError when a session is empty, or a weight is negative or not finite.
        """
        length = np.diff(start)
        if not len(length) or (length < 1).any() or start[0] != 0 or start[-1] != len(reward):
            raise ValueError("every session needs at least one row, and every row a session")
        if not (np.isfinite(weight) & (weight >= 0)).all():
            row = int(np.argmin(np.isfinite(weight) & (weight >= 0)))
            raise ValueError(f"row {row} has the weight {weight[row]:g}: it must be 0 or more")
        real = np.arange(int(length.max())) < length[:, None]
        none = np.zeros(len(reward))
        return Episodes(
            _laid(reward, real, 0.0),
            _laid(weight, real, 1.0),
            _laid(none if q is None else q, real, 0.0),
            _laid(none if v is None else v, real, 0.0),
            real,
            discount,
            None if ratio is None else _laid(ratio, real, 0.0),
        )

    def __len__(self) -> int:
        return len(self.reward)

    @cached_property
    def discounts(self) -> Array:
        """(T,) discount to the power of the step."""
        return np.power(self.discount, np.arange(self.reward.shape[1], dtype=np.float64))

    @cached_property
    def rho(self) -> Array:
        """(n, T) product of the weights up to and with each step."""
        return np.asarray(np.cumprod(self.weight, 1), dtype=np.float64)

    @cached_property
    def gain(self) -> Array:
        """(n,) the discounted sum of rewards of each session."""
        total: Array = (self.reward * self.discounts).sum(1)
        return total

    @cached_property
    def noise(self) -> Array:
        """(n, T) what each row adds to the value's error through the fit of q, mean 0 at each step."""
        if self.ratio is None:
            return np.zeros_like(self.reward)
        moved = self.ratio * self.advantage
        return np.asarray(moved - moved.mean(0))

    def take(self, sessions: Index | NDArray[np.bool_]) -> Episodes:
        """Return these sessions alone."""
        ratio = None if self.ratio is None else self.ratio[sessions]
        reward, weight, q, v = (x[sessions] for x in (self.reward, self.weight, self.q, self.v))
        return Episodes(reward, weight, q, v, self.real[sessions], self.discount, ratio)

    @cached_property
    def advantage(self) -> Array:
        """(n, T) reward - q + discount * next v: what the model did not foresee at each step."""
        following = np.zeros_like(self.v)
        following[:, :-1] = self.v[:, 1:]
        return self.reward - self.q + self.discount * following


def _laid(rows: Array, real: NDArray[np.bool_], blank: float) -> Array:
    out = np.full(real.shape, blank)
    out[real] = rows
    return out
