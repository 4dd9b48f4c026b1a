"""Five worlds so small that only one thing can be learnt in each; whoever fails one has that one fault."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trailmark.agents.a2c import A2C
from trailmark.agents.agent import Agent
from trailmark.agents.cem import CEM
from trailmark.agents.dqn import DQN
from trailmark.agents.gru_net import RecurrentEncoder
from trailmark.agents.linucb import LinUCB, LinUCBPolicy, contexts
from trailmark.agents.loop import live, play, train
from trailmark.agents.ppo import PPO
from trailmark.agents.pqn import PQN
from trailmark.agents.sac import SAC
from trailmark.agents.set_net import SetEncoder
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Space

Probe = Callable[..., World]


def ppo(space: Space) -> Agent:
    return PPO(space, seed=1, hidden=(16,), rate=0.01, minibatches=4)


def linucb(space: Space) -> Agent:
    return LinUCB(space, alpha=1.0)  # as wide as what there is to earn: less would never try what looks worse


def dqn(space: Space) -> Agent:
    return DQN(space, seed=1, hidden=(16,), rate=0.01, batch=64, explore_last=0.3)


def dqn_by_priority(space: Space) -> Agent:
    return DQN(space, seed=1, hidden=(16,), rate=0.01, batch=64, explore_last=0.3, priority=0.6, n_steps=1)


def pqn(space: Space) -> Agent:
    return PQN(space, seed=1, hidden=(16,), rate=0.01, minibatches=4, explore_last=0.3)


def a2c(space: Space) -> Agent:
    return A2C(space, seed=1, hidden=(16,), rate=0.02)


def a2c_step_by_step(space: Space) -> Agent:
    return A2C(space, seed=1, hidden=(16,), rate=0.02, chunk=1)


def sac(space: Space) -> Agent:
    return SAC(space, seed=1, hidden=(16,), rate=0.01, batch=64, target=0.2)


def ppo_apart(space: Space) -> Agent:
    return PPO(space, 1, (16,), shared=False, tanh=True, half=False, rate=0.01, minibatches=4)


def ppo_set(space: Space) -> Agent:
    return PPO(space, seed=1, rate=0.01, minibatches=4, encoder=SetEncoder(hidden=8))


def ppo_recurrent(space: Space) -> Agent:
    return PPO(space, seed=1, rate=0.01, minibatches=4, encoder=RecurrentEncoder(4, 8, (16,)))


def cem(space: Space) -> Agent:
    return CEM(space, seed=1, candidates=16, fade=10)


DEEP = (ppo, ppo_apart, ppo_set, ppo_recurrent, dqn, dqn_by_priority, pqn, a2c, a2c_step_by_step, sac)
searching = pytest.mark.parametrize("make", [*DEEP, cem])
both = pytest.mark.parametrize("make", [*DEEP, linucb, cem])


def taught(world: World, make: Callable[[Space], Agent], cohorts: int = 25, learners: int = 64) -> Agent:
    agent = make(world.observer.space)
    for _ in train(world, agent, 0, learners, 0, cohorts):
        pass
    return agent


def first_choices(world: World, agent: Agent) -> tuple[Tensor, Tensor]:
    """Return the kind of 64 fresh learners, and the probabilities of what they are given first."""
    room = Classroom(world, 99, 0, 64)
    return room.state.kind, agent.decide()(room.observation)


def test_one_action_always_paid_the_critic_learns_its_worth(probe: Probe) -> None:
    world = probe([[2.5]], horizon=2)
    agent = PPO(world.observer.space, hidden=(16,), rate=0.01, minibatches=4, discount=0.9)
    for _ in train(world, agent, 0, 64, 0, 30):
        pass
    room = Classroom(world, 99, 0, 8)
    unit = agent._spread**0.5
    worth = []
    for _ in range(2):
        with torch.no_grad():
            worth.append(agent._net(room.observation.features)[:, -1] * unit)
        room.step(torch.zeros(8, dtype=torch.int64))
    torch.testing.assert_close(worth[0], torch.full((8,), 2.5 + 0.9 * 2.5), rtol=0.03, atol=0)
    torch.testing.assert_close(worth[1], torch.full((8,), 2.5), rtol=0.03, atol=0)


def test_one_action_always_paid_the_bandit_learns_its_worth(probe: Probe) -> None:
    world = probe([[2.5]])
    agent = taught(world, linucb)
    policy = agent.decide()
    assert isinstance(policy, LinUCBPolicy)
    x = contexts(policy.space, Classroom(world, 99, 0, 8).observation)
    torch.testing.assert_close((x @ policy.theta[0])[:, 0], torch.full((8,), 2.5), rtol=0.01, atol=0)


def value_of(agent: Agent, room: Classroom) -> Tensor:
    """Return (B,), what the critic says that the one activity there is is worth."""
    x = room.observation.features
    with torch.no_grad():
        match agent:
            case DQN():
                return agent._values(agent._net, x)[:, 0]
            case PQN():
                return agent._net(x)[:, 0]
            case A2C():
                return agent._critic(x)[:, 0]
            case SAC():
                return torch.minimum(*(critic(x)[:, 0] for critic in agent._critics))
    raise AssertionError(agent)


@pytest.mark.parametrize("make", [dqn, dqn_by_priority, pqn, a2c, a2c_step_by_step, sac])
def test_one_action_always_paid_every_critic_learns_its_worth(probe: Probe, make: Callable[[Space], Agent]) -> None:
    world = probe([[2.5]], horizon=2)
    agent = make(world.observer.space)
    agent.discount = 0.9
    for _ in train(world, agent, 0, 64, 0, 200 if agent.chunk == 1 else 60):
        pass
    room = Classroom(world, 99, 0, 8)
    worth = []
    for _ in range(2):
        worth.append(value_of(agent, room) * agent._spread**0.5)
        room.step(torch.zeros(8, dtype=torch.int64))
    torch.testing.assert_close(worth[0], torch.full((8,), 2.5 + 0.9 * 2.5), rtol=0.05, atol=0)
    torch.testing.assert_close(worth[1], torch.full((8,), 2.5), rtol=0.05, atol=0)


@both
@pytest.mark.parametrize("best", [0, 1])
def test_the_better_of_two_is_found(probe: Probe, make: Callable[[Space], Agent], best: int) -> None:
    world = probe([[0.9, 0.1] if best == 0 else [0.1, 0.9]])
    agent = taught(world, make)
    assert float(first_choices(world, agent)[1][:, best].min()) > 0.9


@both
def test_the_better_one_depends_on_what_is_seen(probe: Probe, make: Callable[[Space], Agent]) -> None:
    """Each kind of learner has another goal skill, which PPO sees as features and LinUCB in its contexts."""
    world = probe([[1.0, 0.0], [0.0, 1.0]])
    agent = taught(world, make, cohorts=60)
    kind, p = first_choices(world, agent)
    assert set(kind.tolist()) == {0, 1}
    assert float(p.gather(1, kind[:, None]).min()) > 0.9


@searching
def test_pay_that_comes_two_steps_later_is_traced_back(probe: Probe, make: Callable[[Space], Agent]) -> None:
    world = probe([[0.0, 1.0]], horizon=3, delay=2)
    rewards = torch.stack(
        [turn.moment.reward for turn in live(Classroom(world, 0, 0, 64), ppo(world.observer.space).behave())]
    )
    assert bool((rewards[:2] == 0).all())
    assert 0.2 < float(rewards[2].mean()) < 0.8
    agent = taught(world, make, cohorts=50)
    assert float(first_choices(world, agent)[1][:, 1].min()) > 0.9
    assert float(play(world, agent.decide(), 5, 200).values["pay"].mean()) > 0.9


@both
def test_when_the_best_is_forbidden_the_best_allowed_is_chosen(probe: Probe, make: Callable[[Space], Agent]) -> None:
    world = probe([[1.0, 0.2, 0.6]], forbid=0)
    agent = taught(world, make)
    p = first_choices(world, agent)[1]
    assert bool((p[:, 0] == 0).all())
    assert float(p[:, 2].min()) > 0.9
    assert play(world, agent.decide(), 5, 100).legal_rate == 1.0
