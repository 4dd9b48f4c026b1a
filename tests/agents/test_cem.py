"""CEM: what its indices are made of, and how candidates move the search."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from trailmark.agents.cem import CEM, IndexPolicy
from trailmark.agents.index import columns, kinds, width
from trailmark.agents.loop import gather, play, train
from trailmark.data.variation import renewed
from trailmark.envs.classroom import Classroom, Pace, World
from trailmark.envs.observer import Observation, Observer, Space
from trailmark.envs.outcomes_recall import RecallLikelihood
from trailmark.envs.students.efc import EFC
from trailmark.envs.tracers.forgetting import Forgetting
from trailmark.experiments.bench_transfer import moved


@pytest.fixture(scope="module")
def cards() -> World:
    student = EFC(items=6)
    tracer = Forgetting(known=1.0).fit(None, student.catalog)
    observer = Observer(tracer, student.catalog, {}, 20)
    return World(student, observer, {"recall": RecallLikelihood(20)}, {"recall": 1.0}, Pace(1, 5.0))


def index_of(space: Space, column: int) -> IndexPolicy:
    weights = torch.zeros(1, width(space))
    weights[0, column] = 1.0
    return IndexPolicy(space, weights, kinds(space))


def test_columns_say_what_they_are(cards: World) -> None:
    room = Classroom(cards, 0, 0, 4)
    for activity in (2, 2, 5):
        room.step(torch.full((4,), activity))
    seen = room.observation
    x = columns(cards.observer.space, seen.features, seen.history, ("quiz", "retrieval"))
    assert x.shape == (4, 6, width(cards.observer.space) + 1), "one kind more"
    assert x[0, 0, -2:].tolist() == [0.0, 1.0]
    recall = cards.observer.tracer.mastery(room.record.belief)
    torch.testing.assert_close(x[..., 2], recall)
    torch.testing.assert_close(x[..., 1], 1.0 - recall)
    torch.testing.assert_close(x[..., 3], recall.square())
    torch.testing.assert_close(x[0, :, 5], torch.tensor([2.0, 2.0, 1.0, 2.0, 2.0, 0.0]) / 5.0, msg="rank in waiting")
    assert x[0, :, 6].tolist() == [1, 1, 0, 1, 1, 0]
    torch.testing.assert_close(x[0, :, 7], torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0, 1.0]).log1p() / 2.0)
    assert float(x.abs().max()) < 3.0, "weights of one size are fair to all columns"


def test_waiting_alone_is_reviewing_in_turn(cards: World) -> None:
    room = Classroom(cards, 0, 0, 3)
    steps = gather(room, index_of(cards.observer.space, 5), 12)
    assert steps.action[0].tolist() == [*range(6), *range(6)]


def test_learners_are_led_by_candidates_in_turn(cards: World, imagine: Callable[..., Observation]) -> None:
    seen = imagine(cards.observer.space, 9, 3)
    weights = torch.randn(4, width(cards.observer.space), generator=torch.Generator().manual_seed(0))
    own = kinds(cards.observer.space)
    together = IndexPolicy(cards.observer.space, weights, own)(seen)
    for i in range(9):
        alone = IndexPolicy(cards.observer.space, weights[i % 4][None], own)(seen)
        assert torch.equal(together[i], alone[i])


def test_the_search_moves_to_the_candidates_that_earned_most(cards: World) -> None:
    agent = CEM(cards.observer.space, candidates=8, elite=0.25, step=1.0, noise=0.0)
    drawn = agent._drawn()
    steps = gather(Classroom(cards, 0, 0, 16), agent.behave(), 20)
    earned = torch.zeros(16)
    earned[[3, 11, 6]] = torch.tensor([4.0, 2.0, 5.0])  # candidate 3 earns 3 on average, candidate 6 half of 5
    agent.learn(steps._replace(reward=earned[:, None].expand(-1, 20)), 0)
    torch.testing.assert_close(agent._mean, drawn[[3, 6]].mean(0))
    torch.testing.assert_close(agent._deviation, drawn[[3, 6]].std(0, correction=0))


def test_a_reward_at_the_end_is_enough(cards: World) -> None:
    """Reviewing in turn or by recall is worth .06 more than chance here; the search finds as much."""
    agent = CEM(cards.observer.space, seed=0)
    for _ in train(cards, agent, 0, 64, 0, 10):
        pass
    found = float(play(cards, agent.decide(), 7, 200).values["recall"].mean())
    chance = float(play(cards, index_of(cards.observer.space, 0), 7, 200).values["recall"].mean())
    in_turn = float(play(cards, index_of(cards.observer.space, 5), 7, 200).values["recall"].mean())
    assert found > max(chance, in_turn) - 0.01


def test_it_moves_to_another_catalogue_and_not_to_another_tracer(cards: World, onboarding: World) -> None:
    catalog = onboarding.observer.catalog
    agent = CEM(onboarding.observer.space)
    home = agent.decide()
    assert isinstance(home, IndexPolicy)
    there = moved(onboarding, replace(catalog, activities=catalog.activities[::-1]))
    seen, turned = (Classroom(world, 0, 0, 20).observation for world in (onboarding, there))
    space = there.observer.space
    x = columns(onboarding.observer.space, seen.features, seen.history, home.kinds)
    torch.testing.assert_close(columns(space, turned.features, turned.history, home.kinds), x.flip(1))
    fresh = moved(onboarding, renewed(catalog, 0.3, 1))
    p = home.on(fresh.observer.space)(Classroom(fresh, 0, 0, 20).observation)
    assert p.shape == (20, len(catalog.activities))
    with pytest.raises(ValueError, match="same kind of tracer"):
        home.on(cards.observer.space)


def test_settings_that_make_no_search_are_refused(cards: World) -> None:
    for wrong in ({"candidates": 1}, {"elite": 1.0}, {"step": 0.0}, {"fade": 0}):
        with pytest.raises(ValueError, match="CEM"):
            replace(CEM(cards.observer.space), **wrong)  # type: ignore[type-var]
