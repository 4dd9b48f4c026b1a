"""Statistics of scores against exact enumerations, plain-Python derivations and rliable."""

import itertools
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from trailmark.experiments import statistics
from trailmark.experiments.statistics import Interval

# Five runs of three tasks, chosen by hand: quarters are exact in binary, so the answers below are exact too.
SCORES = np.array(
    [
        [0.25, 1.50, 0.00],
        [0.50, 0.75, 2.00],
        [0.75, 0.25, 0.25],
        [1.00, 1.25, 0.50],
        [0.00, 0.50, 4.00],
    ]
)


def table(runs: int = 10, tasks: int = 6, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 0.4, size=(runs, tasks))


def test_point_estimates_by_hand() -> None:
    # Sorted: 0 0 .25 | .25 .25 .5 .5 .5 .75 .75 1 1.25 | 1.5 2 4; a quarter of 15, rounded down, is 3 a side.
    assert float(statistics.iqm(SCORES)) == float(Fraction("5.75") / 9)
    assert float(statistics.mean(SCORES)) == float(Fraction("13.5") / 15)
    # Task means are .5, .85 and 1.35.
    assert float(statistics.median(SCORES)) == pytest.approx(0.85, abs=1e-15)


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 7, 8])
def test_iqm_of_one_task_drops_a_quarter_rounded_down(runs: int) -> None:
    values = sorted(float(v) for v in table(runs, 1)[:, 0])
    cut = runs // 4
    kept = values[cut : runs - cut]
    assert float(statistics.iqm(np.array(values))) == pytest.approx(math.fsum(kept) / len(kept), abs=1e-15)


@pytest.mark.parametrize("name", ["mean", "median", "iqm"])
def test_a_stack_of_tables_gives_one_number_each(name: str) -> None:
    function = getattr(statistics, name)
    stack = np.stack([table(seed=s) for s in range(4)])
    assert function(stack).shape == (4,)
    assert np.array_equal(function(stack), [float(function(one)) for one in stack])


def test_bootstrap_interval_equals_the_enumerated_one() -> None:
    runs = np.array([0.0, 1.0, 10.0])
    every = np.array([np.mean(draw) for draw in itertools.product(runs, repeat=3)])
    got = statistics.stratified_bootstrap(runs, statistics.mean, replicates=20_000, confidence=0.8)
    # The enumerated quantiles sit on atoms of at least 3/27, far wider than the Monte Carlo error.
    assert got == Interval(float(np.mean(runs)), float(np.quantile(every, 0.1)), float(np.quantile(every, 0.9)))
    assert (got.low, got.high) == pytest.approx((1 / 3, 7.0))


def test_runs_are_resampled_within_their_task() -> None:
    far = np.array([[0.0, 1000.0], [0.0, 1000.0], [0.0, 1000.0]])
    assert statistics.stratified_bootstrap(far, statistics.mean) == Interval(500.0, 500.0, 500.0)
    # Four entries, each 0 or 2 with a half: their mean is binomial. Drawn together it would be 1 or 0, 1, 2 only.
    apart = np.array([[0.0, 2.0], [2.0, 0.0]])
    kept: list[float] = []

    def keep(scores: np.ndarray) -> np.ndarray:
        values = statistics.mean(scores)
        kept.extend(np.atleast_1d(values))
        return values

    statistics.stratified_bootstrap(apart, keep, replicates=8000)
    shares = {value: kept.count(value) / len(kept) for value in (0.0, 0.5, 1.0, 1.5, 2.0)}
    assert shares == pytest.approx({0.0: 1 / 16, 0.5: 4 / 16, 1.0: 6 / 16, 1.5: 4 / 16, 2.0: 1 / 16}, abs=0.02)


def test_given_indices_replace_the_draws() -> None:
    draws = np.random.default_rng(0).integers(0, 5, size=(300, 5, 3))
    values = []
    for draw in draws:
        flat = sorted(float(SCORES[draw[r, t], t]) for r in range(5) for t in range(3))
        values.append(math.fsum(flat[3:12]) / 9)
    got = statistics.stratified_bootstrap(SCORES, indices=draws)
    assert got.low == pytest.approx(float(np.quantile(values, 0.025)), abs=1e-12)
    assert got.high == pytest.approx(float(np.quantile(values, 0.975)), abs=1e-12)


def test_the_seed_alone_decides_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = table(), table(7, seed=4)

    def everything(seed: int) -> list[object]:
        profile = statistics.performance_profile(x, [0.3, 0.9], seed=seed)
        return [
            statistics.stratified_bootstrap(x, seed=seed),
            statistics.probability_of_improvement(x, y, seed=seed),
            statistics.learner_interval(x[:, 0], seed=seed),
            (profile.low.tolist(), profile.high.tolist()),
        ]

    first = everything(0)
    assert everything(0) == first
    assert everything(1) != first
    monkeypatch.setattr(statistics, "BLOCK", 70)
    assert everything(0) == first


def test_memory_does_not_grow_with_the_replicates() -> None:
    values = np.random.default_rng(0).random(20_000)
    tracemalloc.start()
    statistics.learner_interval(values, replicates=300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # all draws at once would take 48 MB


def test_paired_difference_cancels_what_pairs_share() -> None:
    noise = np.random.default_rng(5).normal(0, 10, size=400)
    x, y = noise + 0.5, noise
    exact = statistics.paired_difference(x, y)
    assert (exact.value, exact.low, exact.high) == pytest.approx((0.5, 0.5, 0.5), abs=1e-12)
    shifted = statistics.paired_difference(table() + 0.25, table(), statistics.iqm)
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((0.25, 0.25, 0.25), abs=1e-12)
    opposite = statistics.paired_difference(y, x, confidence=0.9)
    assert opposite.high < 0


def test_paired_mean_takes_the_same_resamples_as_any_statistic() -> None:
    x, y = table(), table(seed=9)
    fast = statistics.paired_difference(x, y)
    slow = statistics.paired_difference(x, y, lambda scores: statistics.mean(scores))
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=1e-12)


def test_probability_of_improvement_by_hand() -> None:
    # Wins 1 + 2 of 4 and a tie in the first task; all 4 of 4 in the second.
    x, y = np.array([[1.0, 5.0], [3.0, 6.0]]), np.array([[1.0, 0.0], [2.0, 1.0]])
    got = statistics.probability_of_improvement(x, y)
    assert got.value == (2.5 / 4 + 1.0) / 2
    # Enumerate: the first task's four draws a side, the second is always won.
    first = [
        np.mean([(a > b) + 0.5 * (a == b) for a in left for b in right])
        for left in itertools.product(x[:, 0], repeat=2)
        for right in itertools.product(y[:, 0], repeat=2)
    ]
    assert (got.low, got.high) == ((min(first) + 1) / 2, (max(first) + 1) / 2)
    assert statistics.probability_of_improvement(x, x).value == 0.5


def test_performance_profile_by_hand() -> None:
    got = statistics.performance_profile(SCORES, [-1.0, 0.25, 0.5, 4.0])
    # Strictly above: all, 10 of 15, 7 of 15, none.
    assert got.value.tolist() == [1.0, 10 / 15, 7 / 15, 0.0]
    assert (got.low[0], got.high[0], got.low[3], got.high[3]) == (1.0, 1.0, 0.0, 0.0)
    assert got.low[1] < got.value[1] < got.high[1]


def test_profile_band_equals_the_bootstrap_of_each_fraction() -> None:
    scores, levels = table(), [0.4, 0.8, 1.2]
    got = statistics.performance_profile(scores, levels)
    for place, level in enumerate(levels):
        one = statistics.stratified_bootstrap((scores > level).astype(float), statistics.mean)
        assert (got.value[place], got.low[place], got.high[place]) == pytest.approx((one.value, one.low, one.high))


def test_learner_interval_has_the_width_theory_gives() -> None:
    values = np.random.default_rng(2).normal(3.0, 2.0, size=5000)
    got = statistics.learner_interval(values)
    error = float(values.std()) / math.sqrt(len(values))
    assert got.value == float(values.mean())
    assert (got.low - got.value) / error == pytest.approx(-1.96, abs=0.15)
    assert (got.high - got.value) / error == pytest.approx(1.96, abs=0.15)


def test_learner_interval_draws_a_learner_with_all_its_rows() -> None:
    base = np.random.default_rng(1).random(300)
    once = statistics.learner_interval(base)
    repeated = statistics.learner_interval(np.repeat(base, 25), learners=np.repeat(np.arange(300), 25))
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx((once.value, once.low, once.high), abs=1e-12)
    naive = statistics.learner_interval(np.repeat(base, 25))
    assert naive.high - naive.low < 0.3 * (repeated.high - repeated.low)
    # A mean over rows stays a mean when learners have unequal numbers of rows.
    uneven = statistics.learner_interval(np.ones(55), learners=np.repeat(np.arange(10), np.arange(1, 11)))
    assert uneven == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: statistics.stratified_bootstrap(np.empty((0, 3))), "not empty"),
        (lambda: statistics.stratified_bootstrap([[1.0, 2.0], [3.0, np.nan]]), "row 1, task 1 is nan"),
        (lambda: statistics.stratified_bootstrap([1.0], confidence=95), "between 0 and 1"),
        (lambda: statistics.stratified_bootstrap([1.0], replicates=0), "at least 1"),
        (lambda: statistics.paired_difference([1.0, 2.0], [1.0]), "one shape"),
        (lambda: statistics.probability_of_improvement(np.ones((2, 2)), np.ones((2, 3))), "same tasks"),
        (lambda: statistics.performance_profile([1.0], [2.0, 1.0]), "ascending"),
        (lambda: statistics.learner_interval([1.0, 2.0], learners=["a"]), "one learner for each row"),
    ],
)
def test_bad_input_says_what_is_wrong(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.fixture
def rliable(request: pytest.FixtureRequest):
    pytest.importorskip("rliable", reason="the direct comparison needs rliable, an extra of dev")
    library = request.getfixturevalue("rliable_library")
    return library, pytest.importorskip("rliable.metrics")


@pytest.mark.parametrize("runs", [5, 10])
def test_rliable_gives_the_same_estimates(rliable, runs: int) -> None:
    library, metrics = rliable
    x, y = np.round(table(runs, 26), 1), np.round(table(runs + 1, 26, seed=5), 1)
    for ours, theirs in [
        (statistics.mean, metrics.aggregate_mean),
        (statistics.median, metrics.aggregate_median),
        (statistics.iqm, metrics.aggregate_iqm),
    ]:
        assert float(ours(x)) == pytest.approx(float(theirs(x)), abs=1e-9)
    ours = statistics.probability_of_improvement(x, y, replicates=1).value
    assert ours == pytest.approx(float(metrics.probability_of_improvement(x, y)), abs=1e-9)
    levels = np.linspace(0, 3, 31)
    ours = statistics.performance_profile(x, levels, replicates=1).value
    assert ours == pytest.approx(library.score_distributions(x, levels), abs=1e-9)


def test_rliable_gives_the_same_interval_on_its_own_resamples(rliable) -> None:
    library, metrics = rliable
    scores, replicates = table(10, 26), 400
    np.random.seed(7)  # noqa: NPY002, rliable draws from the global generator
    _, theirs = library.get_interval_estimates(
        {"x": scores}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=replicates
    )
    np.random.seed(7)  # noqa: NPY002, rliable draws from the global generator
    indices = np.stack([np.random.choice(10, scores.shape) for _ in range(replicates)])  # noqa: NPY002
    ours = statistics.stratified_bootstrap(scores, indices=indices)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs["x"][:, 0]), abs=1e-9)


def test_rliable_intervals_agree_within_monte_carlo_error(rliable) -> None:
    library, metrics = rliable
    x, y = table(10, 4), table(8, 4, seed=5)
    np.random.seed(1)  # noqa: NPY002
    _, theirs = library.get_interval_estimates({"x": x}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=4000)
    ours = statistics.stratified_bootstrap(x, replicates=20_000)
    # Four standard errors of a 2.5 % quantile from 4,000 draws: about .04 of the interval's width.
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs["x"][:, 0]), abs=0.04 * (ours.high - ours.low))
    np.random.seed(1)  # noqa: NPY002
    _, theirs = library.get_interval_estimates(
        {"xy": [x, y]}, lambda a, b: np.array([metrics.probability_of_improvement(a, b)]), reps=1000
    )
    ours = statistics.probability_of_improvement(x, y, replicates=20_000)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs["xy"][:, 0]), abs=0.08 * (ours.high - ours.low))
