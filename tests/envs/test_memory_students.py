"""The memory students against their published laws, their reference means, and the spacing experiment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.rows import take
from trailmark.envs.student import Student
from trailmark.envs.students.actr import ACTR
from trailmark.envs.students.dash import DASH
from trailmark.envs.students.efc import EFC, EFCState
from trailmark.envs.students.hlr_cards import HLRCards
from trailmark.envs.students.mcm import MCM

KINDS: list[Any] = [EFC, HLRCards, DASH, ACTR, MCM]
Choice = Callable[[Tensor, int, Tensor], Tensor]


def anything(p: Tensor, t: int, u: Tensor) -> Tensor:
    return (p.shape[1] * u).long()


def round_robin(p: Tensor, t: int, u: Tensor) -> Tensor:
    return torch.full((p.shape[0],), t % p.shape[1])


def nearest(z: float) -> Choice:
    return lambda p, t, u: (p - z).abs().argmin(1)


def session(student: Student, state: Any, rng: Rng, choose: Choice, steps: int = 200, delay: float = 5.0) -> Tensor:
    """Return (B, steps) mean recall of all cards right after each review; `delay` days pass after that."""
    days = torch.full((len(rng),), delay)
    told = []
    for t in range(steps):
        activity = choose(student.mastery(state), t, rng.at(t).uniform(Purpose.ACT)[:, 0])
        state, _ = student.answer(state, activity, rng.at(t))
        told.append(student.mastery(state).mean(1))
        state = student.elapse(state, days, rng.at(t))
    return torch.stack(told, 1)


# ------------------------------------------------------------------------------------------------ reference means


@pytest.mark.parametrize(
    ("choose", "mean", "slack"),
    [(anything, 0.2606, 0.0016), (round_robin, 0.3018, 0.0008), (nearest(0.5), 0.1994, 0.003)],
)
def test_efc_is_the_mbs_environment(choose: Choice, mean: float, slack: float) -> None:
    """EduSim's MBS-EFC at seed 0: the same thirty rates, the same law of the first review, 200 reviews, 5 days apart.

    Reference: the mean of one sampled answer per card and step, standard errors .0008 and .0004; the last has none.
    """
    n = 1000
    efc, rng = EFC(), Rng.enrol(0, 0, n)
    rates = torch.from_numpy(np.exp(np.random.RandomState(0).normal(math.log(0.077), 1, 30))).float()
    state = efc.enrol(rng)._replace(rate=rates.expand(n, -1).contiguous())
    assert session(efc, state, rng, choose).mean().item() == pytest.approx(mean, abs=slack)


@pytest.mark.parametrize(
    ("student", "choose", "mean"),
    [
        (EFC(), anything, 0.325),
        (EFC(), round_robin, 0.386),
        (HLRCards(), anything, 0.361),
        (HLRCards(), round_robin, 0.359),
        (HLRCards(), nearest(0.4), 0.607),
        (DASH(), anything, 0.227),
    ],
)
def test_means_of_reddys_students(student: Student, choose: Choice, mean: float) -> None:
    """Against figures over 8 draws of a student (DASH: 3) whose first review was not in the past but now."""
    rng = Rng.enrol(0, 0, 300)
    per_draw = session(student, student.enrol(rng), rng, choose).mean(1)
    draws = 3 if isinstance(student, DASH) else 8
    assert per_draw.mean().item() == pytest.approx(mean, abs=2 * per_draw.std().item() / math.sqrt(draws) + 0.003)


def test_recall_never_exceeds_one_though_the_published_hlr_did() -> None:
    for kind in KINDS:
        student, rng = kind(), Rng.enrol(0, 0, 200)
        state = student.enrol(rng)
        for t in range(30):
            p = student.mastery(state)
            assert 0 <= p.min() <= p.max() <= 1
            state, _ = student.answer(state, (rng.learner + t) % 2, rng.at(t))
    for student in (EFC(), HLRCards(), DASH()):
        assert (student.enrol(Rng.enrol(1, 0, 500)).age > 0).all()  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ laws


def test_efc_law() -> None:
    efc, rng = EFC(), Rng.enrol(0, 0, 4000)
    state = efc.enrol(rng)
    assert state.rate.log().mean().item() == pytest.approx(math.log(0.077), abs=0.01)
    assert state.rate.log().std().item() == pytest.approx(1.0, abs=0.01)
    assert state.age.log().mean().item() == pytest.approx(0.0, abs=0.01)
    assert np.corrcoef(state.age.log().flatten(), state.rate.log().flatten())[0, 1] == pytest.approx(0, abs=0.01)
    one = EFCState(torch.tensor([[0.1, 0.2]]), torch.tensor([[1.0, 3.0]]), torch.tensor([[4.0, 6.0]]))
    assert efc.mastery(one)[0].tolist() == pytest.approx([math.exp(-0.4), math.exp(-0.4)], rel=1e-6)
    after, _ = efc.answer(one, torch.tensor([1]), Rng.enrol(0, 0, 1))
    assert after.strength.tolist() == [[1, 4]]
    assert after.age.tolist() == [[4, 0]]


def test_hlr_law() -> None:
    cards, rng = HLRCards(), Rng.enrol(0, 0, 1)
    state = cards.enrol(rng)._replace(right=torch.full((1, 30), 2.0), wrong=torch.full((1, 30), 3.0))
    expected = torch.exp(-state.age / torch.exp(5.0 + 2.0 + state.easiness))  # 5 reviews, 2 right
    torch.testing.assert_close(cards.mastery(state), expected)
    after, response = cards.answer(state, torch.tensor([7]), rng)
    assert after.right[0, 7] + after.wrong[0, 7] == 6
    assert after.right[0, 7] == 2 + response.correct
    many = state._replace(right=torch.full((1, 30), 1e4))
    assert (cards.mastery(many) == 1).all()


def test_dash_law() -> None:
    dash, rng = DASH(items=2), Rng.enrol(5, 0, 1)
    state = dash.enrol(rng)
    right, reviews = np.zeros((2, 5)), np.zeros((2, 5))
    for t in range(130):
        card = t % 2
        state, response = dash.answer(state, torch.tensor([card]), rng.at(t))
        reviews[card, t // 40] += 1
        right[card, t // 40] += response.correct.item()
        state = dash.elapse(state, torch.tensor([0.5]), rng.at(t))
    weight = 1 / np.arange(5, 0, -1.0) ** 2
    over = np.arange(5) < 130 // 40
    logit = -state.difficulty[0].numpy() + ((np.log1p(right) + np.log1p(reviews)) * weight * over).sum(1)
    lag = 1 + state.rate.item() * np.array([1.0, 0.5])
    expected = 1 / (1 + np.exp(-logit)) * lag ** -state.exponent[0].numpy()
    assert dash.mastery(state)[0].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_dash_traits() -> None:
    state = DASH().enrol(Rng.enrol(0, 0, 4000))
    assert state.difficulty.mean().item() == pytest.approx(1.0, abs=0.01)
    assert state.difficulty.std().item() == pytest.approx(1.0, abs=0.01)
    assert (-state.exponent.log()).log().median().item() == pytest.approx(1.0, abs=0.02)
    assert state.rate.log().std().item() == pytest.approx(0.01, abs=0.001)
    assert state.age.log().std().item() == pytest.approx(0.01, abs=0.001)


def test_actr_law() -> None:
    """Three presentations of one card, by hand."""
    actr, rng = ACTR(items=2, spread=0.0, seconds=30.0), Rng.enrol(0, 0, 1)
    state = actr.enrol(rng)
    assert actr.mastery(state).tolist() == [[0, 0]]  # never seen, never recalled
    traces: list[tuple[float, float]] = []
    now = 0.0
    for days in (0.0, 2.0, 9.0):
        activation = math.log(sum((now - t) ** -d for t, d in traces)) if traces else -math.inf
        p = 1 / (1 + math.exp((-0.704 - activation) / 0.255)) if traces else 0.0
        assert actr.mastery(state)[0, 1].item() == pytest.approx(p, abs=1e-5)
        traces.append((now, 0.217 * math.exp(activation) + 0.177))
        state, _ = actr.answer(state, torch.tensor([1]), rng)
        state = actr.elapse(state, torch.tensor([days]), rng)
        now += 30.0 + 86400 * 0.025 * days
    activation = math.log(sum((now - t) ** -d for t, d in traces))
    assert actr.mastery(state)[0, 1].item() == pytest.approx(
        1 / (1 + math.exp((-0.704 - activation) / 0.255)), abs=1e-5
    )
    assert actr.mastery(state)[0, 0] == 0


def test_actr_forgets_the_oldest_traces_outright() -> None:
    few, many = ACTR(items=1, traces=3, spread=0.0), ACTR(items=1, traces=30, spread=0.0)
    rng = Rng.enrol(0, 0, 1)
    card = torch.zeros(1, dtype=torch.int64)
    a, b = few.enrol(rng), many.enrol(rng)
    for t in range(10):
        a, b = (s.elapse(s.answer(x, card, rng.at(t))[0], torch.ones(1), rng) for s, x in ((few, a), (many, b)))
        if t < 3:
            assert few.mastery(a).item() == pytest.approx(many.mastery(b).item(), rel=1e-6)
    assert few.mastery(a) < many.mastery(b)
    day = 60.0 + 86400 * 0.025
    assert sorted(a.age[0, 0].tolist()) == pytest.approx([day, 2 * day, 3 * day])  # the latest three


def test_mcm_law() -> None:
    """Two reviews of one card, in NumPy."""
    mcm, rng = MCM(items=1, spread=0.0), Rng.enrol(0, 0, 400)
    state = mcm.enrol(rng)
    card = torch.zeros(400, dtype=torch.int64)
    state, response = mcm.answer(state, card, rng)
    assert not response.correct.any()
    assert (mcm.mastery(state) == 1).all()
    state = mcm.elapse(state, torch.full((400,), 20.0), rng)
    i = np.arange(1, 101)
    tau, gamma = 2.57 * 1.064**i, 0.981**i
    trace = np.exp(-20 / tau)
    share = np.cumsum(trace * gamma) / np.cumsum(gamma)
    assert mcm.mastery(state)[0, 0].item() == pytest.approx(share[-1], abs=1e-5)
    state, response = mcm.answer(state, card, rng.at(1))
    assert response.correct.mean().item() == pytest.approx(
        share[-1], abs=4 * math.sqrt(share[-1] * (1 - share[-1]) / 400)
    )
    state = mcm.elapse(state, torch.full((400,), 60.0), rng)
    for right, step in ((True, 9.0), (False, 1.0)):
        after = (trace + step * (1 - share)) * np.exp(-60 / tau)
        expected = min(1.0, (after * gamma).sum() / gamma.sum())
        mine = mcm.mastery(state)[response.correct.bool() == right]
        assert mine[:, 0].tolist() == pytest.approx([expected] * len(mine), abs=1e-5)


def test_mcm_forgets_along_the_curve_it_was_fitted_to() -> None:
    days = torch.tensor([0.5, 1.0, 5.0, 20.0, 60.0, 200.0])
    mcm, rng = MCM(items=1, spread=0.0), Rng.enrol(0, 0, 6)
    state, _ = mcm.answer(mcm.enrol(rng), torch.zeros(6, dtype=torch.int64), rng)
    recalled = mcm.mastery(mcm.elapse(state, days, rng))[:, 0]
    torch.testing.assert_close(recalled, 0.97 * (1 + 0.16 * days) ** -0.62, atol=0.05, rtol=0)


# ---------------------------------------------------------------------------------------------- spacing experiment


def after_gaps(student: Student, gaps: Tensor, delay: float, reviews: tuple[int, int], learners: int) -> Tensor:
    """Return mean recall `delay` days after the second of two sessions `gaps` apart (Cepeda et al. 2008)."""
    rng = Rng.enrol(0, 0, len(gaps) * learners)
    state, card, step = student.enrol(rng), torch.zeros(len(rng), dtype=torch.int64), 0
    for session_of, days in zip(
        reviews, (gaps.repeat_interleave(learners), torch.full((len(rng),), delay)), strict=True
    ):
        for _ in range(session_of):
            state, _ = student.answer(state, card, rng.at(step))
            step += 1
        state = student.elapse(state, days, rng.at(step))
    return student.mastery(state)[:, 0].view(len(gaps), learners).mean(1)


GAPS = torch.cat([torch.zeros(1), torch.logspace(-0.3, 2.48, 80)])
DELAYS = (7.0, 35.0, 70.0, 350.0)


def best_gaps(student: Student, reviews: tuple[int, int], learners: int) -> tuple[list[float], list[float]]:
    """Return the best gap of each delay, in days, and what it gains over no gap."""
    recalled = [after_gaps(student, GAPS, delay, reviews, learners) for delay in DELAYS]
    return [GAPS[r.argmax()].item() for r in recalled], [(r.max() / r[0] - 1).item() for r in recalled]


def test_efc_shows_no_spacing_effect() -> None:
    for delay in DELAYS:
        recalled = after_gaps(EFC(items=1), GAPS, delay, (1, 2), 1)
        assert torch.equal(recalled, after_gaps(EFC(items=1), torch.zeros_like(GAPS), delay, (1, 2), 1))


def test_hlr_shows_no_spacing_effect() -> None:
    """No gap at all is best, whatever the delay."""
    for delay in DELAYS:
        recalled = after_gaps(HLRCards(items=1), GAPS[::8], delay, (1, 2), 4000)
        assert recalled.argmax() == 0
        assert recalled[-1] < recalled[0] - 0.005


def test_actr_has_the_published_ridge() -> None:
    """Three, then two presentations, about 12 minutes apart: best gaps 2.4, 14, 30 and 135 days; gains 8 to 120 %."""
    best, gain = best_gaps(ACTR(items=1, spread=0.0, seconds=720.0), (3, 2), 1)
    assert best == pytest.approx([2.4, 14, 30, 135], rel=0.15)
    assert gain == pytest.approx([0.08, 0.41, 0.61, 1.20], abs=0.07)
    assert best[-1] / 350 > 0.3  # people: 5-10 % of a year's delay


def test_mcm_has_the_published_ridge() -> None:
    """One study, two tests with feedback: a step of 3 has best gaps 2, 15, 19 and 26 days, one of 9 peaks early."""
    best, gain = best_gaps(MCM(items=1, spread=0.0, right=3.0), (1, 2), 500)
    assert best == pytest.approx([2.0, 15, 19, 26], rel=0.3)
    assert gain == pytest.approx([0.57, 1.10, 1.10, 1.10], abs=0.08)
    early, _ = best_gaps(MCM(items=1, spread=0.0), (1, 2), 100)
    assert early[1] < 5 < best[1]


# ------------------------------------------------------------------------------------------------ properties


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(first=st.floats(0, 200), second=st.floats(0, 200), seed=st.integers(0, 1000))
def test_days_add_up_and_never_help(kind: Any, first: float, second: float, seed: int) -> None:
    student, rng = kind(items=4), Rng.enrol(seed, 0, 3)
    state = student.enrol(rng)
    for t in range(6):
        state, _ = student.answer(state, (rng.learner + t) % 3, rng.at(t))
        state = student.elapse(state, torch.full((3,), 0.7), rng.at(t))
    a, b = torch.full((3,), first), torch.full((3,), second)
    between, end = student.elapse(state, a, rng), student.elapse(state, a + b, rng)
    twice = student.elapse(between, b, rng)
    for x, y in zip(twice, end, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)
    assert (student.mastery(between) <= student.mastery(state)).all()
    assert (student.mastery(end) <= student.mastery(between) + 1e-6).all()
    assert student.mastery(end).min() >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_is_the_same_in_any_batch(kind: Any) -> None:
    def live(rng: Rng) -> Any:
        student = kind()
        state = student.enrol(rng)
        for t in range(25):
            state, _ = student.answer(state, (rng.learner + t // 3) % 30, rng.at(t))
            state = student.elapse(state, 1.0 + rng.learner % 5, rng.at(t))
        return (*state, student.mastery(state))

    everyone = Rng.enrol(9, 0, 130)
    whole = live(everyone)
    for index in (torch.tensor([5]), torch.tensor([77, 3]), torch.arange(129, -1, -1), torch.arange(40, 57)):
        part = live(take(everyone, index))
        assert all(torch.equal(a, b[index]) for a, b in zip(part, whole, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_catalogue_and_settings(kind: Any) -> None:
    student = kind(items=7)
    assert len(student.catalog.skill_ids) == len(student.catalog.activity_ids) == 7
    assert replace(student, items=3).catalog.activity_ids == ("review 0", "review 1", "review 2")
    assert student.fit(None, None) is student
    with pytest.raises(ValueError, match=f"{kind.__name__}: items is 0"):
        kind(items=0)


@pytest.mark.parametrize("bad", [lambda: DASH(windows=0), lambda: ACTR(seconds=0.0), lambda: MCM(mu=-1.0)])
def test_bad_settings_are_named(bad: Callable[[], Student]) -> None:
    with pytest.raises(ValueError, match=r"give 1 or more|above 0"):
        bad()
