"""Budgets: kept on average, paid for by a price that rises and falls, and carried through a stop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from trailmark.agents.lagrangian import Lagrangian
from trailmark.agents.loop import gather, train
from trailmark.agents.ppo import PPO
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.outcomes import Outcome
from trailmark.envs.student import Response, Student


@dataclass(frozen=True)
class Dear(Outcome):
    """1 for the activity that pays well."""

    title: ClassVar[str] = "Dear"
    unit: ClassVar[str] = "units"

    def __call__(self, student: Student, start: Any, before: Any, response: Response, after: Any) -> Tensor:
        cost: Tensor = (after.paid > 0.8).float()
        return cost


@pytest.fixture
def world(probe: Callable[..., World]) -> World:
    """Return a world in which the activity that pays 1 costs 1, and the other pays .5 and costs nothing."""
    plain = probe([[1.0, 0.5]], horizon=2)
    return replace(plain, outcomes={**plain.outcomes, "dear": Dear()}, watch=("dear",))


def agent_of(world: World, seed: int = 1, **budgets: float) -> Lagrangian:
    return Lagrangian(PPO(world.observer.space, seed, (16,), rate=0.01, minibatches=4), budgets, rate=0.05)


def costs(world: World, agent: Lagrangian, cohorts: int = 120) -> list[float]:
    return [metrics["cost_dear"] for metrics in train(world, agent, 0, 64, 0, cohorts)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_budget_is_kept_on_average(world: World, seed: int) -> None:
    agent = agent_of(world, seed, dear=0.6)
    spent = costs(world, agent)
    assert max(spent[:40]) > 1.0, "at first it takes what pays"
    assert sum(spent[-60:]) / 60 == pytest.approx(0.6, abs=0.05)


def test_a_budget_that_is_never_reached_costs_nothing(world: World) -> None:
    agent = agent_of(world, dear=5.0)
    assert costs(world, agent, 30)[-1] > 1.8
    assert float(agent._price) == 0.0


def test_the_wrapped_agent_sees_the_reward_less_the_price(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = agent_of(world, dear=0.5)
    seen: list[Tensor] = []
    monkeypatch.setattr(agent.agent, "learn", lambda steps, seed: (seen.append(steps.reward), {})[1])
    steps = gather(Classroom(world, 0, 0, 8), agent.behave(), 2)
    overrun = float(steps.values["dear"].sum(1).mean()) / 0.5 - 1.0
    assert overrun > 0
    unit = float(steps.reward.sum(1).square().mean().sqrt()) / 0.5
    for n in (1, 2):  # what was used too much in all calls, and what is now
        metrics = agent.learn(steps, n)
        price = (0.05 * n + 0.5) * overrun * unit
        torch.testing.assert_close(seen[-1], steps.reward - price * steps.values["dear"])
        assert metrics["price_dear"] == pytest.approx(price)


def test_it_goes_on_after_a_stop_as_if_never_stopped(world: World) -> None:
    one, other = agent_of(world, dear=0.6), agent_of(world, dear=0.6)
    first = list(train(world, one, 0, 32, 0, 6))
    list(train(world, other, 0, 32, 0, 3))
    resumed = agent_of(world, dear=0.6)
    resumed.restore(other.state())
    assert list(train(world, resumed, 0, 32, 3, 6)) == first[3:]
    assert float(one._price) > 0


def test_what_cannot_be_kept_is_refused(world: World, probe: Callable[..., World]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        agent_of(world, dear=0.0)
    with pytest.raises(ValueError, match="whole sessions"):
        Lagrangian(PPO(world.observer.space, chunk=1), {"dear": 1.0})
    unwatched = replace(world, watch=())
    with pytest.raises(ValueError, match="watch"):
        costs(unwatched, agent_of(unwatched, dear=1.0), 1)
    with pytest.raises(ValueError, match="watched"):
        replace(world, watch=("nothing",))
