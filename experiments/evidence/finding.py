"""Finding: what a diagnostic saw, and what it means for trust in an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from scipy import stats


class Verdict(IntEnum):
    """How far an estimate can be trusted."""

    TRUST = 0
    CAUTION = 1
    DO_NOT = 2

    @property
    def word(self) -> str:
        """The verdict in plain words."""
        return ("trust", "caution", "do not trust")[self]


@dataclass(frozen=True)
class Finding:
    """One diagnostic: its name, its number, the verdict, and a sentence on what was seen and what to do."""

    name: str
    value: float
    verdict: Verdict
    says: str


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict of the worst finding; TRUST when there is none."""
    return max((finding.verdict for finding in findings), default=Verdict.TRUST)


def graded(value: float, caution: float, stop: float) -> Verdict:
    """Return the verdict of a number that is worse the larger it is; NaN is the worst."""
    if not value <= stop:
        return Verdict.DO_NOT
    return Verdict.CAUTION if value > caution else Verdict.TRUST


def by_p(p: float, caution: float = 1e-3, stop: float = 1e-6) -> Verdict:
    """Return the verdict of a p-value: many tests are read side by side, so the bars are high."""
    if p < stop:
        return Verdict.DO_NOT
    return Verdict.CAUTION if p < caution else Verdict.TRUST


def two_sided(z: float, tests: int = 1) -> float:
    """Return the p-value of the largest |z| among `tests`, by Bonferroni; NaN (nothing to test) counts as 1."""
    return min(1.0, float(2.0 * stats.norm.sf(abs(z))) * tests) if z == z else 1.0
