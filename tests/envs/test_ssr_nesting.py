"""SSR's special cases are the models it is made from: IRT, AFM, PFA, Bayesian knowledge tracing, FSRS."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy import stats

from trailmark.envs.student import Response
from trailmark.envs.students.ssr import SSR
from trailmark.envs.students.ssr_acquisition import Acquisition
from trailmark.envs.students.ssr_kinds import Kind
from trailmark.envs.students.ssr_memory import Memory
from trailmark.envs.students.ssr_population import Material, Population
from trailmark.envs.validity.laboratory import UNIFORM, Visit, material, participants
from trailmark.envs.validity.mastery import GUESS, SLIP, two_state

ONE = material(1, (("practice", 2.0),))
ITEMS = material(3, (("practice", 2.0),), items=4)


def test_without_forgetting_it_is_item_response_theory() -> None:
    """Three-parameter logistic with an upper asymptote, for every learner and item."""
    student = participants(
        ITEMS, {"practice": Kind()}, SSR(memory=Memory(forgets=False)), Population(), Material(seed=3)
    )
    visit = Visit.of(student, 500, 0).wait(400.0)
    traits = student.on(torch.device("cpu")).traits
    assert float(traits.slope.std()) > 0.1
    for item in range(12):
        skill = item % 3
        theta = visit.state.strength[:, skill].double()
        b = float(traits.difficulty[skill] + traits.item[item])
        expected = 0.10 + 0.85 / (1 + torch.exp(-float(traits.slope[item]) * (theta - b)))
        p = student.p_correct(visit.state, torch.full((500,), item)).double()
        torch.testing.assert_close(p, expected, rtol=0, atol=1e-6)


def test_without_challenge_and_feedback_strength_is_additive_factors() -> None:
    """AFM: the same logits for each opportunity, right or wrong, times the learner's and the skill's rate."""
    like = SSR(acquisition=Acquisition(kappa=0.0, feedback=False), memory=Memory(forgets=False))
    student = participants(ITEMS, {"practice": Kind()}, like, Population(), Material(seed=3))
    start = visit = Visit.of(student, 300, 1)
    for t in range(9):
        visit, _ = visit.give(3 * (t % 4))  # items of skill 0
    rate = student.on(torch.device("cpu")).traits.rate
    gained = visit.state.strength - start.state.strength
    torch.testing.assert_close(gained[:, 0], 9 * 0.15 * start.state.rate * rate[0], rtol=1e-4, atol=1e-5)
    assert not bool(gained[:, 1:].any())


def test_without_challenge_strength_is_performance_factors() -> None:
    """PFA: a right answer adds its weight, a wrong one another."""
    like = SSR(acquisition=Acquisition(kappa=0.0), memory=Memory(forgets=False))
    student = participants(ONE, {"practice": Kind()}, like, Population(rate_sd=0.0), UNIFORM)
    start = visit = Visit.of(student, 300, 1)
    right = torch.zeros(300)
    for _ in range(8):
        visit, response = visit.give(0)
        right = right + response.correct
    assert 0.2 < float(right.mean() / 8) < 0.95
    gained = (visit.state.strength - start.state.strength)[:, 0]
    torch.testing.assert_close(gained, 0.15 * (0.90 * right + 0.60 * (8 - right)), rtol=1e-4, atol=1e-5)


def test_two_strengths_are_bayesian_knowledge_tracing() -> None:
    """The sixteen patterns of four answers against the exact law of the hidden Markov chain, by chi-square."""
    prior, learn, n = 0.4, 0.2, 20_000
    visit = Visit.of(two_state(ONE, SSR(), prior, learn), n, 6)
    pattern = torch.zeros(n, dtype=torch.int64)
    for _ in range(4):
        visit, response = visit.give(0)
        pattern = 2 * pattern + response.correct.long()
    kernel = np.array([[1 - learn, learn], [0.0, 1.0]])
    expected = np.zeros(16)
    for states in product((0, 1), repeat=4):
        path = prior if states[0] else 1 - prior
        for a, b in pairwise(states):
            path *= kernel[a, b]
        for i, answers in enumerate(product((0, 1), repeat=4)):
            right = [1 - SLIP if s else GUESS for s in states]
            expected[i] += path * np.prod([r if a else 1 - r for a, r in zip(answers, right, strict=True)])
    assert expected.sum() == pytest.approx(1.0)
    assert stats.chisquare(np.bincount(pattern.numpy(), minlength=16), expected * n).pvalue > 0.01


def test_two_state_learning_waits_for_prerequisites() -> None:
    visit = Visit.of(two_state(ONE, SSR(), 0.0, 0.5), 8000, 6)
    after, _ = visit.give(0)
    assert float(after.mastery().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(visit.mastery().max()) < 1e-6


FSRS = (0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629,
        1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542)  # fmt: skip


def fsrs(stability: torch.Tensor, days: float, recalled: torch.Tensor, difficulty: float) -> torch.Tensor:
    """The published update of stability at one difficulty, written out."""
    w = FSRS
    factor = 0.9 ** (-1 / w[20]) - 1
    r = (1 + factor * days / stability) ** -w[20]
    grown = stability * (1 + np.exp(w[8]) * (11 - difficulty) * stability ** -w[9] * (torch.exp(w[10] * (1 - r)) - 1))
    lost = w[11] * difficulty ** -w[12] * ((stability + 1) ** w[13] - 1) * torch.exp(w[14] * (1 - r))
    return torch.where(recalled, grown, torch.minimum(lost, stability))


def test_known_for_good_it_is_fsrs() -> None:
    """With M = 1 and FSRS-6's constants, stability follows FSRS-6 at difficulty 5 through a month of reviews."""
    d, w = 5.0, FSRS
    memory = Memory(
        decay=w[20], gain=float(np.exp(w[8]) * (11 - d)), damping=w[9], pull=w[10], working=0.0, tired=1.0,
        lapse=w[11] * d ** -w[12], lapse_power=w[13], lapse_pull=w[14],
    )  # fmt: skip
    population = Population(start=60.0, knowledge_sd=0.0, stability=4.0, prior=4.0, age=0.0)
    kinds = {"practice": Kind(recall=1.0, guess=0.0)}
    student = participants(ONE, kinds, SSR(memory=memory), population, replace(UNIFORM, slip=0.0))
    visit = Visit.of(student, 400, 2)
    seen: list[Response] = []
    for gap in (3.0, 8.0, 20.0):
        visit = visit.wait(gap)
        before, since = visit.state.stability[:, 0].double(), visit.state.now - visit.state.seen[:, 0]
        visit, response = visit.give(0)
        seen.append(response)
        expected = fsrs(before, since.double(), response.correct > 0.5, d)  # type: ignore[arg-type]
        torch.testing.assert_close(visit.state.stability[:, 0].double(), expected, rtol=2e-4, atol=1e-4)
        r = (1 + (0.9 ** (-1 / w[20]) - 1) * 30.0 / visit.state.stability[:, 0].double()) ** -w[20]
        later = visit.wait(30.0 - float((visit.state.now - visit.state.seen[:, 0]).mean()))
        torch.testing.assert_close(later.mastery()[:, 0].double(), r, rtol=1e-3, atol=1e-4)
    assert 0.05 < float(torch.stack([r.correct for r in seen]).mean()) < 0.95
