"""Spread: the running standard deviation of rewards, so that settings mean the same in every world."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Spread(NamedTuple):
    """Count, mean and sum of squared deviations, merged batch by batch (Chan, Golub and LeVeque 1979)."""

    count: float = 0.0  # type: ignore[assignment] # hides tuple.count, which nobody asks of a spread
    mean: float = 0.0
    square: float = 0.0

    def add(self, values: Tensor) -> Spread:
        """Return the spread after `values` (N,), N >= 1."""
        wide = values.double()
        n, mean = float(len(wide)), float(wide.mean())
        square = float((wide - mean).square().sum())
        count, gap = self.count + n, mean - self.mean
        return Spread(count, self.mean + gap * n / count, self.square + square + gap * gap * self.count * n / count)

    @property
    def sd(self) -> float:
        """The standard deviation; where nothing varied, the size of the mean; 1 where nothing was seen."""
        if self.count == 0:
            return 1.0
        sd: float = (self.square / self.count) ** 0.5
        return sd if sd > 1e-6 * abs(self.mean) else abs(self.mean) or 1.0

    def tensor(self) -> Tensor:
        """Return (3,) float64, to be saved."""
        return torch.tensor(self, dtype=torch.float64)

    @staticmethod
    def of(saved: Tensor) -> Spread:
        """Return what `tensor` gave."""
        return Spread(*saved.tolist())
