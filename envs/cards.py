"""Cards: a log cut into one sequence of reviews per learner and skill, as memory models read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.catalog import Catalog
from ..data.log import Sequences

_GRACE = 1e-5  # days, about a second: times reach a tracer as sums of float32


@dataclass(frozen=True, eq=False)
class Cards:
    """C cards; card i owns the reviews start[i]:start[i + 1], in time order; a row of n skills reviews n cards."""

    start: NDArray[np.int64]  # (C + 1,)
    skill: NDArray[np.int64]  # (C,)
    row: NDArray[np.int64]  # (N,) the log row of each review
    correct: NDArray[np.float32]  # (N,) scores in [0, 1]
    gap: NDArray[np.float64]  # (N,) days since the card's review before; 0 for the first

    @staticmethod
    def of(sequences: Sequences, catalog: Catalog) -> Cards:
        """Return the cards of a log's sequences, learner after learner."""
        q = catalog.q_matrix()
        width = q.sum(1)[sequences.activity]
        row = np.repeat(np.arange(len(sequences.activity)), width)
        skill = np.nonzero(q[sequences.activity])[1]
        learner = np.repeat(np.arange(len(sequences.start) - 1), np.diff(sequences.start))[row]
        order = np.lexsort((row, skill, learner))
        row, skill, learner = row[order], skill[order], learner[order]
        new = np.ones(len(row), bool)
        new[1:] = (learner[1:] != learner[:-1]) | (skill[1:] != skill[:-1])
        start = np.append(np.nonzero(new)[0], len(row)).astype(np.int64)
        days = sequences.days[row]
        gap = np.where(new, 0.0, days - np.append(days[:1], days[:-1]))
        return Cards(start, skill[start[:-1]], row, sequences.correct[row], gap)

    def __len__(self) -> int:
        return len(self.skill)

    @property
    def later(self) -> NDArray[np.bool_]:
        """(N,) True for every review but a card's first."""
        later = np.ones(len(self.row), bool)
        later[self.start[:-1]] = False
        return later

    @property
    def of_skill(self) -> NDArray[np.int64]:
        """(N,) the skill of each review."""
        return np.repeat(self.skill, np.diff(self.start))

    def turns(self, cards: NDArray[np.int64] | None = None) -> Iterator[Tensor]:
        """Yield the t-th reviews (n,) of all cards, or of `cards`, that have one, for t = 0, 1, ...

        The longest cards come first, so what is remembered of the cards at t is cut to its first n rows.
        """
        which = np.arange(len(self)) if cards is None else cards
        length = np.diff(self.start)[which]
        order = np.argsort(-length, kind="stable")
        start, length = torch.from_numpy(self.start[which[order]]), length[order]
        for t in range(int(length.max(initial=0))):
            yield start[: int(np.searchsorted(-length, -t, side="left"))] + t


def whole_days(days: Tensor) -> Tensor:
    """Return `days` cut to whole days, as py-fsrs counts them; within a second of the next day it is the next day."""
    return torch.floor(days + _GRACE)
