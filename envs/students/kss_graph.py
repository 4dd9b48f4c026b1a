"""The ten concepts of KSS: their graph, which moves are legal on it, and what practice adds."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

CONCEPTS = 10
CAP = 5.0  # the highest ability
GUESS, SLOPE = 0.25, 8.5  # of the answer model; the slope is 1.7 times a discrimination of 5
EDGES = (
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (2, 8),
    (3, 4),
    (4, 8),
    (5, 4),
    (5, 9),
    (6, 7),
    (7, 8),
    (8, 9),
)  # (before, after)
TOPOLOGICAL = (0, 5, 6, 1, 2, 7, 3, 4, 8, 9)  # the order in which a warming-up learner looks for something to practise
MENTION = (0, 1, 2, 3, 4, 8, 5, 9, 6, 7)  # the order in which the edges first name the concepts

BEFORE = tuple(tuple(p for p, s in EDGES if s == k) for k in range(CONCEPTS))
AFTER = tuple(tuple(s for p, s in EDGES if p == k) for k in range(CONCEPTS))
_MOST_BEFORE = max(map(len, BEFORE))


def _near(last: int) -> set[int]:
    """Return the concepts that may follow `last`: itself, what builds on it, and what lies around its prerequisites."""
    around = (concept for p in BEFORE[last] for concept in (p, *BEFORE[p], *AFTER[p]))
    return {last, *AFTER[last], *around}


NEIGHBOURS = torch.tensor([[k in _near(last) for k in range(CONCEPTS)] for last in range(CONCEPTS)])  # (10, 10) bool


class Tables(NamedTuple):
    """The graph as tensors, one row per practised concept."""

    legal: Tensor  # (11, 10) bool; the last row, found by -1, is for a learner without a last concept
    before: Tensor  # (10, 3) int64, the prerequisites, padded
    counts: Tensor  # (10, 3) float64, 0 where padded
    gain: Tensor  # (10, 10) float64, how much of an increment reaches each concept
    rank: Tensor  # (10,) float32, the earlier in topological order the higher
    leads: Tensor  # (10, 10) float32, 1 where the concept of the column leads to that of the row, or is it


@cache
def tables(device: torch.device) -> Tables:
    """Return the graph's tables on `device`."""
    before = [[*p, *[0] * (_MOST_BEFORE - len(p))] for p in BEFORE]
    counts = [[1.0] * len(p) + [0.0] * (_MOST_BEFORE - len(p)) for p in BEFORE]
    # Half of every increment goes on to each successor, once per path. The original cuts at 5 after every visit;
    # increments are never negative, so one cut after their sum gives the same, and the visits add up to this table.
    gain = [[float(j == k) for j in range(CONCEPTS)] for k in range(CONCEPTS)]
    for row in gain:
        for k in TOPOLOGICAL:
            for s in AFTER[k]:
                row[s] += 0.5 * row[k]
    increments = torch.tensor(gain, dtype=torch.float64, device=device)
    return Tables(
        torch.cat([NEIGHBOURS, torch.ones(1, CONCEPTS, dtype=torch.bool)]).to(device),
        torch.tensor(before, device=device),
        torch.tensor(counts, dtype=torch.float64, device=device),
        increments,
        torch.tensor([float(CONCEPTS - TOPOLOGICAL.index(k)) for k in range(CONCEPTS)], device=device),
        (increments.t() > 0).float(),
    )


def legal(last: Tensor, goal: Tensor | None = None) -> Tensor:
    """Return (B, 10) bool, the concepts a learner takes up after concept `last` (B,) int64; every one after -1.

    With `goal` (B, 10), 1 for targets: of those only the ones that lead to a target, or the targets where none does
    (the rule of the 2018 variant).
    """
    near = tables(last.device).legal[last]
    if goal is None:
        return near
    useful = near & ((goal @ tables(last.device).leads) > 0)  # whole numbers below 11: exact in any order of adding
    useful = torch.where(useful.any(1, keepdim=True), useful, goal > 0)
    return useful | (last < 0)[:, None]


def p_correct(ability: Tensor, difficulty: Tensor) -> Tensor:
    """Return the item response probability of abilities (B, 10) at difficulties (10,), both on the scale up to 5."""
    return GUESS + (1.0 - GUESS) * torch.sigmoid(SLOPE * (ability - difficulty))


@cache
def ability_at(p: float, difficulty: tuple[int, ...], device: torch.device) -> Tensor:
    """Return (10,) float64, the abilities at which `p_correct` is p."""
    odds = (p - GUESS) / (1.0 - p)
    return torch.tensor(difficulty, dtype=torch.float64, device=device) + math.log(odds) / SLOPE


def practise(ability: Tensor, concept: Tensor, accepted: Tensor) -> Tensor:
    """Return abilities (B, 10) after each learner practised `concept` (B,) int64; nothing where not `accepted`."""
    of = tables(ability.device)
    before = ability.gather(1, of.before.index_select(0, concept))
    gap = (CAP - before) * of.counts.index_select(0, concept)
    ready = torch.exp(-(gap[:, 0] + gap[:, 1] + gap[:, 2]))  # one order of adding, whatever the batch size
    room = CAP - ability.gather(1, concept.unsqueeze(1)).squeeze(1)
    step = 0.5 * room * ready * accepted
    # In place on fresh memory: several times faster for large batches than one new tensor per operation.
    return of.gain.index_select(0, concept).mul_(step.unsqueeze(1)).add_(ability).clamp_max_(CAP)


def difficulties(seed: int) -> tuple[int, ...]:
    """Return difficulties by concept after the law of the 2021 variant: sorted draws from 0..4, in order of mention."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, 5, (CONCEPTS,), generator=generator).sort().values.tolist()
    return tuple(drawn[MENTION.index(k)] for k in range(CONCEPTS))
