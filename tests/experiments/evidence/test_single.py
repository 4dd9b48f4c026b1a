"""Single-step estimators: against Open Bandit Pipeline 0.5.7, against the written formulas, and their influence."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailmark.experiments.evidence import single, slope
from trailmark.experiments.evidence.estimate import Estimate, difference
from trailmark.experiments.evidence.intervals import Clusters, standard_error

# Open Bandit Pipeline 0.5.7 on the arrays of conftest.py, run in an environment of its own (22 November 2026).
OBP: dict[str, tuple[Callable[[single.Rounds], Estimate], float]] = {
    "dm": (single.dm, 0.5009288730192991),
    "ips": (single.ips, 0.8156323740716565),
    "clipped ips": (lambda r: single.clipped_ips(r, 2.0), 0.48284634968884954),
    "snips": (single.snips, 0.49946306304685656),
    "dr": (single.dr, 0.5408382694933909),
    "sndr": (single.sndr, 0.5253679095766564),
    "switch-dr": (lambda r: single.switch_dr(r, 2.0), 0.5020640880759432),
    "dros": (lambda r: single.dros(r, 4.0), 0.5061172765249853),
    "sg-ips": (lambda r: single.subgaussian_ips(r, 0.2), 0.5500518419320712),
    "sg-dr": (lambda r: single.subgaussian_dr(r, 0.2), 0.5276816581507757),
}


@pytest.fixture(scope="module")
def rounds(logged) -> single.Rounds:
    return single.Rounds.of(logged.action, logged.reward, logged.propensity, logged.policy, logged.model)


@pytest.mark.parametrize("name", OBP)
def test_equals_open_bandit_pipeline(name: str, rounds: single.Rounds) -> None:
    estimator, theirs = OBP[name]
    assert estimator(rounds).value == pytest.approx(theirs, abs=1e-12)


def test_mips_equals_open_bandit_pipeline(rounds: single.Rounds, logged) -> None:
    embedding = np.eye(3)[np.arange(6) % 3]
    found = single.mips(rounds, logged.action % 3, logged.behaviour, logged.policy, embedding)
    assert found.value == pytest.approx(0.7669444303339954, abs=1e-12)


def test_written_formulas_row_by_row(rounds: single.Rounds, logged) -> None:
    n = len(logged.action)
    parts = {"ips": 0.0, "cut": 0.0, "dr": 0.0, "switch": 0.0, "dros": 0.0, "mrdr": 0.0}
    weights = single.mrdr_weight(logged.action, logged.propensity, logged.policy)
    for i in range(n):
        a, p, r = logged.action[i], logged.propensity[i], logged.reward[i]
        w = logged.policy[i, a] / p
        v = sum(logged.policy[i, b] * logged.model[i, b] for b in range(6))
        gap = r - logged.model[i, a]
        parts["ips"] += w * r / n
        parts["cut"] += min(w, 1.5) * r / n
        parts["dr"] += (v + w * gap) / n
        parts["switch"] += (v + (w if w <= 1.5 else 0.0) * gap) / n
        parts["dros"] += (v + 3.0 * w / (w * w + 3.0) * gap) / n
        parts["mrdr"] += weights[i] - logged.policy[i, a] * (1 - p) / p**2
    assert single.ips(rounds).value == pytest.approx(parts["ips"], abs=1e-9)
    assert single.clipped_ips(rounds, 1.5).value == pytest.approx(parts["cut"], abs=1e-9)
    assert single.dr(rounds).value == pytest.approx(parts["dr"], abs=1e-9)
    assert single.mrdr(rounds).value == pytest.approx(parts["dr"], abs=1e-9)
    assert single.switch_dr(rounds, 1.5).value == pytest.approx(parts["switch"], abs=1e-9)
    assert single.dros(rounds, 3.0).value == pytest.approx(parts["dros"], abs=1e-9)
    assert parts["mrdr"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", OBP)
def test_influence_is_the_change_that_one_round_makes(name: str, rounds: single.Rounds) -> None:
    found = OBP[name][0](rounds)
    n = len(rounds)
    without = np.arange(n) != 17
    part = single.Rounds(*(getattr(rounds, f)[without] for f in ("reward", "weight", "q", "v")))
    left = OBP[name][0](part).value
    # Leaving one round out moves the value by -psi / n, to first order.
    assert (found.value - left) * n == pytest.approx(found.influence[17], rel=0.2, abs=0.02)
    assert found.influence.mean() == pytest.approx(0.0, abs=1e-9)


def test_limits_lead_back_to_the_plain_estimators(rounds: single.Rounds) -> None:
    assert single.clipped_ips(rounds, np.inf).value == single.ips(rounds).value
    assert single.switch_dr(rounds, np.inf).value == single.dr(rounds).value
    assert single.dros(rounds, np.inf).value == single.dr(rounds).value
    assert single.dros(rounds, 0.0).value == single.dm(rounds).value
    assert single.subgaussian_ips(rounds, 0.0).value == pytest.approx(single.ips(rounds).value, abs=1e-12)


@given(scale=st.floats(0.1, 10.0), shift=st.floats(-5.0, 5.0))
def test_self_normalised_values_follow_the_unit_of_reward(scale: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    w, r = rng.exponential(1.0, 50), rng.random(50)
    none = np.zeros(50)
    one = single.snips(single.Rounds(r, w, none, none))
    other = single.snips(single.Rounds(scale * r + shift, w, none, none))
    assert other.value == pytest.approx(scale * one.value + shift, abs=1e-8)


def test_no_overlap_gives_no_value() -> None:
    none = np.zeros(5)
    found = single.snips(single.Rounds(np.ones(5), none, none, none))
    assert np.isnan(found.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"propensity": 0.0}, "propensity 0"),
        ({"propensity": 1.5}, "propensity 1.5"),
        ({"policy": 0.9}, "sum to"),
        ({"model": 3}, "one per action"),
    ],
)
def test_bad_input_is_refused(change: dict, complaint: str, logged) -> None:
    p, policy, model = logged.propensity.copy(), logged.policy, logged.model
    if "propensity" in change:
        p[3] = change["propensity"]
    if "policy" in change:
        policy = policy * change["policy"]
    if "model" in change:
        model = model[:, : change["model"]]
    with pytest.raises(ValueError, match=complaint):
        single.Rounds.of(logged.action, logged.reward, p, policy, model)


def test_gain_over_the_log_is_paired(rounds: single.Rounds) -> None:
    gain = difference("gain", single.dr(rounds), rounds.reward)
    assert gain.value == pytest.approx(single.dr(rounds).value - rounds.reward.mean(), abs=1e-12)


def test_slope_stops_where_confidence_ends() -> None:
    # Widths fall; the third disagrees with the first by more than both allow.
    assert slope.slope([1.0, 1.1, 2.0, 1.0], [0.4, 0.3, 0.2, 0.1]) == 1
    assert slope.slope([1.0, 1.1, 1.2, 1.1], [0.4, 0.3, 0.2, 0.1]) == 3
    assert slope.slope([np.nan, 1.1], [0.4, 0.3]) == 1


def test_tuning_forgets_the_last_data_set(rounds: single.Rounds) -> None:
    w = rounds.weight
    calm = single.Rounds(rounds.reward, np.minimum(w, 1.2), rounds.q, rounds.v)
    first = slope.tuned(rounds, single.dros, slope.SHRINKAGES)
    slope.tuned(calm, single.dros, slope.SHRINKAGES)
    again = slope.tuned(rounds, single.dros, slope.SHRINKAGES)
    assert (first[0].value, first[1]) == (again[0].value, again[1])
    assert standard_error(first[0], Clusters.single(len(rounds))) > 0
