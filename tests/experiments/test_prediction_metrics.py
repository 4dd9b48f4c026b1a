"""Metrics of predictions against counted pairs, copied rows, sums by hand and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from trailmark.experiments import prediction_metrics as metrics
from trailmark.experiments.statistics import Interval


def area(labels: np.ndarray, scores: np.ndarray) -> float:
    ones, zeros = scores[labels == 1], scores[labels == 0]
    won = sum((a > b) + 0.5 * (a == b) for a in ones for b in zeros)
    return float(won / (len(ones) * len(zeros)))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int64, 12, elements=some.integers(0, 1)).filter(lambda y: 0 < y.sum() < 12),
    arrays(np.float64, 12, elements=some.sampled_from([0.0, 0.1, 0.5, 0.5000001, 1.0])),
)
def test_auc_counts_pairs(labels: np.ndarray, scores: np.ndarray) -> None:
    assert metrics.auc(labels, scores) == pytest.approx(area(labels, scores), abs=1e-12)


def test_auc_interval_equals_a_bootstrap_of_copied_rows() -> None:
    rng = np.random.default_rng(8)
    learners = np.repeat([f"learner {i}" for i in range(40)], 15)
    labels = rng.integers(0, 2, 600)
    scores = np.round(rng.random(600) + 0.4 * labels, 1)
    got = metrics.auc_interval(labels, scores, learners, replicates=4000, confidence=0.9)
    rows = {name: np.flatnonzero(learners == name) for name in np.unique(learners)}
    slow = []
    for _ in range(400):
        index = np.concatenate([rows[name] for name in rng.choice(list(rows), 40)])
        slow.append(metrics.auc(labels[index], scores[index]))
    assert got.value == pytest.approx(area(labels, scores), abs=1e-12)
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(slow, [0.05, 0.95])), abs=0.006)


def test_auc_interval_leaves_out_replicates_with_one_label() -> None:
    got = metrics.auc_interval([1, 0], [0.9, 0.1], ["a", "b"], replicates=50)
    assert got == Interval(1.0, 1.0, 1.0)


def test_prediction_scores_by_hand() -> None:
    y, p = [1, 0, 1, 1], [0.8, 0.4, 0.5, 0.02]
    assert metrics.log_loss(y, p) == pytest.approx(-sum(map(math.log, (0.8, 0.6, 0.5, 0.02))) / 4, abs=1e-14)
    assert metrics.brier(y, p) == pytest.approx((0.04 + 0.16 + 0.25 + 0.9604) / 4, abs=1e-14)
    assert metrics.accuracy(y, p) == 0.75
    assert metrics.expected_calibration_error(y, p) == pytest.approx((0.2 + 0.4 + 0.5 + 0.98) / 4, abs=1e-14)
    assert metrics.expected_calibration_error(y, p, bins=1) == pytest.approx(abs(1.72 - 3) / 4, abs=1e-14)
    assert math.isfinite(metrics.log_loss([1, 0], [0.0, 1.0]))
    assert metrics.expected_calibration_error([1, 0], [1.0, 0.0]) == 0.0
    # A probability of exactly 1 belongs to the last bin, with .97.
    assert metrics.expected_calibration_error([0, 1], [1.0, 0.97]) == pytest.approx(0.97 / 2, abs=1e-14)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.auc([1, 1], [0.1, 0.2]), "labelled 0"),
        (lambda: metrics.auc([1, 0.5], [0.1, 0.2]), "0 or 1"),
        (lambda: metrics.auc([1, 0], [0.1]), "2 labels but 1 scores"),
        (lambda: metrics.brier([1, 0], [0.1, 1.2]), r"probabilities must lie in \[0, 1\]"),
        (lambda: metrics.auc_interval([1, 0], [0.1, 0.2], ["a"]), "one learner for each row"),
        (lambda: metrics.log_loss([1, np.nan], [0.1, 0.2]), "labels row 1, task 0 is nan"),
    ],
)
def test_bad_input_says_what_is_wrong(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_sklearn_agrees() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 5000)
    p = np.clip(np.round(rng.beta(2, 2, 5000) * 0.7 + 0.3 * y, 2), 0, 1)
    assert metrics.auc(y, p) == pytest.approx(sklearn.roc_auc_score(y, p), abs=1e-12)
    assert metrics.log_loss(y, p) == pytest.approx(sklearn.log_loss(y, p), abs=1e-12)
    assert metrics.brier(y, p) == pytest.approx(sklearn.brier_score_loss(y, p), abs=1e-12)
