"""Challenge: at which rate of success practice teaches most."""

from __future__ import annotations

import torch
from torch import Tensor

from ..students.ssr import SSR
from ..students.ssr_population import Material
from .effect import Check, Effect, Value, resamples
from .laboratory import Visit, material, participants
from .practice import in_use, kinds_of, nearest

LEVELS = tuple(0.50 + 0.05 * i for i in range(10))  # success rates that training is held at
ITEMS, TRIALS = 60, 10


def _trained(like: SSR, level: float, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the success rate (n,) and the growth in logits (n,) of training whose difficulty is kept at `level`."""
    catalog = material(1, (("practice", 2.0),), ITEMS)
    spread = Material(difficulty_sd=0.0, rate_mean=0.0, rate_sd=0.0, item_sd=2.5, slope_sd=0.0)
    learners = participants(catalog, kinds_of(like), like, in_use(like), spread)
    start = visit = Visit.of(learners, n, seed)
    right = []
    for _ in range(TRIALS):
        visit, response = visit.give(nearest(visit, learners, level))
        right.append(response.correct)
    return torch.stack(right, 1).mean(1), (visit.state.strength - start.state.strength)[:, 0]


def peak(x: Tensor, y: Tensor) -> Tensor:
    """Return (R,), where the parabola through the highest of `y` (R, L) and its neighbours peaks; an end is an end."""
    top = y.argmax(1)
    i = top.clamp(1, y.shape[1] - 2)[:, None]
    a, b, c = (y.gather(1, i + d)[:, 0] for d in (-1, 0, 1))
    u, v, w = (x.gather(1, i + d)[:, 0] for d in (-1, 0, 1))
    below, above = (b - a) / (v - u), (c - b) / (w - v)  # the parabola's slopes halfway
    at = (u + v) / 2 + below * (w - u) / 2 / (below - above)
    inside = (top > 0) & (top < y.shape[1] - 1)
    return torch.where(inside, at, x.gather(1, top[:, None])[:, 0])


def v12(like: SSR, n: int = 1000, seed: int = 0) -> Effect:
    """Training held at one success rate, for ten rates (Wilson, Shenhav, Straccia and Cohen 2019, their simulation)."""
    runs = [_trained(like, level, n, seed) for level in LEVELS]  # the same luck at each level
    success, growth = (torch.stack(column, 0) for column in zip(*runs, strict=True))  # (L, n)
    picks = resamples(n, 200, seed)
    drawn = peak(success[:, picks].mean(2).t(), growth[:, picks].mean(2).t())
    best = float(peak(success.mean(1)[None], growth.mean(1)[None]))
    return Effect(
        "V12",
        "Training teaches most at about 85 % success",
        ".8413 (gradient learners)",
        (
            Check("success rate at which training teaches most", Value.sampled(best, drawn), 0.80, 0.90),
            Check(
                "growth at it as a multiple of that at .50",
                Value.exactly(float(growth.mean(1).max() / growth[0].mean())),
                1.1,
                10.0,
            ),
        ),
        "`challenge` peaks at .85; feedback, by which right answers teach more than wrong ones, moves the peak up",
    )
