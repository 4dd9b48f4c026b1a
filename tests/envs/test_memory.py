"""Forgetting curves against their definitions, and the properties that every one of them has."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trailmark.envs.memory import exponential, half_life, hyperbolic, power, power_factor, power_interval

Curve = Callable[[Tensor, Tensor], Tensor]
CURVES: dict[str, Curve] = {
    "exponential": exponential,
    "half-life": half_life,
    "hyperbolic": lambda days, life: hyperbolic(days, 1.0 / life, torch.tensor(0.7)),
    "power": lambda days, life: power(days, life, 0.1542),
    "power, steep": lambda days, life: power(days, life, torch.tensor(0.8)),
}

DAYS, LIVES = st.floats(-5, 0) | st.floats(0, 4000), st.floats(0.001, 2000)


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_values_at_one_life() -> None:
    life = one(7.0)
    assert exponential(life, life).item() == pytest.approx(math.exp(-1), abs=1e-12)
    assert half_life(life, life).item() == pytest.approx(0.5, abs=1e-12)
    assert half_life(3 * life, life).item() == pytest.approx(0.125, abs=1e-12)
    assert hyperbolic(one(3.0), one(5.0), one(2.0)).item() == pytest.approx(1 / 256, abs=1e-12)
    for decay in (0.1542, 0.5, 0.8):
        assert power(life, life, decay).item() == pytest.approx(0.9, abs=1e-7)


def test_power_is_the_published_one() -> None:
    assert power_factor(0.1542).item() == pytest.approx(0.98035, abs=1e-5)
    assert power(one(10.0), one(2.3065), 0.1542).item() == pytest.approx(0.774367, abs=5e-7)


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@given(days=DAYS, more=st.floats(0, 1000), life=LIVES, longer=st.floats(1, 10))
def test_recall_is_a_probability_that_falls_with_days_and_rises_with_life(
    curve: Curve, days: float, more: float, life: float, longer: float
) -> None:
    now = curve(one(days), one(life))
    assert 0 <= now <= 1
    assert curve(one(days + more), one(life)) <= now
    assert curve(one(days), one(life * longer)) >= now
    assert curve(one(0.0), one(life)) == 1


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_curves_do_fall(curve: Curve) -> None:
    assert curve(one(2.0), one(1.0)) < curve(one(1.0), one(1.0)) < 0.95


@given(retention=st.floats(0.3, 0.999), stability=LIVES, decay=st.floats(0.1, 0.8))
def test_an_interval_leads_to_its_retention(retention: float, stability: float, decay: float) -> None:
    days = power_interval(retention, one(stability), decay)
    assert power(days, one(stability), decay).item() == pytest.approx(retention, abs=1e-5)


def test_interval_for_the_retention_of_a_stability_is_the_stability() -> None:
    assert power_interval(0.9, one(12.0), 0.1542).item() == pytest.approx(12.0, abs=1e-4)
    assert power_interval(1.0, one(12.0), 0.1542).item() == 0
