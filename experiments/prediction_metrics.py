"""How good predicted chances are: discrimination, log loss and calibration, as pure functions of (rows,) arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .statistics import Array, Interval, as_table, clusters, percentile_interval, resamples


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a row labelled 1 scores above a row labelled 0, ties one half; labels and scores are (rows,)."""
    order = _Order.of(labels, scores)
    return order.area(np.ones(order.rows))


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    learners: ArrayLike,
    replicates: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """AUC of (rows,) predictions with a bootstrap interval that draws whole learners.

    The rows are sorted once; a replicate only re-weights them. Replicates without both labels say nothing and are left
    out. Raises ValueError when a label is not 0 or 1, when only one label occurs, or when lengths differ.
    """
    order = _Order.of(labels, scores)
    owner, number = clusters(learners, order.rows)
    values = [
        order.area(np.bincount(index, minlength=number)[owner])
        for block in resamples((number, 1), replicates, seed)
        for index in block[..., 0]
    ]
    return percentile_interval(
        order.area(np.ones(order.rows)), np.array([v for v in values if np.isfinite(v)]), confidence
    )


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log likelihood in nats; probabilities are kept one float64 epsilon away from 0 and 1."""
    y, p = _predictions(labels, probabilities)
    edge = float(np.finfo(np.float64).eps)
    p = np.clip(p, edge, 1 - edge)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)))


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label (Brier, 1950)."""
    y, p = _predictions(labels, probabilities)
    return float(np.mean((p - y) ** 2))


def accuracy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Fraction of rows whose label is on the probability's side of one half; exactly one half predicts 1."""
    y, p = _predictions(labels, probabilities)
    return float(np.mean((p >= 0.5) == (y >= 0.5)))


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 20) -> float:
    """Mean gap between probability and label frequency over `bins` equal bins of [0, 1], weighted by rows."""
    y, p = _predictions(labels, probabilities)
    which = np.minimum((p * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(which, p - y, bins)).sum() / len(y))


def ece_interval(
    labels: ArrayLike,
    probabilities: ArrayLike,
    learners: ArrayLike,
    bins: int = 20,
    replicates: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Expected calibration error with a bootstrap interval that draws whole learners.

    A replicate's error is biased upwards, since noise adds to the gap of every bin: the mean of the replicates less the
    estimate is taken off both ends, which stay at 0 or above and around the estimate.
    """
    y, p = _predictions(labels, probabilities)
    owner, number = clusters(learners, len(y))
    which = np.minimum((p * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(owner * bins + which, p - y, number * bins).reshape(number, bins)
    sizes = np.bincount(owner, minlength=number).astype(np.float64)
    drawn = []
    for block in resamples((number, 1), replicates, seed):
        count = np.stack([np.bincount(index, minlength=number) for index in block[..., 0]]).astype(np.float64)
        drawn.append(np.abs(count @ gaps).sum(1) / (count @ sizes))
    value = float(np.abs(gaps.sum(0)).sum() / len(y))
    values = np.concatenate(drawn)
    spread = percentile_interval(value, values - values.mean() + value, confidence)
    return Interval(value, max(0.0, min(spread.low, value)), max(spread.high, value))


@dataclass(frozen=True)
class _Order:
    """Predictions sorted by score: for each positive row, how many negatives lie below it and not above it."""

    rows: int
    positive: NDArray[np.intp]
    negative: NDArray[np.intp]
    below: NDArray[np.intp]
    through: NDArray[np.intp]

    @staticmethod
    def of(labels: ArrayLike, scores: ArrayLike) -> "_Order":
        y, s = as_table(labels, "labels")[:, 0], as_table(scores, "scores")[:, 0]
        if len(y) != len(s):
            raise ValueError(f"{len(y)} labels but {len(s)} scores")
        if not np.all((y == 0) | (y == 1)):
            raise ValueError("AUC needs labels that are 0 or 1; cut partial scores at a threshold first")
        order = np.argsort(s, kind="stable")
        positive, negative = order[y[order] == 1], order[y[order] == 0]
        if not len(positive) or not len(negative):
            raise ValueError("AUC needs at least one row labelled 1 and one labelled 0")
        below = np.searchsorted(s[negative], s[positive], side="left")
        through = np.searchsorted(s[negative], s[positive], side="right")
        return _Order(len(y), positive, negative, below, through)

    def area(self, weights: NDArray[np.floating] | NDArray[np.integer]) -> float:
        """AUC with `weights` (rows,); nan when one label has no weight."""
        running = np.concatenate(([0.0], np.cumsum(weights[self.negative], dtype=np.float64)))
        wins = weights[self.positive]
        total = float(wins.sum()) * float(running[-1])
        return float(wins @ (running[self.below] + running[self.through])) / (2 * total) if total else float("nan")


def _predictions(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Array, Array]:
    y, p = as_table(labels, "labels")[:, 0], as_table(probabilities, "probabilities")[:, 0]
    if len(y) != len(p):
        raise ValueError(f"{len(y)} labels but {len(p)} probabilities")
    for name, array in (("labels", y), ("probabilities", p)):
        if array.min() < 0 or array.max() > 1:
            raise ValueError(f"{name} must lie in [0, 1], got {array.min()} to {array.max()}")
    return y, p
