"""Padded index tables against the dense matrices that they stand for."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trailmark.data.catalog import Catalog
from trailmark.envs.skills import Padded, mean_over_skills, parents_of, skills_of

MATRICES = st.tuples(st.integers(1, 7), st.integers(1, 6)).flatmap(lambda shape: arrays.arrays(bool, shape))


def dense(padded: Padded, columns: int) -> np.ndarray:
    """The matrix again, by a plain loop."""
    matrix = np.zeros((padded.index.shape[0], columns), int)
    for i, (index, real) in enumerate(zip(padded.index.tolist(), padded.real.tolist(), strict=True)):
        for column, counts in zip(index, real, strict=True):
            matrix[i, column] += counts
    return matrix


@given(MATRICES)
def test_padded_lists_each_true_entry_once_in_order(matrix: np.ndarray) -> None:
    padded = Padded.of(matrix)
    assert np.array_equal(dense(padded, matrix.shape[1]), matrix.astype(int))
    assert padded.index.shape == padded.real.shape == (len(matrix), max(1, matrix.sum(1).max()))
    assert not padded.index[~padded.real].any()
    for index, real in zip(padded.index, padded.real, strict=True):
        listed = index[real].tolist()
        assert listed == sorted(listed)
        assert real.tolist() == sorted(real.tolist(), reverse=True)
    assert padded.empty == (not matrix.any())
    assert padded.single == bool((matrix.sum(1) == 1).all())


@given(MATRICES, st.integers(1, 4))
def test_mean_over_skills_is_the_dense_mean(matrix: np.ndarray, learners: int) -> None:
    values = np.random.default_rng(0).random((learners, matrix.shape[1]))
    count = np.maximum(matrix.sum(1), 1)
    mean = mean_over_skills(torch.from_numpy(values), Padded.of(matrix))
    assert np.allclose(mean.numpy(), values @ matrix.T / count, atol=1e-12)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_mean_over_one_skill_each_is_that_skill(skills: list[int]) -> None:
    matrix = np.eye(5, dtype=bool)[skills]
    values = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mean_over_skills(values, Padded.of(matrix)), values[:, skills])


def test_catalogue_tables(programme: Catalog) -> None:
    k = len(programme.skill_ids)
    assert np.array_equal(dense(skills_of(programme), k), programme.q_matrix().astype(int))
    assert np.array_equal(dense(parents_of(programme), k), programme.skill_prerequisites().astype(int))
