"""The parts of SSR, each alone: growth, memory, motivation, population, kinds."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trailmark.envs.rng import Rng
from trailmark.envs.students.ssr_acquisition import Acquisition
from trailmark.envs.students.ssr_kinds import STANDARD, Kind, KindTable
from trailmark.envs.students.ssr_memory import Memory
from trailmark.envs.students.ssr_motivation import Motivation
from trailmark.envs.students.ssr_population import Material, Population
from trailmark.envs.students.steady import halved, logistic, power

days = st.floats(0.0, 2000.0)
stabilities = st.floats(0.02, 1000.0)
shares = st.floats(0.0, 1.0)


def one(x: float) -> torch.Tensor:
    return torch.tensor([x], dtype=torch.float64)


# ------------------------------------------------------------------------------------------- acquisition


@pytest.mark.parametrize(("p", "expected"), [(0.2, 0.38), (0.5, 0.76), (0.85, 1.0), (0.95, 0.93)])
def test_challenge_has_the_stated_values(p: float, expected: float) -> None:
    assert float(Acquisition().challenge(one(p))) == pytest.approx(expected, abs=0.005)


@settings(max_examples=50)
@given(st.floats(0.01, 0.99))
def test_challenge_is_highest_at_its_best_and_can_be_off(p: float) -> None:
    assert float(Acquisition().challenge(one(p))) <= 1.0 + 1e-9
    assert float(Acquisition(kappa=0.0).challenge(one(p))) == 1.0


def test_worked_examples_fade_as_knowledge_grows() -> None:
    amount = Acquisition().example(torch.linspace(0, 1, 11))
    assert amount[0] == pytest.approx(1.22)
    assert amount[-1] == pytest.approx(0.27)
    assert bool((amount.diff() < 0).all())


def test_gate_is_open_only_when_every_prerequisite_is_ready() -> None:
    reached = torch.tensor([[[0.9, 0.8]], [[0.4, 0.8]], [[0.0, 0.8]], [[0.0, 0.0]]])
    real = torch.tensor([[[True, True]], [[True, True]], [[True, True]], [[False, False]]])
    gate = Acquisition().opened(reached, real)[:, 0]
    assert gate.tolist() == pytest.approx([1.0, 0.15 + 0.85 * 0.5, 0.15, 1.0])
    assert Acquisition(gate=1.0).opened(reached, real)[:, 0].tolist() == [1.0] * 4


# ------------------------------------------------------------------------------------------- memory


@settings(max_examples=80)
@given(days, days, stabilities)
def test_reach_is_a_probability_that_falls_with_time(a: float, b: float, stability: float) -> None:
    memory = Memory()
    early, late = (float(memory.reach(one(t), one(stability))) for t in sorted((a, b)))
    assert 0.0 <= late <= early <= 1.0
    assert float(memory.reach(one(0.0), one(stability))) == 1.0
    assert float(memory.reach(one(stability), one(stability))) == pytest.approx(0.9, abs=1e-9)
    assert float(Memory(forgets=False).reach(one(a), one(stability))) == 1.0


@settings(max_examples=80)
@given(days, stabilities, st.integers(0, 6))
def test_success_never_shortens_and_failure_never_lengthens_memory(gap: float, stability: float, count: int) -> None:
    memory = Memory()
    s, reach = one(stability), Memory().reach(one(gap), one(stability))
    effort = memory.effort(one(gap), reach, one(0.83))
    grown = memory.grown(s, effort, torch.tensor([count]), one(1.0))
    assert float(grown) >= stability * (1 - 1e-12)
    assert 0.0 < float(memory.lapsed(s, reach)) <= stability * (1 + 1e-12)
    again = memory.grown(s, effort, torch.tensor([count + 1]), one(1.0))
    assert float(again) <= float(grown)  # the same sitting wears it out


@settings(max_examples=50)
@given(st.floats(0.1, 100.0), stabilities)
def test_success_after_a_longer_gap_is_worth_more(gap: float, stability: float) -> None:
    memory, s, zero = Memory(), one(stability), torch.tensor([0])

    def after(days: float, m: Memory = memory) -> float:
        return float(m.grown(s, m.effort(one(days), m.reach(one(days), s), one(0.83)), zero, one(1.0)))

    assert after(2 * gap) >= after(gap)
    flat = Memory(effortful=False)
    assert after(2 * gap, flat) == after(gap, flat)


def test_memory_numbers() -> None:
    """By hand: R(1.2; 1.2) = .9, effort .253, growth 1.2 (1 + .55 * 1.2^-.77 (e^(6 * .253) - 1)) = 3.195."""
    memory = Memory()
    reach = memory.reach(one(1.2), one(1.2))
    effort = memory.effort(one(1.2), reach, one(0.83))
    assert float(effort) == pytest.approx(0.253, abs=1e-6)
    expected = 1.2 * (1 + 0.55 * 1.2**-0.77 * (math.exp(6 * 0.253) - 1))
    assert float(memory.grown(one(1.2), effort, torch.tensor([0]), one(1.0))) == pytest.approx(expected, rel=1e-6)
    assert float(memory.lapsed(one(30.0), one(0.5))) == pytest.approx(min(30.0, 8 * (31**0.2629 - 1) * math.exp(1.7)))


# ------------------------------------------------------------------------------------------- motivation


@settings(max_examples=60)
@given(st.floats(0.0, 60.0), st.floats(0.0, 60.0), st.floats(-2, 2))
def test_leaving_over_two_spans_is_leaving_over_their_sum(a: float, b: float, x: float) -> None:
    motivation = Motivation()
    first = float(motivation.p_leave(one(0.0), one(a), one(x)))
    second = float(motivation.p_leave(one(a), one(a + b), one(x)))
    assert 1 - (1 - first) * (1 - second) == pytest.approx(float(motivation.p_leave(one(0.0), one(a + b), one(x))))


def test_the_hazard_of_leaving_falls_week_by_week() -> None:
    weeks = [7.0 * w for w in range(9)]
    hazard = [float(Motivation().p_leave(one(a), one(b), one(0.0))) for a, b in pairwise(weeks)]
    assert hazard == sorted(hazard, reverse=True)
    assert hazard[0] == pytest.approx(1 - math.exp(-((1 / 5) ** 0.6)))


def test_what_keeps_and_what_drives_away() -> None:
    zero = one(0.0)

    def x(success: float = 0.8, confidence: float = 0.7, coached: float = 0.0, **how: bool) -> float:
        return float(Motivation(**how).leaving(one(success), one(confidence), zero, zero, zero, one(coached)))

    assert x(success=0.4) > x() > x(confidence=0.9)
    assert x(coached=1.0) == pytest.approx(x() - 0.35)
    assert x(mandatory=True) == pytest.approx(x() - 4.2)
    assert x(success=0.4, choice=True) < x(success=0.4)
    assert x(success=1.0) > x(success=0.9)  # boredom


def test_sessions_end_sooner_when_long_or_frustrating() -> None:
    def p(success: float, minutes: float) -> float:
        return float(Motivation().p_stop(one(success), one(0.0), one(minutes), one(8.0), one(0.0)))

    assert p(0.3, 2.0) > p(0.8, 2.0)
    assert p(0.8, 16.0) > p(0.8, 2.0)
    assert p(0.8, 0.0) == pytest.approx(1 / (1 + math.exp(4.6)))
    off = Motivation(quits=False, leaves=False)
    assert float(off.p_stop(one(0.0), one(0.0), one(99.0), one(8.0), one(0.0))) == 0.0
    assert float(off.p_leave(one(0.0), one(99.0), one(9.0))) == 0.0


def test_gaps_are_exponential_and_shrink_before_a_deadline() -> None:
    u = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    none = torch.full_like(u, math.inf)
    gaps = Motivation().gap(u, torch.zeros_like(u), torch.zeros_like(u), none)
    assert float(gaps.mean()) == pytest.approx(3.5, rel=0.01)  # two sessions a week
    assert float(gaps.std() / gaps.mean()) == pytest.approx(1.0, abs=0.01)
    due = Motivation().gap(u, torch.zeros_like(u), torch.zeros_like(u), torch.zeros_like(u))
    assert float(due.mean()) == pytest.approx(0.7, rel=0.01)


# ------------------------------------------------------------------------------------------- population, kinds


def test_traits_are_as_described() -> None:
    traits = Population(vulnerable=0.1).traits(Rng.enrol(0, 0, 20_000))
    typical = traits.group == 0
    assert float(traits.knowledge[typical].std()) == pytest.approx(0.8, abs=0.02)
    assert float(traits.rate.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(traits.rate.log().std()) == pytest.approx(0.15, abs=0.005)
    together = np.corrcoef(traits.knowledge[typical].numpy(), traits.hold[typical].log().numpy())[0, 1]
    assert together == pytest.approx(0.5, abs=0.03)
    assert float(traits.overconfidence.mean()) == pytest.approx(0.10, abs=0.005)
    share = torch.bincount(traits.group, minlength=5) / 20_000
    assert share.tolist() == pytest.approx([0.6, 0.1, 0.1, 0.1, 0.1], abs=0.01)
    low, short = traits.group == 1, traits.group == 2
    assert float(traits.knowledge[low].mean()) == pytest.approx(-0.5, abs=0.08)
    assert float(traits.weekly[short].log().mean() - traits.weekly[typical].log().mean()) == pytest.approx(
        math.log(0.5), abs=0.08
    )
    assert float(Population(rate_sd=0.45).traits(Rng.enrol(0, 0, 20_000)).rate.log().std()) == pytest.approx(
        0.45, abs=0.01
    )


def test_material_is_drawn_from_its_own_seed() -> None:
    cpu = torch.device("cpu")
    a, b = Material().draw(5, 9, cpu), Material().draw(5, 9, cpu)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(a.difficulty, Material(seed=1).draw(5, 9, cpu).difficulty)
    assert torch.equal(Material(slope_sd=0.0).draw(5, 9, cpu).slope, torch.ones(9))


def test_every_kind_of_activity_is_there() -> None:
    asked = (
        "video", "reading", "worked example", "problem", "quiz", "review", "interleaved", "scenario", "project",
        "peer", "coaching", "check-in", "nothing",
    )  # fmt: skip
    table = KindTable.of(STANDARD, asked, torch.device("cpu"))
    assert table.trials.tolist() == [0, 0, 0, 1, 5, 1, 6, 4, 8, 2, 8, 0, 0]
    assert table.idle.tolist() == [False] * 12 + [True]
    assert KindTable.of(STANDARD, ("practice",), torch.device("cpu")).at(torch.tensor([0, 0])).guess.shape == (2,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KindTable.of(STANDARD, ("vidio",), torch.device("cpu")), "no activity kind 'vidio'"),
        (lambda: Kind(trials=-1), "trials must be 0 or more"),
        (lambda: Kind(guess=1.5), "between 0 and 1"),
        (lambda: Acquisition(best=1.0), "best and ready"),
        (lambda: Memory(decay=0.0), "decay is above 0"),
        (lambda: Population(vulnerable=0.3), "vulnerable lies in"),
        (lambda: Population(stability=0.0), "above 0"),
    ],
)
def test_bad_settings_are_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


# ------------------------------------------------------------------------------------------- steady


def test_steady_functions_are_what_they_are_called_and_round_alike_in_any_batch() -> None:
    x = torch.linspace(-20, 20, 61)
    torch.testing.assert_close(logistic(x), torch.sigmoid(x))
    torch.testing.assert_close(power(x.abs(), 0.6), x.abs() ** 0.6)
    torch.testing.assert_close(halved(torch.arange(5), 0.6), 0.6 ** torch.arange(5).float())
    assert halved(torch.arange(3), 0.0).tolist() == [1.0, 0.0, 0.0]
    for function in (logistic, lambda v: power(v.abs(), 0.6), lambda v: halved(v, 0.6)):
        for n in (1, 3, 5, 7, 9, 17, 33):
            assert torch.equal(function(x[:n].clone()), function(x)[:n])
