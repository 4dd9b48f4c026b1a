"""Fitting FSRS-6 to cards: mini-batches of whole cards, Adam, weights kept within their bounds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cards import Cards, whole_days
from . import fsrs_rules as rules
from .readiness import HIGHEST, LOWEST

_UPDATES = 100  # an epoch at most, so that a long log takes larger batches rather than hours


def recalls(cards: Cards, weights: Tensor, pass_mark: float = 0.5, which: NDArray[np.int64] | None = None) -> Tensor:
    """Return (N,), R of every review by what came before on its card; 1 for first reviews and cards not in `which`."""
    found, places = [], []
    stability = difficulty = torch.empty(0)
    grades = _grades(torch.from_numpy(cards.correct), pass_mark)
    gaps = whole_days(torch.from_numpy(cards.gap)).float()
    for t, reviews in enumerate(cards.turns(which)):
        grade, days = grades[reviews], gaps[reviews]
        if t == 0:
            stability, difficulty = rules.first_review(grade, weights)
            continue
        stability, difficulty = stability[: len(reviews)], difficulty[: len(reviews)]
        found.append(rules.recall(days, stability, weights))
        places.append(reviews)
        stability, difficulty = rules.review(stability, difficulty, days, grade, weights)
    out = torch.ones(len(cards.row))
    return out.index_put((torch.cat(places),), torch.cat(found)) if found else out


def fitted_weights(cards: Cards, fresh: Tensor, pass_mark: float, epochs: int, batch: int, rate: float) -> Tensor:
    """Return (21,) weights that lower the log loss of reviews on another day, with P(correct) = fresh (N,) * R.

    The defaults come back where there are fewer than `batch` such reviews, as in py-fsrs.
    """
    weights = torch.tensor(rules.WEIGHTS)
    scored = torch.from_numpy(cards.later) & (whole_days(torch.from_numpy(cards.gap)) >= 1.0)
    if int(scored.sum()) < batch:
        return weights
    count = np.add.reduceat(scored.numpy().astype(np.int64), cards.start[:-1])
    size = max(batch, int(count.sum()) // _UPDATES)
    low, high = torch.tensor(rules.LOWEST), torch.tensor(rules.HIGHEST)
    correct = torch.from_numpy(cards.correct)
    weights.requires_grad_(True)
    adam = torch.optim.Adam([weights], lr=rate)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs * (int(count.sum()) // size + 1))
    shuffle = np.random.Generator(np.random.Philox(0))
    of_card = np.repeat(np.arange(len(cards)), np.diff(cards.start))
    for _ in range(epochs):
        order = shuffle.permutation(np.nonzero(count)[0])
        cuts = np.cumsum(count[order]) // size
        for part in range(int(cuts[-1]) + 1):
            which = order[cuts == part]
            if not len(which):
                continue
            rows = scored & torch.from_numpy(np.isin(of_card, which))
            p = (fresh * recalls(cards, weights, pass_mark, which))[rows].clamp(LOWEST, HIGHEST)
            loss = torch.nn.functional.binary_cross_entropy(p, correct[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()
            plan.step()
            with torch.no_grad():
                weights.clamp_(low, high)
    return weights.detach()


def _grades(correct: Tensor, pass_mark: float) -> Tensor:
    return torch.where(correct >= pass_mark, rules.GOOD, rules.AGAIN)
