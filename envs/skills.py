"""The catalogue's skill structure as padded index tensors: gathers instead of dense products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..data.catalog import Catalog


@dataclass(frozen=True, eq=False)
class Padded:
    """Lists of different lengths as one index table: row i holds `index[i]` where `real[i]` is True, else 0."""

    index: Tensor  # (R, M) int64
    real: Tensor  # (R, M) bool

    @staticmethod
    def of(matrix: np.ndarray) -> Padded:
        """Return the column indices of the True entries of a boolean (R, C) matrix, row by row; M >= 1."""
        width = max(1, int(matrix.sum(1).max(initial=0)))
        index = np.zeros((matrix.shape[0], width), np.int64)
        real = np.zeros((matrix.shape[0], width), bool)
        rows, columns = np.nonzero(matrix)
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        index[rows, place], real[rows, place] = columns, True
        return Padded(torch.from_numpy(index), torch.from_numpy(real))

    def matrix(self, width: int) -> Tensor:
        """Return (width, R) float32, 1 where a row lists a thing."""
        table = torch.zeros(len(self.index), width)
        return table.scatter_add_(1, self.index, self.real.float()).t().contiguous()

    @cached_property
    def empty(self) -> bool:
        """True when no row lists anything."""
        return not bool(self.real.any())

    @cached_property
    def single(self) -> bool:
        """True when every row lists exactly one thing."""
        return self.index.shape[1] == 1 and bool(self.real.all())


def skills_of(catalog: Catalog) -> Padded:
    """Return the skills of each activity, (A, M)."""
    return Padded.of(catalog.q_matrix())


def parents_of(catalog: Catalog) -> Padded:
    """Return the prerequisite skills of each skill, (K, P)."""
    return Padded.of(catalog.skill_prerequisites())


def leads_of(catalog: Catalog) -> Padded:
    """Return the skills that build on those of each activity, at any remove, without those it teaches itself."""
    q, above = catalog.q_matrix(), _ancestors(catalog)
    return Padded.of(((q.astype(np.int64) @ above.T.astype(np.int64)) > 0) & ~q)


def depths_of(catalog: Catalog) -> Tensor:
    """Return (A,) float32, the longest chain of prerequisites below the skills of each activity; 0 = none."""
    before, depth = catalog.skill_prerequisites(), np.zeros(len(catalog.skill_ids))
    for _ in range(len(depth)):
        deeper = np.where(before, depth + 1.0, 0.0).max(1, initial=0.0)
        if np.array_equal(deeper, depth):
            break
        depth = deeper
    return torch.from_numpy(np.where(catalog.q_matrix(), depth, 0.0).max(1, initial=0.0)).float()


def _ancestors(catalog: Catalog) -> np.ndarray:
    """Return (K, K) bool: [k, p] = skill p comes before skill k, at any remove."""
    above = catalog.skill_prerequisites()
    while True:
        further = above | ((above.astype(np.int64) @ above.astype(np.int64)) > 0)
        if np.array_equal(further, above):
            return above
        above = further


def mean_over_skills(values: Tensor, skills: Padded) -> Tensor:
    """Return (B, A), the mean of `values` (B, K) over the skills of each activity."""
    if skills.single:
        return values[:, skills.index[:, 0]]
    weight = skills.real.to(values.dtype)
    return (values[:, skills.index] * weight).sum(-1) / weight.sum(-1).clamp_min(1.0)
