"""The set-aware network: what an activity is decides its score, not its number, so it can move to another catalogue."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from trailmark.agents.loop import gather
from trailmark.agents.ppo import PPO
from trailmark.agents.set_net import SetEncoder, SetPolicy, _columns
from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import History, Observation, Observer
from trailmark.envs.tracers.tally import Tally

Imagine = Callable[..., Observation]


def catalog_of(order: list[int]) -> Catalog:
    skills = (Skill("a"), Skill("b", "", ("a",)), Skill("c", "", ("b",)))
    activities = [
        Activity("read a", "", "reading", ("a",), 5.0),
        Activity("do b", "", "practice", ("b",), 10.0),
        Activity("do ab", "", "practice", ("a", "b"), 15.0),
        Activity("test c", "", "quiz", ("c",), 20.0),
    ]
    return Catalog(skills, tuple(activities[i] for i in order))


def observer_of(catalog: Catalog) -> Observer:
    return Observer(Tally().of(catalog), catalog, {}, 10)


def reordered(seen: Observation, order: torch.Tensor) -> Observation:
    """Return the same learners when the activities stand in another order; nobody has done anything last."""
    assert seen.history is not None
    table = {name: getattr(seen.history, name)[:, order] for name in ("attempts", "right", "streak", "since")}
    return seen._replace(mask=seen.mask[:, order], history=History(**table, recent=None, recent_correct=None))  # type: ignore[arg-type]


def trained(observer: Observer) -> SetPolicy:
    agent = PPO(observer.space, seed=2, encoder=SetEncoder(hidden=8))
    for parameter in agent._net.parameters():
        parameter.data.add_(0.6 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(parameter))))
    policy = agent.decide()
    assert isinstance(policy, SetPolicy)
    return policy


def test_the_order_of_activities_does_not_matter(imagine: Imagine) -> None:
    order = [2, 0, 3, 1]
    home, away = observer_of(catalog_of([0, 1, 2, 3])), observer_of(catalog_of(order))
    seen = imagine(home.space, 50, 1, 0.7)
    seen.features[:, -1] = 0.0  # no last activity: its number is part of the features
    policy = trained(home)
    p = policy(seen)
    assert float(p.amax(1).mean()) > 0.5, "it has opinions"
    torch.testing.assert_close(policy.on(away.space)(reordered(seen, torch.tensor(order))), p[:, order])


def test_what_is_known_of_an_activity_is_what_it_says(imagine: Imagine) -> None:
    space = observer_of(catalog_of([0, 1, 2, 3])).space
    seen = imagine(space, 3, 2)
    mastery, goal = torch.tensor([[0.2, 0.6, 0.9]]), torch.tensor([[1.0, 0.0, 1.0]])
    row = torch.cat([mastery, goal, torch.zeros(1, 9), torch.tensor([[1.0, 0.3, 0.8, 0.5]])], 1)
    assert seen.history is not None
    x = SetEncoder().see(space, row, History(*(part[:1] for part in seen.history)))
    own, people = _columns(space, ("practice", "quiz"), x)
    share, mean, wanted_mass, gap, per_tally = own[0, :, 0], own[0, :, 1], own[0, :, 2], own[0, :, 3], own[0, :, 4:7]
    torch.testing.assert_close(share, torch.tensor([1.0, 0.0, 0.5, 1.0]))
    torch.testing.assert_close(mean, torch.tensor([0.2, 0.6, 0.4, 0.9]))
    torch.testing.assert_close(wanted_mass, torch.tensor([0.2, 0.0, 0.1, 0.9]))
    torch.testing.assert_close(gap, torch.tensor([0.8, 0.0, 0.4, 0.1]))
    assert bool((per_tally == 0).all())
    wanted, gaps, speed, leads, ready, last, minutes, depth = own[0, :, 7:15].t()
    torch.testing.assert_close(wanted, torch.tensor([0.2, 0.0, 0.2, 0.9]))
    torch.testing.assert_close(gaps, torch.tensor([0.8, 0.0, 0.8, 0.1]))
    torch.testing.assert_close(speed, gaps / torch.tensor([0.6, 1.1, 1.6, 2.1]))
    torch.testing.assert_close(leads, torch.tensor([0.1, 0.1, 0.1, 0.0]) / 2.0)
    torch.testing.assert_close(ready, torch.tensor([1.0, 0.2, 1.0, 0.6]), msg="do ab teaches its own prerequisite")
    assert last.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert depth.tolist() == [0.0, 0.25, 0.25, 0.5]
    torch.testing.assert_close(minutes, torch.tensor([5.0, 10.0, 15.0, 20.0]).log1p() / 4.0)
    assert own[0, :, -2:].tolist() == [[0, 0], [1, 0], [1, 0], [0, 1]]
    torch.testing.assert_close(people[0, :4], torch.tensor([1.0, 0.3, 0.8, 0.55]))


def test_another_kind_of_tracer_is_refused(imagine: Imagine) -> None:
    catalog = catalog_of([0, 1, 2, 3])
    policy = trained(observer_of(catalog))
    groups = tuple((name, 0 if name == "belief" else width) for name, width in policy.space.groups)
    with pytest.raises(ValueError, match="same kind of tracer"):
        policy.on(replace(policy.space, groups=groups))


def test_steps_without_a_history_are_refused(onboarding: World) -> None:
    agent = PPO(onboarding.observer.space, encoder=SetEncoder())
    steps = gather(Classroom(onboarding, 0, 0, 2), agent.behave(), 3)
    with pytest.raises(ValueError, match="history"):
        agent.learn(steps._replace(history=()), 0)
