"""Effect: a published finding, our value for it, and whether it lies in the band."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Z95 = 1.959964


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval."""

    at: float
    low: float
    high: float

    @staticmethod
    def mean(sample: Tensor) -> Value:
        """Return the mean of independent values (N,) with its normal interval."""
        at = float(sample.double().mean())
        half = Z95 * float(sample.double().std()) / math.sqrt(len(sample))
        return Value(at, at - half, at + half)

    @staticmethod
    def share(at: float, n: int) -> Value:
        """Return a share of `n` independent cases with its interval (Wilson 1927)."""
        z2 = Z95**2
        middle = (at + z2 / (2 * n)) / (1 + z2 / n)
        half = Z95 * math.sqrt(at * (1 - at) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return Value(at, middle - half, middle + half)

    @staticmethod
    def sampled(at: float, draws: Tensor) -> Value:
        """Return `at` with the central 95 % of bootstrap `draws` (R,)."""
        low, high = torch.quantile(draws.double(), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return Value(at, low, high)

    @staticmethod
    def exactly(at: float) -> Value:
        """Return a value without sampling error."""
        return Value(at, at, at)


@dataclass(frozen=True)
class Check:
    """One number of an effect; it passes where our value lies in the band, ends included."""

    what: str
    ours: Value
    least: float
    most: float

    @property
    def passed(self) -> bool:
        return self.least <= self.ours.at <= self.most


@dataclass(frozen=True)
class Effect:
    """One line of the validity card; without checks there is only the reason, `missing`, why it was not tried."""

    name: str
    title: str
    published: str
    checks: tuple[Check, ...]
    note: str = ""
    missing: str = ""

    @property
    def applies(self) -> bool:
        return not self.missing

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


def difference(a: Tensor, b: Tensor) -> Value:
    """Return Hedges' g of two groups of scores (N,), (M,) with its normal interval (Hedges and Olkin 1985)."""
    a, b, n, m = a.double(), b.double(), len(a), len(b)
    spread = math.sqrt((float(a.var()) * (n - 1) + float(b.var()) * (m - 1)) / (n + m - 2))
    g = float(a.mean() - b.mean()) / max(spread, 1e-12) * (1 - 3 / (4 * (n + m - 2) - 1))
    half = Z95 * math.sqrt((n + m) / (n * m) + g * g / (2 * (n + m)))
    return Value(g, g - half, g + half)


def resamples(n: int, times: int = 400, seed: int = 0) -> Tensor:
    """Return (times, n) int64, rows drawn with replacement; the same for the same seed."""
    return torch.randint(0, n, (times, n), generator=torch.Generator().manual_seed(seed))
