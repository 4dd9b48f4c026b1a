"""Anytime-valid statistics: published vectors, and no more misses than promised however often one looks."""

import numpy as np
import pytest

from trailmark.experiments.evidence import asymptotic as ac
from trailmark.experiments.evidence import betting

# confseq 0.0.11 on this sequence, alpha 0.05 (reference/evaluation.md, section 5).
X = np.tile([0.0, 0, 1, 0, 1, 1, 0, 1, 0, 0], 50)


def test_hedged_capital_equals_confseq() -> None:
    lows, highs = betting.hedged(X)
    found = [(lows[n - 1], highs[n - 1]) for n in (10, 50, 100, 500)]
    wanted = [(0.050, 0.813), (0.211, 0.607), (0.255, 0.556), (0.318, 0.483)]
    assert np.array(found) == pytest.approx(np.array(wanted), abs=1e-9)


@pytest.mark.parametrize(
    ("n_best", "rho", "widths"),
    [
        (1000, 0.089085, [0.385505, 0.137901, 0.095982, 0.044591, 0.023595]),
        (5000, 0.039840, [0.669439, 0.172403, 0.106375, 0.042924, 0.022112]),
    ],
)
def test_asymptotic_half_widths(n_best: float, rho: float, widths: list[float]) -> None:
    found = ac.tuning(n_best)
    assert found == pytest.approx(rho, abs=1e-6)
    assert ac.half_width([100, 500, 1000, 5000, 20000], 1.0, found) == pytest.approx(widths, abs=1e-6)
    assert float(ac.half_width(n_best, 1.0, found)) * np.sqrt(n_best) / 1.959964 == pytest.approx(1.5486, abs=1e-4)


def test_growthbook_vectors() -> None:
    sums = (3000, 1396.87, 52377.9767), (3461, 2422.7, 134698.29)
    control, treated = (ac.Arm(n, total / n, (squares - total**2 / n) / (n - 1)) for n, total, squares in sums)
    lift = ac.effect(control, treated, 1000, relative=True)
    assert (lift.value, lift.low, lift.high) == pytest.approx((0.50336, -0.55844, 1.56516), abs=1e-5)
    plain = ac.effect(control, treated, 1000)
    assert (plain.value, plain.low, plain.high) == pytest.approx((0.2343767, -0.1790892, 0.6478425), abs=1e-7)
    parts = (3000, 1396 / 3000), (3461, 2422 / 3461)
    control, treated = (ac.Arm(n, share, share * (1 - share)) for n, share in parts)
    shares = ac.effect(control, treated, 5000, relative=True)
    assert (shares.value, shares.low, shares.high) == pytest.approx((0.50386, 0.40098, 0.60675), abs=1e-5)


def test_looking_a_hundred_times_misses_seldom() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0.0, 1.0, (600, 1000)).cumsum(1)
    n = np.arange(10, 1001, 10)
    means = x[:, n - 1] / n
    inside = np.abs(means) < ac.half_width(n, 1.0, ac.tuning(1000))
    assert (~inside.all(1)).mean() <= 0.05
    fixed = np.abs(means) < 1.96 / np.sqrt(n)
    assert (~fixed.all(1)).mean() > 0.25


def off_policy(runs: int, n: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Weight x reward of one round per learner: five activities, chances near .675, weights up to 5.5."""
    rng = np.random.default_rng(seed)
    logged, wanted = np.array([0.4, 0.25, 0.15, 0.1, 0.1]), np.array([0.05, 0.1, 0.1, 0.2, 0.55])
    chance = np.array([0.45, 0.5, 0.6, 0.7, 0.7336])
    action = rng.choice(5, size=(runs, n), p=logged)
    reward = rng.random((runs, n)) < chance[action]
    return (wanted / logged)[action] * reward, float(wanted @ chance)


def test_betting_bound_holds_at_any_time_and_is_close() -> None:
    phi, value = off_policy(200, 500)
    bounds = np.array([betting.off_policy_lower(row) for row in phi])
    assert value == pytest.approx(0.676, abs=1e-3)
    assert (bounds > value).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert bounds.mean() >= 0.50


def test_betting_bound_needs_no_plan_to_hold_at_every_look() -> None:
    """Bets made for the length of the log would be other bets at every look; looked at ten times, these stay."""
    phi, value = off_policy(100, 400, seed=4)
    missed = [max(betting.off_policy_lower(row[:n]) for n in range(40, 401, 40)) > value for row in phi]
    assert np.mean(missed) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)
    row = off_policy(1, 10000, seed=5)[0][0]
    assert betting.off_policy_lower(row) > 0.61  # 10,000 planned: .64


def test_betting_refuses_what_it_cannot_bet_on() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        betting.off_policy_lower(np.array([0.1, -0.1]))
    with pytest.raises(ValueError, match=r"observation 1 is 1.2: it must lie in \[0, 1\]"):
        betting.hedged(np.array([0.1, 1.2]))
