"""The rules of FSRS-6: what one review does to a card's stability and difficulty, as pure functions.

Jarrett Ye and others, "Free Spaced Repetition Scheduler", version 6 (open-spaced-repetition, py-fsrs 6). `weights` is
the vector w0..w20 everywhere; grades are 1 Again, 2 Hard, 3 Good, 4 Easy; days are whole days since the last review.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..memory import power

WEIGHTS = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796,
    1.4835, 0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
)  # fmt: skip
LOWEST = (0.001,) * 4 + (1.0, 0.001, 0.001, 0.001, 0, 0, 0.001, 0.001, 0.001, 0.001, 0, 0, 1.0, 0, 0, 0, 0.1)
HIGHEST = (100.0,) * 4 + (10.0, 4, 4, 0.75, 4.5, 0.8, 3.5, 5, 0.25, 0.9, 4, 1, 6, 2, 2, 0.8, 0.8)
SHORTEST, LONGEST = 0.001, 36500.0  # stabilities, days
AGAIN, HARD, GOOD, EASY = 1, 2, 3, 4


def recall(days: Tensor, stability: Tensor, weights: Tensor) -> Tensor:
    """Return R, the probability of recall `days` after the last review; .9 after one stability."""
    return power(days, stability, weights[20])


def first_review(grade: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return stability (days) and difficulty (1..10) after the first review."""
    return weights[grade - 1], _first_difficulty(grade, weights).clamp(1.0, 10.0)


def review(
    stability: Tensor, difficulty: Tensor, days: Tensor, grade: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return stability and difficulty after a later review, on another day or on the same (days below 1)."""
    w = weights
    forgotten = 1.0 - recall(days, stability, w)
    log_s = torch.log(stability)
    bonus = torch.where(grade == HARD, w[15], 1.0) * torch.where(grade == EASY, w[16], 1.0)
    growth = torch.exp(w[8] - w[9] * log_s) * (11.0 - difficulty) * torch.expm1(w[10] * forgotten) * bonus
    kept = (
        w[11]
        * torch.exp(w[14] * forgotten - w[12] * torch.log(difficulty))
        * torch.expm1(w[13] * torch.log1p(stability))
    )
    lapsed = torch.minimum(kept, stability * torch.exp(-w[17] * w[18]))
    factor = torch.exp(w[17] * (grade - 3.0 + w[18]) - w[19] * log_s)
    factor = torch.where(grade >= GOOD, factor.clamp_min(1.0), factor)
    later = torch.where(grade == AGAIN, lapsed, stability * (1.0 + growth))
    stability_after = torch.where(days < 1.0, stability * factor, later).clamp(SHORTEST, LONGEST)
    drift = difficulty - w[6] * (grade - 3.0) * (10.0 - difficulty) / 9.0
    easiest = _first_difficulty(torch.full_like(grade, EASY), w)
    return stability_after, (w[7] * easiest + (1.0 - w[7]) * drift).clamp(1.0, 10.0)


def _first_difficulty(grade: Tensor, weights: Tensor) -> Tensor:
    return weights[4] - torch.exp(weights[5] * (grade - 1.0)) + 1.0
