"""Returns: tables worked by hand, and the definitions written as sums."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trailmark.agents.returns import discounted_returns, generalised_advantages, lambda_returns

R_T = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
V_TM1 = torch.tensor([[0.5, 1.0, 1.5]]).expand(3, 3)
V_T = torch.tensor([[1.0, 1.5, 2.0]]).expand(3, 3)
ENDED_T = torch.tensor([[False, False, True], [False, True, False], [False, False, False]])
# TD errors with discount 1/2, which the three rows share where nothing ends: 1, 1.75 (1 where ended), 2.5 (1.5 ended).
GAE = torch.tensor([[1.53125, 2.125, 1.5], [1.25, 1.0, 2.5], [1.59375, 2.375, 2.5]])  # lambda 1/2
TD = torch.tensor([[1.0, 1.75, 1.5], [1.0, 1.0, 2.5], [1.0, 1.75, 2.5]])  # lambda 0
RETURNS = torch.tensor([[2.75, 3.5, 3.0], [2.0, 2.0, 5.0], [3.25, 4.5, 5.0]])  # bootstrap 4


@pytest.mark.parametrize(("lambda_", "expected"), [(0.5, GAE), (0.0, TD), (1.0, RETURNS)])
def test_advantages_of_the_table(lambda_: float, expected: torch.Tensor) -> None:
    if lambda_ == 1.0:  # the TD errors telescope: the return, the last value its bootstrap, less the value before
        last = 0.5 ** torch.tensor([3.0, 2.0, 1.0]) * (V_T[0, 2] - 4.0)
        goes_on = ENDED_T.flip(1).cumsum(1).flip(1) == 0
        expected = expected + goes_on * last - V_TM1
    found = generalised_advantages(R_T, V_TM1, V_T, ENDED_T, 0.5, lambda_)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_returns_of_the_table() -> None:
    found = discounted_returns(R_T, ENDED_T, torch.full((3,), 4.0), 0.5)
    torch.testing.assert_close(found, RETURNS, rtol=0, atol=0)


def test_arguments_are_left_as_they_were() -> None:
    columns = [R_T.clone(), V_TM1.clone(), V_T.clone()]
    bootstrap = torch.full((3,), 4.0)
    generalised_advantages(*columns, ENDED_T, 0.5, 0.5)
    discounted_returns(columns[0], ENDED_T, bootstrap, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(columns, (R_T, V_TM1, V_T), strict=True))
    assert torch.equal(bootstrap, torch.full((3,), 4.0))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_both_equal_their_definitions(seed: int, T: int, discount: float, lambda_: float, ends: float) -> None:
    chance = np.random.default_rng(seed)
    r, before, after = chance.normal(size=(3, 2, T))
    ended, bootstrap = chance.random((2, T)) < ends, chance.normal(size=2)
    advantages, returns = np.zeros((2, T)), np.zeros((2, T))
    for b in range(2):
        for t in range(T):
            for s in range(t, T):  # everything up to the first end
                goes_on = not ended[b, s]
                error = r[b, s] + discount * goes_on * after[b, s] - before[b, s]
                advantages[b, t] += (discount * lambda_) ** (s - t) * error
                returns[b, t] += discount ** (s - t) * r[b, s]
                if not goes_on:
                    break
            else:
                returns[b, t] += discount ** (T - t) * bootstrap[b]
    to = torch.from_numpy
    found = generalised_advantages(to(r), to(before), to(after), to(ended), discount, lambda_)
    np.testing.assert_allclose(found.numpy(), advantages, rtol=0, atol=1e-12)
    found = discounted_returns(to(r), to(ended), to(bootstrap), discount)
    np.testing.assert_allclose(found.numpy(), returns, rtol=0, atol=1e-12)


def test_lambda_returns_lie_between_one_step_and_the_whole_sum() -> None:
    bootstrap = torch.tensor([4.0, 4.0, 4.0])
    one_step = lambda_returns(R_T, V_T, ENDED_T, bootstrap, 0.5, 0.0)
    torch.testing.assert_close(one_step, torch.tensor([[1.5, 2.75, 3.0], [1.5, 2.0, 4.0], [1.5, 2.75, 4.0]]))
    whole = lambda_returns(R_T, V_T, ENDED_T, bootstrap, 0.5, 1.0)
    torch.testing.assert_close(whole, discounted_returns(R_T, ENDED_T, bootstrap, 0.5))
    # Row 1 by hand: 3 + .5 (.5 * 2 + .5 * 4) = 4.5; 2 (ended); 1 + .5 (.5 * 1 + .5 * 2) = 1.75.
    half = lambda_returns(R_T, V_T, ENDED_T, bootstrap, 0.5, 0.5)
    torch.testing.assert_close(half[1], torch.tensor([1.75, 2.0, 4.5]))


def test_lambda_returns_are_advantages_plus_values() -> None:
    """The two recursions say the same where the values are of one function (Sutton and Barto 2018, equation 12.2)."""
    chance = torch.Generator().manual_seed(0)
    reward, value = torch.randn(3, 5, generator=chance), torch.randn(3, 6, generator=chance)
    ended = torch.rand(3, 5, generator=chance) < 0.3
    found = lambda_returns(reward, value[:, 1:], ended, value[:, -1], 0.9, 0.7)
    advantages = generalised_advantages(reward, value[:, :-1], value[:, 1:], ended, 0.9, 0.7)
    torch.testing.assert_close(found, advantages + value[:, :-1])
