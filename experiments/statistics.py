"""Statistics of scores: point estimates with bootstrap intervals, as pure functions of arrays.

Scores are (runs, tasks): a run is one seed or one learner, a task is one environment; (runs,) means one task.
The methods follow Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
Number = TypeVar("Number", bound=np.generic)

# Elements of one block of resamples: it bounds memory (8 bytes each), it does not change any number.
BLOCK = 1 << 17


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval, all in the unit of the scores."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Profile:
    """Fraction of scores above each threshold, with pointwise bands; every field is (thresholds,)."""

    thresholds: Array
    value: Array
    low: Array
    high: Array


def mean(scores: ArrayLike) -> Array:
    """Mean over runs and tasks: (..., runs, tasks) to (...)."""
    return np.asarray(_blocks(scores).mean(axis=(-2, -1)))


def median(scores: ArrayLike) -> Array:
    """Median over tasks of the mean over runs: (..., runs, tasks) to (...)."""
    return np.asarray(np.median(_blocks(scores).mean(axis=-2), axis=-1))


def iqm(scores: ArrayLike) -> Array:
    """Interquartile mean, the mean of the middle half of all runs and tasks together: (..., runs, tasks) to (...)."""
    blocks = _blocks(scores)
    flat = blocks.reshape(*blocks.shape[:-2], -1)
    count = flat.shape[-1]
    cut = count // 4
    middle = np.partition(flat, (cut, count - cut - 1), axis=-1)[..., cut : count - cut]
    return np.asarray(middle.mean(axis=-1))


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Statistic = iqm,
    replicates: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    indices: NDArray[np.integer] | None = None,
) -> Interval:
    """Percentile interval of a statistic, resampling runs within each task.

    `statistic` maps (..., runs, tasks) to (...), as `iqm` does. `indices` (replicates, runs, tasks) gives the resampled
    run numbers instead of drawing them from `seed`. Raises ValueError on empty or non-finite scores.
    """
    table = as_table(scores, "scores")
    drawn = resamples(table.shape, replicates, seed) if indices is None else iter((indices,))
    values = np.concatenate([statistic(_pick(table, rows)) for rows in drawn])
    return percentile_interval(float(statistic(table)), values, confidence)


def paired_difference(
    x: ArrayLike,
    y: ArrayLike,
    statistic: Statistic = mean,
    replicates: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of statistic(x) - statistic(y) when row i of both is the same learner or seed: pairs stay together.

    Both are (runs, tasks) or (runs,). Raises ValueError when the shapes differ or a score is not finite.
    """
    left, right = as_table(x, "x"), as_table(y, "y")
    if left.shape != right.shape:
        raise ValueError(f"paired scores must have one shape, got x {left.shape} and y {right.shape}")
    if statistic is mean:
        return stratified_bootstrap(left - right, mean, replicates, confidence, seed)
    values = np.concatenate(
        [
            statistic(_pick(left, rows)) - statistic(_pick(right, rows))
            for rows in resamples(left.shape, replicates, seed)
        ]
    )
    return percentile_interval(float(statistic(left) - statistic(right)), values, confidence)


def probability_of_improvement(
    x: ArrayLike, y: ArrayLike, replicates: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Chance that a run of x beats a run of y (a tie counts one half), averaged over tasks.

    x is (runs_x, tasks), y is (runs_y, tasks); the two are resampled independently. Raises ValueError when the numbers
    of tasks differ or a score is not finite.
    """
    left, right = as_table(x, "x"), as_table(y, "y")
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"x has {left.shape[1]} tasks and y has {right.shape[1]}: compare them on the same tasks")
    wins = (np.sign(left.T[:, :, None] - right.T[:, None, :]) + 1) / 2
    pairs = left.shape[0] * right.shape[0]
    size = max(1, BLOCK // max(left.size, right.size))
    values = []
    for rows_x, rows_y in zip(
        resamples(left.shape, replicates, seed, size, stream=0),
        resamples(right.shape, replicates, seed, size, stream=1),
        strict=True,
    ):
        won = np.matmul(_tally(rows_x), wins)
        values.append((won * _tally(rows_y)).sum(axis=-1).mean(axis=0) / pairs)
    return percentile_interval(float(wins.mean()), np.concatenate(values), confidence)


def performance_profile(
    scores: ArrayLike, thresholds: ArrayLike, replicates: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Profile:
    """Fraction of runs and tasks scoring strictly above each threshold, with stratified bootstrap bands.

    Raises ValueError when the thresholds are not ascending or a score is not finite.
    """
    table = as_table(scores, "scores")
    levels = np.asarray(thresholds, dtype=np.float64)
    if levels.ndim != 1 or levels.size == 0 or not np.all(np.diff(levels) > 0):
        raise ValueError("thresholds must be one list of ascending numbers")
    # A score's rank says how many thresholds it exceeds, so that a replicate is one histogram of ranks.
    rank = np.searchsorted(levels, table, side="left")

    def above(ranks: NDArray[np.integer]) -> Array:
        width = levels.size + 1
        rows = ranks.reshape(-1, table.size)
        keys = rows + width * np.arange(len(rows))[:, None]
        counts = np.bincount(keys.ravel(), minlength=width * len(rows)).reshape(-1, width)
        return counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:] / table.size

    values = np.concatenate([above(_pick(rank, rows)) for rows in resamples(table.shape, replicates, seed)])
    low, high = np.quantile(values, _tails(confidence), axis=0)
    return Profile(levels, above(rank)[0], low, high)


def learner_interval(
    values: ArrayLike,
    learners: ArrayLike | None = None,
    replicates: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of `values` (rows,) with a bootstrap interval over learners.

    Without `learners` every row is a learner of its own; with `learners` (rows,) a learner's rows are drawn together.
    Raises ValueError on empty or non-finite values, or when the lengths differ.
    """
    rows = as_table(values, "values")[:, 0]
    if learners is None:
        return stratified_bootstrap(rows, mean, replicates, confidence, seed)
    owner, number = clusters(learners, len(rows))
    sums, sizes = np.bincount(owner, rows, number), np.bincount(owner, minlength=number).astype(np.float64)
    drawn = [
        sums[index].sum(axis=1) / sizes[index].sum(axis=1)
        for index in (block[..., 0] for block in resamples((number, 1), replicates, seed))
    ]
    return percentile_interval(float(rows.mean()), np.concatenate(drawn), confidence)


def _blocks(scores: ArrayLike) -> Array:
    array = np.asarray(scores, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def as_table(scores: ArrayLike, name: str) -> Array:
    """Return scores as (runs, tasks) float64; ValueError, naming them `name`, when empty or not finite."""
    array = _blocks(scores)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must be (runs, tasks) or (runs,) and not empty, got shape {np.shape(scores)}")
    if not np.isfinite(array).all():
        row, task = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{name} row {row}, task {task} is {array[row, task]}: leave missing rows out first")
    return array


def clusters(learners: ArrayLike, rows: int) -> tuple[NDArray[np.intp], int]:
    """Number the learners: (rows,) names to (rows,) numbers, and how many learners there are."""
    names, owner = np.unique(np.asarray(learners), return_inverse=True)
    if len(owner) != rows:
        raise ValueError(f"{len(owner)} learners for {rows} rows: give one learner for each row")
    return owner, len(names)


def resamples(
    shape: tuple[int, ...], replicates: int, seed: int, size: int | None = None, stream: int = 0
) -> Iterator[NDArray[np.integer]]:
    """Yield blocks (`size` replicates, runs, tasks) of run numbers drawn with replacement."""
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    rng = np.random.Generator(np.random.Philox(seed=[seed, stream]))
    size = size or max(1, BLOCK // (shape[0] * shape[1]))
    for start in range(0, replicates, size):
        # 32 bits are drawn in half the time of 64, and count more runs than anyone has.
        yield rng.integers(0, shape[0], size=(min(size, replicates - start), *shape), dtype=np.uint32)


def _pick(table: NDArray[Number], rows: NDArray[np.integer]) -> NDArray[Number]:
    """Scores (..., runs, tasks) of the run numbers `rows` (..., runs, tasks)."""
    tasks = table.shape[1]
    return np.take(table, rows if tasks == 1 else rows.astype(np.intp) * tasks + np.arange(tasks))


def _tally(rows: NDArray[np.integer]) -> Array:
    """How often each run was drawn: (replicates, runs, tasks) to (tasks, replicates, runs)."""
    count, runs, tasks = rows.shape
    keys = rows.astype(np.intp) + runs * (np.arange(tasks) * count + np.arange(count)[:, None])[:, None, :]
    return np.bincount(keys.ravel(), minlength=tasks * count * runs).reshape(tasks, count, runs).astype(np.float64)


def _tails(confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    return (1 - confidence) / 2, (1 + confidence) / 2


def percentile_interval(value: float, values: Array, confidence: float) -> Interval:
    """Return an estimate with the percentiles of its bootstrap replicates `values` (replicates,)."""
    low, high = np.quantile(values, _tails(confidence))
    return Interval(value, float(low), float(high))
