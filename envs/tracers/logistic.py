"""Logistic regression on what a learner did before: the fit that the logistic tracers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, sparse
from torch import Tensor

from ...data.log import Sequences
from ..skills import Padded
from .newton import Problem, finished

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LIMIT = 15.0  # logits beyond it give 0 or 1 in float32, which no answer can be


@dataclass(frozen=True, eq=False)
class Block:
    """Some columns of a design matrix, and what is believed of their weights beforehand.

    `ridge` is the precision of a normal prior around 0 (0 = free); `low` and `high` bound the weights.
    """

    row: Integers  # (E,)
    column: Integers  # (E,) within the block
    value: Floats  # (E,)
    width: int
    ridge: float = 1.0
    low: float = -np.inf
    high: float = np.inf


def ones(column: Integers, width: int, ridge: float = 1.0) -> Block:
    """Return a block with a single 1 in each row: which item it was, or which learner."""
    return Block(np.arange(len(column)), column, np.ones(len(column)), width, ridge)


def design_of(blocks: Sequence[Block], n: int) -> sparse.csr_array:
    """Return the (n, P) matrix of `blocks` side by side."""
    start = np.cumsum([0] + [block.width for block in blocks])
    rows = np.concatenate([block.row for block in blocks])
    columns = np.concatenate([block.column + at for block, at in zip(blocks, start, strict=False)])
    values = np.concatenate([block.value for block in blocks])
    some = values != 0
    return sparse.csr_array((values[some], (rows[some], columns[some])), shape=(n, int(start[-1])))


def maximum_a_posteriori(
    blocks: Sequence[Block],
    answers: Floats,
    offset: Floats | float = 0.0,
    start: Sequence[Floats] | None = None,
    tolerance: float = 1e-8,
) -> list[Floats]:
    """Return the weights (width,) of each block that minimise the penalised negative log-likelihood.

    answers: (N,) in [0, 1]; offset: (N,) a known part of the logits; start: weights to begin with; tolerance: on the
    slope per answer. L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995) runs on weights scaled by the Hessian's diagonal, so
    that a rare item and a common one move at one pace. Counts that go together, as those of DAS3H's windows do, would
    take it thousands of steps; what it has not found after 200, `newton.finished` finds.
    """
    design = design_of(blocks, len(answers))

    def each(values: Sequence[float]) -> Floats:
        return np.repeat(np.array(values), [block.width for block in blocks])

    ridge = each([block.ridge for block in blocks])
    rate = float(answers.mean())
    scale = 1.0 / np.sqrt(max(rate * (1.0 - rate), 1e-3) * (design**2).sum(0) + ridge + 1e-6)
    scaled = (design @ sparse.diags_array(scale)).tocsr()
    turned, shrink = scaled.T.tocsr(), ridge * scale**2

    def loss(z: Floats) -> tuple[float, Floats]:
        logit = scaled @ z + offset
        small = np.exp(-np.abs(logit))
        value = (np.maximum(logit, 0.0) + np.log1p(small)).sum() - answers @ logit + 0.5 * (shrink @ z**2)
        return value, turned @ (np.where(logit >= 0.0, 1.0, small) / (1.0 + small) - answers) + shrink * z

    low, high = each([b.low for b in blocks]) / scale, each([b.high for b in blocks]) / scale
    found = optimize.minimize(
        loss,
        np.zeros(len(scale)) if start is None else np.concatenate(list(start)) / scale,
        jac=True,
        method="L-BFGS-B",
        bounds=optimize.Bounds(low, high),
        options={"maxiter": 200, "maxfun": 400, "ftol": 1e-14, "gtol": tolerance * len(answers)},
    )
    z = found.x  # its own word for success may mean that a step was too small to see
    if np.abs(z - np.clip(z - loss(z)[1], low, high)).max(initial=0.0) > tolerance * len(answers):
        ends = np.cumsum([block.width for block in blocks])
        single = [_one_hot(block) for block in blocks]
        widest = int(np.argmax([block.width if alone else 0 for block, alone in zip(blocks, single, strict=True)]))
        columns = np.arange(ends[widest] - blocks[widest].width, ends[widest]) if single[widest] else np.arange(0)
        z = finished(Problem(scaled, turned, shrink, loss, offset, low, high, columns), z)
    return np.split(z * scale, np.cumsum([block.width for block in blocks])[:-1])


def _one_hot(block: Block) -> bool:
    """True when no row has two entries in the block, so that its columns are orthogonal under any weights of rows."""
    free = np.isneginf(block.low) and np.isposinf(block.high)
    return bool(free) and len(np.unique(block.row)) == len(block.row)


def practised(sequences: Sequences, skills: Padded) -> tuple[Integers, Integers]:
    """Return (row, skill), each (E,): an entry for every skill of every row's activity, in the order of the rows."""
    real = skills.real.numpy()[sequences.activity]
    return np.nonzero(real)[0], skills.index.numpy()[sequences.activity][real]


def learner_of(sequences: Sequences) -> Integers:
    """Return (N,), which learner each row is of."""
    return np.repeat(np.arange(len(sequences.learners)), np.diff(sequences.start))


class Past:
    """What came before each of E entries among those of the same group; a group's entries are in order of time.

    group: (E,) whatever number tells groups apart, such as learner * K + skill.
    """

    def __init__(self, group: Integers) -> None:
        self.order = np.argsort(group, kind="stable")
        ordered = group[self.order]
        new = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
        length = np.diff(new, append=len(group))
        self.first = np.repeat(new, length)  # where the group of each entry begins, in the new order
        self.number = np.repeat(np.arange(len(new)), length)

    def sums(self, values: Floats, begin: Integers | None = None) -> Floats:
        """Return (E,), the sum of `values` (E,) over the earlier entries of the group, from the place `begin` on."""
        total = np.concatenate([[0.0], np.cumsum(values[self.order])])
        out = np.empty(len(values))
        out[self.order] = total[:-1] - total[self.first if begin is None else begin]
        return out

    def since(self, days: Floats, window: float) -> Integers:
        """Return (E,), the place of the first entry of the group that is younger than `window` days: for `sums`."""
        days = days[self.order]
        line = days + self.number * (np.ptp(days) + window + 1.0)  # groups one behind the other on one axis of time
        return np.searchsorted(line, line - window, side="right")


def mean_by_skill(values: Floats, skills: Padded, n_skills: int, otherwise: float = 0.0) -> Floats:
    """Return (K,), the mean of `values` (A,) over the activities of each skill; `otherwise` where there are none."""
    real = skills.real.numpy()
    activity, skill = np.nonzero(real)[0], skills.index.numpy()[real]
    count = np.bincount(skill, minlength=n_skills)
    total = np.bincount(skill, values[activity], minlength=n_skills)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


def sum_over_skills(values: Tensor, skills: Padded) -> Tensor:
    """Return (B, A), the sum of `values` (B, K) over the skills of each activity."""
    if skills.single:
        return values[:, skills.index[:, 0]]
    return (values[:, skills.index] * skills.real.to(values.dtype)).sum(-1)


def sigmoid(logits: Tensor) -> Tensor:
    """Return the logistic function, kept from 0 and 1.

    On the CPU the last bit of torch.sigmoid depends on an element's place in memory, and with it on the size of the
    batch; that of torch.exp does not.
    """
    return 1.0 / (1.0 + torch.exp(-logits.clamp(-LIMIT, LIMIT)))


def single(values: Floats) -> Tensor:
    """Return `values` as a float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(values)).float()
