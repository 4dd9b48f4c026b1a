"""The last steps of a logistic regression: the optimum where L-BFGS crawls, bounds kept, conditions of optimality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from trailmark.envs.tracers import logistic, newton
from trailmark.envs.tracers.logistic import Block, design_of, maximum_a_posteriori, ones


def crawling(low: float = -np.inf) -> tuple[list[Block], np.ndarray]:
    """Items of which many are rare, and counts that nearly say the same: what windows of time make of a log."""
    rng = np.random.default_rng(0)
    n, items, k = 4000, 600, 12
    item = np.minimum(rng.geometric(0.01, n), items) - 1
    group = item % k
    base = rng.exponential(2.0, n)
    blocks = [ones(np.zeros(n, np.int64), 1, 0.0), ones(item, items)]
    for _ in range(8):
        value = np.log1p(base + 0.01 * rng.exponential(1.0, n))
        blocks.append(Block(np.arange(n), group, value, k, 1e-4, low))
    logit = rng.normal(0, 1, items)[item] - 0.3 * np.log1p(base) * (group % 2) + 0.2
    return blocks, (rng.random(n) < special.expit(logit)).astype(float)


def slopes(blocks: list[Block], answers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    design = design_of(blocks, len(answers))
    ridge = np.repeat([b.ridge for b in blocks], [b.width for b in blocks])
    return design.T @ (special.expit(design @ weights) - answers) + ridge * weights


def test_the_optimum_is_found_where_descent_crawls(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, answers = crawling()
    weights = np.concatenate(maximum_a_posteriori(blocks, answers))
    assert np.abs(slopes(blocks, answers, weights)).max() < 1e-4
    monkeypatch.setattr(logistic, "finished", lambda problem, z: z)
    alone = np.concatenate(maximum_a_posteriori(blocks, answers))
    assert np.abs(slopes(blocks, answers, alone)).max() > 1e-3, "the case is too easy to tell anything"


def test_predictions_are_those_of_scikit_learn() -> None:
    blocks, answers = crawling()
    design = design_of(blocks, len(answers))
    weights = np.concatenate(maximum_a_posteriori(blocks, answers))
    scale = np.repeat([max(b.ridge, 1e-12) ** -0.5 for b in blocks], [b.width for b in blocks])[1:]
    outside = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-10, max_iter=500)
    scaled = design[:, 1:].toarray() * scale
    outside.fit(scaled, answers)
    theirs = outside.predict_proba(scaled)[:, 1]
    assert np.abs(special.expit(design @ weights) - theirs).max() < 1e-5


@pytest.mark.parametrize("dense", [4000, 0], ids=["factored", "diagonal"])
def test_bounds_are_kept_and_the_slopes_press_against_them(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_DENSE", dense)
    blocks, answers = crawling(low=0.0)
    weights = np.concatenate(maximum_a_posteriori(blocks, answers))
    slope = slopes(blocks, answers, weights)
    counts = np.arange(len(weights)) > 600
    at_bound = counts & (weights <= 0.0)
    assert (weights[counts] >= 0.0).all()
    assert 5 < at_bound.sum() < counts.sum()
    assert (slope[at_bound] > -1e-3).all()
    assert np.abs(slope[~at_bound]).max() < 2e-3
