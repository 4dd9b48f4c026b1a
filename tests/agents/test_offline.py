"""Offline agents: what a log teaches, what it must not, and that study can stop and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trailmark.agents.a2c import A2C
from trailmark.agents.agent import Agent, Steps
from trailmark.agents.baselines import FixedOrder, RandomLegal
from trailmark.agents.bc import BC
from trailmark.agents.bcq import BCQ, usual
from trailmark.agents.cql import CQL
from trailmark.agents.dqn import DQN
from trailmark.agents.iql import IQL
from trailmark.agents.logged import Logged
from trailmark.agents.mixed import Mixed
from trailmark.agents.offline import joined, study, write_down
from trailmark.agents.pqn import PQN
from trailmark.agents.replayed import replayed
from trailmark.agents.sac import SAC
from trailmark.data.sources.sample import Sample
from trailmark.envs import pack
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Space
from trailmark.envs.pack import PackError
from trailmark.envs.rows import take

Probe = Callable[..., World]


def cql(space: Space) -> Agent:
    return CQL(space, seed=1, hidden=(16,), rate=0.01, batch=64)


def iql(space: Space) -> Agent:
    return IQL(space, seed=1, hidden=(16,), rate=0.01, batch=64)


def bcq(space: Space) -> Agent:
    return BCQ(space, seed=1, hidden=(16,), rate=0.01, batch=64)


offline = pytest.mark.parametrize("make", [cql, iql, bcq])


def taught(world: World, make: Callable[[Space], Agent], epochs: int = 25) -> Agent:
    space = world.observer.space
    agent, steps = make(space), write_down(world, RandomLegal(space), 0, 256)
    for _ in study(steps, agent, 0, 128, 0, epochs):
        pass
    return agent


def first_choices(world: World, agent: Agent) -> tuple[Tensor, Tensor]:
    room = Classroom(world, 99, 0, 64)
    return room.state.kind, agent.decide()(room.observation)


@offline
def test_the_better_one_depends_on_what_is_seen(probe: Probe, make: Callable[[Space], Agent]) -> None:
    world = probe([[1.0, 0.0], [0.0, 1.0]])
    kind, p = first_choices(world, taught(world, make))
    assert set(kind.tolist()) == {0, 1}
    assert float(p.gather(1, kind[:, None]).min()) > 0.9


@offline
def test_pay_that_comes_two_steps_later_is_traced_back(probe: Probe, make: Callable[[Space], Agent]) -> None:
    world = probe([[0.0, 1.0]], horizon=3, delay=2)
    assert float(first_choices(world, taught(world, make))[1][:, 1].min()) > 0.9


@offline
def test_when_the_best_is_forbidden_the_best_allowed_is_chosen(probe: Probe, make: Callable[[Space], Agent]) -> None:
    world = probe([[1.0, 0.2, 0.6]], forbid=0)
    p = first_choices(world, taught(world, make))[1]
    assert bool((p[:, 0] == 0).all())
    assert float(p[:, 2].min()) > 0.9


def test_cloning_finds_the_probabilities_of_the_log(probe: Probe) -> None:
    world = probe([[0.0, 0.0, 0.0]], horizon=2, forbid=1)
    space = world.observer.space
    policy = Mixed(FixedOrder(space), 0.4)
    clone = BC(space, hidden=(16,), rate=0.002, batch=1000)
    for _ in study(write_down(world, policy, 0, 2000), clone, 0, 2000, 0, 60):
        pass
    seen = Classroom(world, 99, 0, 4).observation
    torch.testing.assert_close(policy(seen), torch.tensor([[0.8, 0.0, 0.2]]).expand(4, 3))
    torch.testing.assert_close(clone.decide()(seen), policy(seen), rtol=0, atol=0.04)


def test_what_was_never_tried_is_not_chosen_however_it_is_scored(probe: Probe) -> None:
    """The log knows activities 0 and 1 only: BCQ may not leave them, and CQL has to hold the third one down."""
    world = probe([[0.4, 0.6, 0.0]], forbid=2)
    wide = probe([[0.4, 0.6, 0.0]])
    for make in (bcq, cql):
        agent = taught(world, make)
        logged = write_down(world, RandomLegal(world.observer.space), 0, 256)
        open_ = logged._replace(mask=torch.ones_like(logged.mask))  # allowed, yet never taken
        agent = make(world.observer.space)
        for _ in study(open_, agent, 0, 128, 0, 40):
            pass
        assert float(first_choices(wide, agent)[1][:, 1].min()) > 0.9, type(agent).__name__


def test_usual_keeps_the_likely_ones_of_the_allowed() -> None:
    logits = torch.tensor([[4.0, 1.0, 0.95, 0.0]]).log()
    mask = torch.tensor([[False, True, True, True]])
    assert usual(logits, mask, 0.9).tolist() == [[False, True, True, False]]
    assert usual(logits, mask, 0.0).tolist() == mask.tolist()
    assert usual(logits, mask | True, 0.9).tolist() == [[True, False, False, False]]


def test_study_stops_and_goes_on_as_if_it_never_stopped(onboarding: World) -> None:
    space = onboarding.observer.space
    steps = write_down(onboarding, RandomLegal(space), 0, 24)
    whole, first, second = (IQL(space, hidden=(8,)) for _ in range(3))
    metrics = list(study(steps, whole, 7, 10, 0, 3))
    assert list(study(steps, first, 7, 10, 0, 2)) == metrics[:2]
    second.restore(first.state())
    assert list(study(steps, second, 7, 10, 2, 3)) == metrics[2:]
    assert all(torch.equal(value, second.state()[key]) for key, value in whole.state().items())


def test_a_log_does_not_depend_on_how_many_write_it(onboarding: World) -> None:
    policy = Mixed(FixedOrder(onboarding.observer.space), 0.5)
    few, many = write_down(onboarding, policy, 3, 5), write_down(onboarding, policy, 3, 600)
    length = few.alive.shape[1]
    lived = take(many, slice(0, 5))
    for name in ("mask", "action", "reward", "ended", "alive", "propensity"):
        assert torch.equal(getattr(lived, name)[:, :length][few.alive], getattr(few, name)[few.alive]), name
    assert not bool(lived.alive[:, length:].any())
    assert len(many.alive) == 600


def test_joined_sessions_are_filled_up_with_nobody(probe: Probe) -> None:
    short = write_down(probe([[1.0, 0.0]], horizon=2), RandomLegal(probe([[1.0, 0.0]]).observer.space), 0, 3)
    long = write_down(probe([[1.0, 0.0]], horizon=4), RandomLegal(probe([[1.0, 0.0]]).observer.space), 0, 2)
    both = joined([short, long])
    assert both.features.shape[:2] == (5, 5)
    assert both.alive.sum(1).tolist() == [2, 2, 2, 4, 4]
    assert torch.equal(both.reward[:3].sum(1), short.reward.sum(1))
    assert bool(both.mask.any(2).all())


def same(a: Steps, b: Steps) -> bool:
    names = [name for name, column in a._asdict().items() if isinstance(column, Tensor)]
    return len(names) == 7 and all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def test_logged_steps_come_back_with_their_policy(onboarding: World, probe: Probe, tmp_path: Path) -> None:
    policy = Mixed(FixedOrder(onboarding.observer.space), 0.5)
    steps = write_down(onboarding, policy, 0, 6)
    Logged(steps, policy, {"seed": 0, "notes": []}).save(tmp_path / "log", onboarding.observer)
    back = Logged.load(tmp_path / "log", onboarding.observer)
    assert same(back.steps, steps)
    assert back.about["seed"] == 0
    seen = Classroom(onboarding, 5, 0, 6).observation
    assert back.policy is not None
    assert torch.equal(back.policy(seen), policy(seen))
    with pytest.raises(PackError, match="other activities than this experiment"):
        Logged.load(tmp_path / "log", probe([[1.0, 0.0]]).observer)
    pack.write(tmp_path / "other", {"a": 1}, {})
    with pytest.raises(PackError, match="trailmark gather"):
        Logged.load(tmp_path / "other", onboarding.observer)


def test_answers_replayed_are_what_the_tracer_believes(onboarding: World) -> None:
    log, catalog = Sample().load()
    found = replayed(onboarding, log, 0, 20)
    steps, sequences = found.steps, log.sequences(catalog)
    first = sequences.activity[: sequences.start[1]][:40]
    lived = int(steps.alive[0].sum())
    assert lived == min(len(first), 40)
    assert steps.action[0, :lived].tolist() == first.tolist()
    assert bool(steps.mask.gather(2, steps.action[..., None])[steps.alive].all()), "what was taken counts as allowed"
    assert steps.ended.sum(1).tolist() == [1] * 20
    # With the gain as reward the session's sum is the believed mastery at its end minus at its start.
    k = len(catalog.skill_ids)
    start, end = steps.features[0, 0], steps.features[0, lived]
    goal = start[k : 2 * k]
    gain = ((end[:k] - start[:k]) * goal).sum() / goal.sum()
    assert float(steps.reward[0].sum()) == pytest.approx(float(gain), abs=1e-5)
    assert any("what the tracer believes" in note for note in found.about["notes"])


def test_missing_propensities_are_estimated_and_said_to_be(onboarding: World) -> None:
    log, _ = Sample().load()
    frame = log.frame.assign(propensity=float("nan"))
    found = replayed(onboarding, type(log)(frame, log.name), 0, 30)
    p = found.steps.propensity[found.steps.alive]
    assert bool(((p > 0) & (p < 1)).all())
    assert any("behaviour cloning" in note for note in found.about["notes"])
    known = replayed(onboarding, type(log)(log.frame.assign(propensity=0.25), log.name), 0, 30)
    assert bool((known.steps.propensity[known.steps.alive] == 0.25).all())
    assert not any("behaviour cloning" in note for note in known.about["notes"])


ONLINE = {
    "dqn": lambda space: DQN(space, hidden=(16,), batch=32, n_steps=1, dueling=False),
    "dqn_plain": lambda space: DQN(space, hidden=(16,), batch=32, n_steps=1, dueling=False, double=False),
    "pqn": lambda space: PQN(space, hidden=(16,)),
    "a2c": lambda space: A2C(space, hidden=(16,)),
    "sac": lambda space: SAC(space, hidden=(16,), batch=32, n_steps=1),
}
OFFLINE = {
    "bc": lambda space: BC(space, hidden=(16,)),
    "cql": lambda space: CQL(space, hidden=(16,), batch=32, n_steps=1),
    "iql": lambda space: IQL(space, hidden=(16,), batch=32, n_steps=1),
    "bcq": lambda space: BCQ(space, hidden=(16,), batch=32, n_steps=1),
}


@pytest.mark.parametrize("name", [*ONLINE, *OFFLINE])
def test_what_is_forbidden_plays_no_part_in_learning(probe: Probe, name: str) -> None:
    """An activity that is never allowed is scored absurdly high: no target, no loss and no policy may notice."""
    world = probe([[0.3, 0.4, 0.5]], horizon=3, forbid=0)
    space = world.observer.space
    steps = write_down(world, RandomLegal(space), 0, 64)
    assert not bool(steps.mask[..., 0].any())
    plain, absurd = ((ONLINE | OFFLINE)[name](space) for _ in range(2))
    nets = [m for found in vars(absurd).values() if isinstance(found, nn.Module) for m in found.modules()]
    outputs = [m for m in nets if isinstance(m, nn.Linear) and m.out_features == 3]
    assert outputs
    for layer in outputs:
        layer.bias.data[0] += 50.0
    for seed in range(3):
        one, two = plain.learn(steps, seed), absurd.learn(steps, seed)
        assert one == pytest.approx(two, rel=1e-4, abs=1e-6)
    seen = Classroom(world, 9, 0, 4).observation
    torch.testing.assert_close(plain.decide()(seen), absurd.decide()(seen), rtol=0, atol=1e-4)
