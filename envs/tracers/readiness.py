"""Readiness: how often answers are right at the first meeting, and later with nothing forgotten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cards import Cards

LOWEST, HIGHEST = 1e-4, 1.0 - 1e-4  # no prediction is certain
_PRIOR = 5.0  # answers that the average over skills counts for


@dataclass(frozen=True, eq=False)
class Readiness:
    """What a forgetting curve starts from: P(correct) = fresh * recall, and `first` where nothing was ever reviewed."""

    first: Tensor  # (K,)
    fresh: Tensor  # (K, 2), after a wrong and after a right answer; never lower after a right one

    @staticmethod
    def certain(skills: int) -> Readiness:
        """Return a half at the first meeting, and certainty afterwards: the curve alone decides."""
        return Readiness(torch.full((skills,), 0.5), torch.ones(skills, 2))

    @staticmethod
    def fit(cards: Cards, skills: int, pass_mark: float) -> Readiness:
        """Return the shares of right answers of each skill, shrunk towards those of all skills.

        `fresh` comes from reviews within a day of the one before; where a log has none, it is 1.
        """
        first = ~cards.later
        overall = (cards.correct[first].sum() + 1.0) / (first.sum() + 2.0)
        at_first = _shares(cards, first, skills, overall)
        passed = np.append(False, cards.correct[:-1] >= pass_mark)
        soon = cards.later & (cards.gap < 1.0)
        after = []
        for which in (soon & ~passed, soon & passed):
            overall = (cards.correct[which].sum() + 1.0) / (which.sum() + 1.0)
            after.append(_shares(cards, which, skills, overall))
        fresh = np.stack([np.minimum(*after), np.maximum(*after)], 1)
        return Readiness(torch.from_numpy(at_first).float(), torch.from_numpy(fresh).float())

    def curve_alone(self) -> Readiness:
        """Return the same first meetings, but certainty afterwards."""
        return Readiness(self.first, torch.ones_like(self.fresh))


def _shares(cards: Cards, which: NDArray[np.bool_], skills: int, overall: float) -> NDArray[np.float64]:
    of_skill = cards.of_skill[which]
    right = np.bincount(of_skill, cards.correct[which], skills)
    return np.asarray((right + _PRIOR * overall) / (np.bincount(of_skill, minlength=skills) + _PRIOR), np.float64)
