"""Choosing: drawing from probabilities, greedy choices, and the masked softmax."""

import math

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from trailmark.agents.agent import greedy, sample, softmax, uniform
from trailmark.envs.rng import Purpose, Rng

LAST = 1.0 - 2.0**-24  # the largest uniform there is


@given(st.data())
def test_nothing_masked_is_ever_drawn(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 9))
    weight = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.sampled_from([1e-30, 1e-7, 1.0]))
    weights = data.draw(st.lists(weight, min_size=n, max_size=n).filter(lambda w: sum(w) > 1e-9))
    p = (torch.tensor(weights, dtype=torch.float64) / math.fsum(weights)).float()[None]
    u = data.draw(st.one_of(st.sampled_from([0.0, 2.0**-24, 0.5, LAST]), st.floats(0, LAST, width=32)))
    drawn = sample(p, torch.tensor([u], dtype=torch.float32))
    assert drawn.dtype == torch.int64
    assert 0 <= int(drawn) < n
    assert float(p[0, int(drawn)]) > 0.0


@pytest.mark.parametrize("u", [0.0, LAST])
def test_the_ends_of_chance_find_what_is_allowed(u: float) -> None:
    p = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.3, 0.7, 0.0], [1.0, 0.0, 0.0]])
    low, high = [1, 1, 0, 0], [1, 2, 1, 0]
    assert sample(p, torch.full((4,), u)).tolist() == (low if u == 0.0 else high)


def test_draws_are_by_inversion() -> None:
    p = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).expand(5, 4)
    u = torch.tensor([0.0, 0.2499999, 0.25, 0.74, 0.75])
    assert sample(p, u).tolist() == [0, 0, 2, 2, 3]


def test_draws_have_the_law_of_their_probabilities() -> None:
    p = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.04, 0.01])
    u = Rng.enrol(11, 0, 100_000).uniform(Purpose.ACT)[:, 0]
    counts = torch.bincount(sample(p.expand(len(u), -1), u), minlength=len(p))
    assert counts[1] == 0
    real = p > 0
    expected = p[real].double() / p.double().sum() * len(u)
    assert scipy.stats.chisquare(counts[real].numpy(), expected.numpy()).pvalue > 0.01


def test_probabilities_that_do_not_quite_sum_to_one_are_scaled() -> None:
    p = torch.tensor([[0.2, 0.2]]).expand(2, 2)
    assert sample(p, torch.tensor([0.49, 0.51])).tolist() == [0, 1]


def test_uniform_is_equal_over_what_is_allowed() -> None:
    mask = torch.tensor([[True, False, True, True], [False, True, False, False]])
    third = 1.0 / 3.0
    torch.testing.assert_close(uniform(mask), torch.tensor([[third, 0, third, third], [0, 1.0, 0, 0]]))


def test_greedy_takes_the_first_of_equals_that_is_allowed() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 3.0], [1.0, 3.0, 3.0, 3.0], [-5.0, -1.0, 0.0, 9.0]])
    mask = torch.tensor([[True, True, True, True], [True, False, True, True], [True, False, False, False]])
    assert torch.equal(greedy(scores, mask), torch.eye(4)[[1, 2, 0]])


def test_softmax_is_exactly_zero_where_masked_and_right_elsewhere() -> None:
    logits = torch.tensor([[0.0, 50.0, math.log(3.0)]])
    p = softmax(logits, torch.tensor([[True, False, True]]))
    assert float(p[0, 1]) == 0.0
    torch.testing.assert_close(p, torch.tensor([[0.25, 0.0, 0.75]]))


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_softmax_survives_huge_logits(shift: float) -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]]) + shift
    p = softmax(logits, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(p, torch.tensor([[1 / (1 + math.e), math.e / (1 + math.e), 0.0]]), atol=1e-3, rtol=0)
    far = softmax(torch.tensor([[1e4, -1e4, 3e38]]), torch.tensor([[True, True, False]]))
    assert torch.equal(far, torch.tensor([[1.0, 0.0, 0.0]]))


def test_gradients_of_the_softmax_stay_finite_and_leave_the_masked_alone() -> None:
    logits = torch.tensor([[1e4, -1e4, 5.0]], requires_grad=True)
    softmax(logits, torch.tensor([[True, True, False]]))[0, 0].backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    assert float(logits.grad[0, 2]) == 0.0
