"""Spread: the running standard deviation of rewards, so that settings mean the same in every world."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Spread(NamedTuple):
    """Number, mean and sum of squared deviations, merged batch by batch (Chan, Golub and LeVeque 1979)."""

    n: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def add(self, values: Tensor) -> Spread:
        """Return the spread after `values` (N,), N >= 1."""
        wide = values.double()
        more, mean = float(len(wide)), float(wide.mean())
        square = float((wide - mean).square().sum())
        n, gap = self.n + more, mean - self.mean
        return Spread(n, self.mean + gap * more / n, self.square + square + gap * gap * self.n * more / n)

    @property
    def sd(self) -> float:
        """The standard deviation; where nothing varied, the size of the mean; 1 where nothing was seen."""
        if self.n == 0:
            return 1.0
        sd: float = (self.square / self.n) ** 0.5
        return sd if sd > 1e-6 * abs(self.mean) else abs(self.mean) or 1.0

    def tensor(self) -> Tensor:
        """Return (3,) float64, to be saved."""
        return torch.tensor(self, dtype=torch.float64)

    @staticmethod
    def of(saved: Tensor) -> Spread:
        """Return what `tensor` gave."""
        return Spread(*saved.tolist())
