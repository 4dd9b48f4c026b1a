"""Logs made by formula, so that peers' numbers on the same arrays can stand in the tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Arrays:
    """Contexts, logged actions and two policies of n rounds (or n / T sessions of T steps) and A actions."""

    action: NDArray
    reward: NDArray
    propensity: NDArray
    behaviour: NDArray
    policy: NDArray
    model: NDArray


def arrays(n: int, a: int) -> Arrays:
    i, k = np.arange(n)[:, None], np.arange(a)[None, :]
    behaviour = np.exp(np.sin(1.7 * i + 2.3 * k))
    policy = np.exp(1.5 * np.cos(0.9 * i - 1.1 * k))
    behaviour, policy = (x / x.sum(1, keepdims=True) for x in (behaviour, policy))
    model = 0.5 + 0.4 * np.sin(0.3 * i + 0.7 * k)
    action = (np.arange(n) * 7 + np.arange(n) // 3) % a
    reward = 0.5 + 0.5 * np.sin(np.arange(n) * 0.37 + action)
    return Arrays(action, reward, behaviour[np.arange(n), action], behaviour, policy, model)


@pytest.fixture(scope="session")
def logged() -> Arrays:
    return arrays(240, 6)
