"""What holds for every agent: each yaml of configs/agent is an agent, and each is put through everything here."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import trailmark.configs
from trailmark.agents.agent import Agent, Policy, State, Steps
from trailmark.agents.baselines import RandomLegal
from trailmark.agents.loop import gather
from trailmark.envs import pack
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Observation, Space
from trailmark.envs.rows import take

Build = Callable[[str, Space], Agent]
Imagine = Callable[..., Observation]

NAMES = sorted(path.stem for path in Path(trailmark.configs.__path__[0], "agent").glob("*.yaml"))
every_agent = pytest.mark.parametrize("name", NAMES)


def test_there_are_agents_to_test() -> None:
    assert {"linucb", "ppo", "random"} <= set(NAMES)


@pytest.fixture(scope="module")
def batches(onboarding: World) -> list[Steps]:
    """Return four batches of ragged experience: half sessions of learners whose time ends at different steps."""
    found = []
    for seed in range(2):
        room = Classroom(onboarding, seed, 0, 24)
        policy = RandomLegal(onboarding.observer.space)
        found += [gather(room, policy, 20), gather(room, policy, 40)]
    assert any(not bool(steps.alive.all()) for steps in found)
    return found


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)


def check(policy: Policy, seen: Observation) -> None:
    p = policy(seen)
    assert p.shape == seen.mask.shape
    assert p.dtype == torch.float32
    assert bool((p >= 0).all())
    assert bool((p[~seen.mask] == 0).all())
    torch.testing.assert_close(p.sum(1), torch.ones(len(p)), rtol=0, atol=1e-5)


@every_agent
def test_probabilities_sum_to_one_and_are_zero_where_masked(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps]
) -> None:
    space = onboarding.observer.space
    fresh, learnt = build(name, space), build(name, space)
    learnt.learn(batches[0], 0)
    policies = [fresh.behave(), fresh.decide(), learnt.behave(), learnt.decide()]

    @settings(max_examples=15)
    @given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 7))
    def holds(seed: int, density: float, n: int) -> None:
        for policy in policies:
            check(policy, imagine(space, n, seed, density))

    holds()


@every_agent
def test_one_activity_masks_are_obeyed(name: str, build: Build, imagine: Imagine, onboarding: World) -> None:
    space = onboarding.observer.space
    only = torch.eye(space.n_activities, dtype=torch.bool)
    seen = imagine(space, space.n_activities, 3)._replace(mask=only)
    for policy in (build(name, space).behave(), build(name, space).decide()):
        assert torch.equal(policy(seen), only.float())


@every_agent
def test_the_same_seed_gives_the_same_agent(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps]
) -> None:
    space = onboarding.observer.space
    seen = imagine(space, 16, 5)
    first, second = build(name, space), build(name, space)
    for i, steps in enumerate(batches[:2]):
        assert first.learn(steps, i) == second.learn(steps, i)
    assert same(first.state(), second.state())
    assert torch.equal(first.decide()(seen), second.decide()(seen))
    policy = first.behave()
    assert torch.equal(policy(seen), policy(seen))


@every_agent
def test_a_decided_policy_does_not_learn_on(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps]
) -> None:
    agent = build(name, onboarding.observer.space)
    seen = imagine(onboarding.observer.space, 64, 6)
    agent.learn(batches[0], 0)
    policy, kept = agent.decide(), agent.state()
    before, copy = policy(seen), {key: value.clone() for key, value in kept.items()}
    for i in range(1, 4):
        agent.learn(batches[i], i)
    assert torch.equal(policy(seen), before)
    assert same(kept, copy), "the saved state changed with later learning"
    if kept:
        assert not same(agent.state(), kept), "learning changed nothing"


@every_agent
def test_a_stopped_agent_goes_on_as_if_never_stopped(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps], tmp_path: Path
) -> None:
    space = onboarding.observer.space
    seen = imagine(space, 64, 7)
    agent = build(name, space)
    for i in range(2):
        agent.learn(batches[i], i)
    pack.write(tmp_path / "checkpoint", {"cohort": 2}, agent.state())
    tree, state = pack.read(tmp_path / "checkpoint")
    assert tree == {"cohort": 2}
    resumed = build(name, space)
    resumed.restore(state)
    assert torch.equal(resumed.decide()(seen), agent.decide()(seen))
    assert torch.equal(resumed.behave()(seen), agent.behave()(seen))
    for i in range(2, 4):
        assert resumed.learn(batches[i], i) == agent.learn(batches[i], i)
    assert same(resumed.state(), agent.state())
    assert torch.equal(resumed.decide()(seen), agent.decide()(seen))


@every_agent
def test_restoring_leaves_nothing_of_what_was_learnt_since(
    name: str, build: Build, onboarding: World, batches: list[Steps]
) -> None:
    space = onboarding.observer.space
    agent, other = build(name, space), build(name, space)
    start = agent.state()
    agent.learn(batches[0], 0)
    agent.restore(start)
    assert same(agent.state(), other.state())
    agent.learn(batches[1], 1)
    other.learn(batches[1], 1)
    assert same(agent.state(), other.state())


@every_agent
def test_a_restored_state_is_a_copy(name: str, build: Build, onboarding: World, batches: list[Steps]) -> None:
    agent = build(name, onboarding.observer.space)
    agent.learn(batches[0], 0)
    saved = agent.state()
    copy = {key: value.clone() for key, value in saved.items()}
    agent.restore(saved)
    agent.learn(batches[1], 1)
    assert same(saved, copy)


@every_agent
def test_policies_pack_and_unpack(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps], tmp_path: Path
) -> None:
    agent = build(name, onboarding.observer.space)
    seen = imagine(onboarding.observer.space, 64, 8)
    agent.learn(batches[0], 0)
    for policy in (agent.behave(), agent.decide()):
        pack.save(policy, tmp_path / "policy")
        loaded = pack.load(tmp_path / "policy")
        assert type(loaded) is type(policy)
        assert torch.equal(loaded(seen), policy(seen))
        for i in range(8):  # one learner goes another way through the kernels than a batch
            one = take(seen, slice(i, i + 1))
            assert torch.equal(loaded(one), policy(one))


@every_agent
def test_what_stands_after_a_session_is_not_learnt(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps]
) -> None:
    space = onboarding.observer.space
    steps = batches[1]
    n, t = steps.alive.shape
    dead = ~steps.alive
    chance = torch.Generator().manual_seed(1)
    # The features after a step that is alive are seen; those further on belong to nobody.
    unseen = torch.cat([torch.zeros(n, 1, dtype=torch.bool), dead], 1)
    noise = torch.randn(steps.features.shape, generator=chance)
    action = torch.randint(space.n_activities, (n, t), generator=chance)
    other = steps._replace(
        features=torch.where(unseen[..., None], noise, steps.features),
        action=torch.where(dead, action, steps.action),
        propensity=torch.where(dead, 1.0, steps.propensity),
        ended=steps.ended | dead,
    )
    assert not torch.equal(other.features, steps.features)
    one, two = build(name, space), build(name, space)
    metrics = one.learn(steps, 0)
    assert metrics == two.learn(other, 0)
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())
    assert same(one.state(), two.state())
    assert all(bool(torch.isfinite(value).all()) for value in one.state().values())


@every_agent
def test_steps_of_nobody_teach_nothing(
    name: str, build: Build, imagine: Imagine, onboarding: World, batches: list[Steps]
) -> None:
    agent = build(name, onboarding.observer.space)
    seen = imagine(onboarding.observer.space, 16, 9)
    agent.learn(batches[0], 0)
    before, kept = agent.decide()(seen), agent.state()
    nobody = batches[1]._replace(alive=torch.zeros_like(batches[1].alive), reward=torch.zeros_like(batches[1].reward))
    metrics = agent.learn(nobody, 1)
    assert all(math.isfinite(value) for value in metrics.values())
    assert torch.equal(agent.decide()(seen), before)
    assert same(agent.state(), kept)


@every_agent
@pytest.mark.parametrize("rows", [1, 2, 9])
def test_few_steps_are_enough_to_learn_from(
    name: str, rows: int, build: Build, onboarding: World, batches: list[Steps]
) -> None:
    agent = build(name, onboarding.observer.space)
    few = Steps(
        batches[0].features[:1, : rows + 1],
        *(column[:1, :rows] for column in batches[0][1:7]),
        tuple(take(history, slice(0, 1)) for history in batches[0].history[: rows + 1]),
    )
    metrics = agent.learn(few, 0)
    assert all(math.isfinite(value) for value in metrics.values())
    assert all(bool(torch.isfinite(value).all()) for value in agent.state().values())
