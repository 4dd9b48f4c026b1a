"""Diagnostics: planted faults are seen, clean logs are left alone, and each number is what its name says."""

import numpy as np
import pytest
from scipy import stats

from trailmark.envs.worlds import kss_world
from trailmark.experiments.evidence import agreement, calibration, drift, overlap, weights
from trailmark.experiments.evidence.estimate import Estimate
from trailmark.experiments.evidence.faults import clean, faults, planted
from trailmark.experiments.evidence.finding import Verdict, by_p, graded, worst
from trailmark.experiments.evidence.intervals import Clusters

LEARNERS = 200


@pytest.mark.parametrize("fault", faults())
def test_planted_fault_is_seen(fault: str) -> None:
    case = planted(kss_world(), LEARNERS, 5, fault)
    assert case.flagged > Verdict.TRUST, [f for f in case.all if f.verdict]


def test_clean_logs_raise_no_red_flag() -> None:
    """Twenty of them: `trailmark bench ope --faults 20`."""
    for seed in (1,):
        assert worst(clean(kss_world(), LEARNERS, seed).all) < Verdict.DO_NOT


def test_effective_size() -> None:
    assert weights.effective_size(np.ones(50)) == pytest.approx(50)
    assert weights.effective_size(np.array([3.0, 0.0, 0.0])) == pytest.approx(1)
    assert weights.effective_size(np.zeros(3)) == 0


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_finds_the_shape_of_a_tail(k: float) -> None:
    draws = np.random.default_rng(1).random((10, 20_000))
    found = [weights.pareto_k((u**-k - 1) / k) for u in draws]
    assert np.mean(found) == pytest.approx(k, abs=0.06)


def test_a_tail_of_ties_has_a_shape_too() -> None:
    """Of the forty trial shapes one is exactly 0 where the largest weights tie: no 0 / 0 and no NaN."""
    assert weights.pareto_k(np.repeat([0.5, 3.0], [1490, 110])) < 0.5


def test_weights_all_alike_have_no_tail() -> None:
    assert weights.pareto_k(np.ones(1000)) == -np.inf
    few = np.where(np.arange(1000) % 3 == 0, 1.6, 0.7) + 1e-9 * np.arange(1000)
    assert weights.pareto_k(few) == -np.inf


def test_mean_weight_tells_a_wrong_scale_from_noise() -> None:
    w = np.random.default_rng(0).exponential(1.0, 4000)
    alone = Clusters.single(4000)
    assert weights.mean_weight(w, alone).verdict is Verdict.TRUST
    assert weights.mean_weight(1.25 * w, alone).verdict is Verdict.DO_NOT


def test_support_counts_the_candidates_lost_probability() -> None:
    policy = np.array([[0.5, 0.5, 0.0], [0.2, 0.5, 0.3]])
    behaviour = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    found = {f.name: f for f in overlap.support(np.array([0, 1]), policy, behaviour, None)}
    assert found["activities never logged"].value == pytest.approx(0.15)
    assert found["mass without support"].value == pytest.approx(0.4)
    assert found["mass without support"].verdict is Verdict.DO_NOT


def test_small_groups_say_so() -> None:
    names = np.array(["a"] * 50 + ["b"] * 5)
    found = overlap.groups(names, np.ones(55), np.arange(55))
    assert found.value == pytest.approx(5)
    assert "insufficient evidence for b" in found.says


def test_calibration_over_many_honest_logs_is_quiet() -> None:
    rng = np.random.default_rng(0)
    loud = 0
    for _ in range(60):
        behaviour = rng.dirichlet(np.ones(4), 400)
        action = np.minimum((behaviour.cumsum(1) < rng.random(400)[:, None]).sum(1), 3)
        p = behaviour[np.arange(400), action]
        found = calibration.propensity_findings(action, p, behaviour, None, np.zeros(400, dtype=bool))
        loud += worst(found) > Verdict.TRUST
    assert loud <= 2


@pytest.mark.parametrize("activities", [2, 6])
def test_calibration_of_activities_has_its_nominal_level(activities: int) -> None:
    """A sum of squares over p (1 - p) is too large: with two activities it flags 18 of 1,000 sound logs at .001."""
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(500):
        behaviour = rng.dirichlet(np.full(activities, 3.0), 300)
        action = np.minimum((behaviour.cumsum(1) < rng.random(300)[:, None]).sum(1), activities - 1)
        p = behaviour[np.arange(300), action]
        found = calibration.propensity_findings(action, p, behaviour, None, np.zeros(300, dtype=bool))
        scores.append(next(f.value for f in found if f.name == "activities as often as said"))
    for level in (0.1, 0.01):
        often = np.mean(np.array(scores) > stats.chi2.isf(level, activities - 1))
        assert abs(often - level) <= 3 * np.sqrt(level * (1 - level) / 500)
    assert found[-1].verdict is Verdict.TRUST


def test_drift_sees_a_step_and_ignores_noise() -> None:
    x, order = np.random.default_rng(2).normal(0, 1, 600), np.arange(600.0)
    assert drift.drift("x", x, order).verdict is Verdict.TRUST
    assert drift.drift("x", x + 1.0 * (order > 500), order).verdict > Verdict.TRUST


def test_spread_is_in_standard_errors_of_the_difference() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(0, 1, 900), rng.normal(0, 1, 900)
    noise -= noise.mean()
    found = agreement.spread([Estimate("a", x), Estimate("b", x + 0.1 * noise + 0.05)])
    assert found.value == pytest.approx(-0.05 / (0.1 * noise.std(ddof=1) / 30), rel=0.01)
    assert found.verdict is Verdict.DO_NOT


def test_verdicts_are_ordered() -> None:
    assert by_p(0.5) < by_p(1e-4) < by_p(1e-9)
    assert graded(float("nan"), 1, 2) is Verdict.DO_NOT
    assert graded(1.5, 1, 2) is Verdict.CAUTION
    assert worst([]) is Verdict.TRUST
