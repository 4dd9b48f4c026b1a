"""What the logistic tracers share: the fit against scikit-learn and its own optimality, and counts against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.linear_model import LogisticRegression

from trailmark.envs.skills import Padded
from trailmark.envs.tracers.logistic import (
    Block,
    Past,
    design_of,
    maximum_a_posteriori,
    mean_by_skill,
    ones,
    sigmoid,
    sum_over_skills,
)


def made_up(n: int = 400, low: float = -np.inf, high: float = np.inf) -> tuple[list[Block], np.ndarray]:
    """An intercept, an item of eight, and two columns of numbers; answers in [0, 1]."""
    rng = np.random.default_rng(0)
    item = rng.integers(0, 8, n)
    numbers = Block(np.tile(np.arange(n), 2), np.repeat([0, 1], n), rng.normal(size=2 * n), 2, 0.3, low, high)
    blocks = [ones(np.zeros(n, np.int64), 1, 0.0), ones(item, 8, 2.0), numbers]
    truth = np.r_[0.4, rng.normal(size=8), 0.8, -0.6]
    return blocks, (rng.random(n) < special.expit(design_of(blocks, n) @ truth)).astype(np.float64)


def slope(
    blocks: list[Block], answers: np.ndarray, weights: np.ndarray, offset: np.ndarray | float = 0.0
) -> np.ndarray:
    design = design_of(blocks, len(answers)).toarray()
    ridge = np.concatenate([np.full(b.width, b.ridge) for b in blocks])
    return design.T @ (special.expit(design @ weights + offset) - answers) + ridge * weights


def test_a_design_puts_blocks_side_by_side() -> None:
    design = design_of(
        [ones(np.array([1, 0]), 2), Block(np.array([0, 0]), np.array([2, 0]), np.array([5.0, 0.0]), 4)], 2
    )
    assert design.toarray().tolist() == [[0, 1, 0, 0, 5, 0], [1, 0, 0, 0, 0, 0]]


def test_agrees_with_scikit_learn() -> None:
    blocks, answers = made_up()
    blocks = [blocks[0], *(Block(b.row, b.column, b.value, b.width, 0.5) for b in blocks[1:])]
    ours = np.concatenate(maximum_a_posteriori(blocks, answers))
    outside = LogisticRegression(C=2.0, tol=1e-9, max_iter=5000).fit(
        design_of(blocks[1:], len(answers)).toarray(), answers
    )
    assert np.allclose(ours, np.r_[outside.intercept_, outside.coef_[0]], atol=1e-5)


def test_the_slope_is_zero_with_unequal_ridges_partial_scores_and_an_offset() -> None:
    blocks, answers = made_up()
    scores, offset = 0.8 * answers + 0.1, np.linspace(-1, 1, len(answers))
    weights = np.concatenate(maximum_a_posteriori(blocks, scores, offset, tolerance=1e-10))
    assert np.abs(slope(blocks, scores, weights, offset)).max() < 1e-4
    assert np.abs(slope(blocks, scores, weights)).max() > 1.0


@pytest.mark.parametrize(("low", "high", "at"), [(0.0, np.inf, 1), (-np.inf, 0.0, 0), (0.1, 0.2, 1)])
def test_bounds_hold_and_the_slope_points_out_of_them(low: float, high: float, at: int) -> None:
    blocks, answers = made_up(low=low, high=high)
    weights = np.concatenate(maximum_a_posteriori(blocks, answers, tolerance=1e-9))
    bounded = weights[-2:]
    assert bool(((bounded >= low) & (bounded <= high)).all())
    assert bounded[at] in (low, high)
    down = slope(blocks, answers, weights)
    assert np.abs(down[:-2]).max() < 1e-3
    assert down[9 + at] > 0.1 if bounded[at] == low else down[9 + at] < -0.1


def test_a_start_changes_nothing_but_the_way() -> None:
    blocks, answers = made_up()
    found = maximum_a_posteriori(blocks, answers)
    again = maximum_a_posteriori(blocks, answers, start=[w + 1.0 for w in found])
    assert np.allclose(np.concatenate(again), np.concatenate(found), atol=1e-5)


def test_sums_over_the_past_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    group, value = rng.integers(0, 5, 200), rng.random(200)
    days = np.sort(np.round(rng.random(200) * 20))  # many ties, many ages that are just the window
    past = Past(group)
    for window in (None, 1.0, 3.0, 100.0):
        begin = None if window is None else past.since(days, window)
        for i, total in enumerate(past.sums(value, begin)):
            earlier = (group[:i] == group[i]) & (True if window is None else days[i] - days[:i] < window)
            assert total == pytest.approx(value[:i][earlier].sum(), abs=1e-9)


def test_means_and_sums_over_skills() -> None:
    skills = Padded.of(np.array([[1, 0, 0], [1, 1, 0]], dtype=bool))
    assert mean_by_skill(np.array([2.0, 4.0]), skills, 3, otherwise=-1.0).tolist() == [3.0, 4.0, -1.0]
    assert sum_over_skills(torch.tensor([[1.0, 10.0, 100.0]]), skills).tolist() == [[1.0, 11.0]]
    alone = Padded.of(np.array([[0, 1, 0], [1, 0, 0]], dtype=bool))
    assert sum_over_skills(torch.tensor([[1.0, 10.0, 100.0]]), alone).tolist() == [[10.0, 1.0]]


def test_no_logit_is_certain() -> None:
    p = sigmoid(torch.tensor([-1e6, 0.0, 2.0, 1e6]))
    assert 0.0 < p[0] < p[1] == 0.5 < p[2] < p[3] < 1.0
    assert float(p[2]) == pytest.approx(special.expit(2.0), abs=1e-7)
