"""The loop: stopping and going on leaves no trace, the same learners meet every policy, and learning works."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trailmark.agents.agent import Agent, State, Still
from trailmark.agents.baselines import GapPerMinute, Random, RandomLegal, WeakestAllowed
from trailmark.agents.lagrangian import Lagrangian
from trailmark.agents.linucb import LinUCB
from trailmark.agents.loop import gather, live, play, train
from trailmark.agents.ppo import PPO
from trailmark.agents.set_net import SetEncoder
from trailmark.envs import pack
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Space


def ppo(space: Space) -> Agent:
    return PPO(space, seed=2, hidden=(16,), anneal=5)


def ppo_in_chunks(space: Space) -> Agent:
    return PPO(space, seed=2, hidden=(16,), chunk=7)


def linucb(space: Space) -> Agent:
    return LinUCB(space, discount=0.99)


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("make", [ppo, ppo_in_chunks, linucb])
def test_training_that_stops_and_goes_on_leaves_no_trace(
    onboarding: World, tmp_path: Path, make: Callable[[Space], Agent]
) -> None:
    space = onboarding.observer.space
    whole, first, second = make(space), make(space), make(space)
    history = list(train(onboarding, whole, 7, 12, 0, 5))
    before = list(train(onboarding, first, 7, 12, 0, 2))
    pack.write(tmp_path / "checkpoint", {}, first.state())
    second.restore(pack.read(tmp_path / "checkpoint")[1])
    after = list(train(onboarding, second, 7, 12, 2, 5))
    assert before + after == history
    assert same(second.state(), whole.state())
    assert not same(first.state(), whole.state())


def test_cohorts_are_of_fresh_learners_and_of_their_own_luck(onboarding: World) -> None:
    agent = Still(RandomLegal(onboarding.observer.space))
    returns = [metrics["return"] for metrics in train(onboarding, agent, 7, 12, 0, 4)]
    assert len(set(returns)) == 4
    assert returns[2:] == [metrics["return"] for metrics in train(onboarding, agent, 7, 12, 2, 4)]
    assert returns != [metrics["return"] for metrics in train(onboarding, agent, 8, 12, 0, 4)]


def test_metrics_of_a_cohort_are_of_whole_sessions(onboarding: World) -> None:
    policy = RandomLegal(onboarding.observer.space)
    (whole,) = train(onboarding, Still(policy), 7, 12, 0, 1)
    (chunks,) = train(onboarding, Still(policy, chunk=3), 7, 12, 0, 1)
    assert chunks["return"] == pytest.approx(whole["return"], abs=1e-6)
    assert chunks["steps"] == whole["steps"]
    assert 12 < whole["steps"] < 12 * onboarding.observer.horizon


def test_steps_are_what_the_room_lived_through(onboarding: World) -> None:
    policy = WeakestAllowed(onboarding.observer.space)
    steps = gather(Classroom(onboarding, 3, 0, 6), policy, 100)
    turns = list(live(Classroom(onboarding, 3, 0, 6), policy))
    assert steps.alive.shape == (6, len(turns))
    assert steps.features.shape[1] == len(turns) + 1
    for t, turn in enumerate(turns):
        assert torch.equal(steps.features[:, t], turn.seen.features)
        assert torch.equal(steps.features[:, t + 1], turn.moment.observation.features)
        assert torch.equal(steps.mask[:, t], turn.seen.mask)
        assert torch.equal(steps.action[:, t], turn.action)
        assert torch.equal(steps.propensity[:, t], turn.probabilities.gather(1, turn.action[:, None])[:, 0])
        assert torch.equal(steps.reward[:, t], turn.moment.reward)
        assert torch.equal(steps.ended[:, t], turn.moment.ended)
        assert torch.equal(steps.alive[:, t], turn.moment.alive)
    assert bool((steps.ended.sum(1) == 1).all())
    assert bool((steps.reward[~steps.alive] == 0).all())


def test_pieces_of_a_session_fit_together(onboarding: World) -> None:
    policy = RandomLegal(onboarding.observer.space)
    whole = gather(Classroom(onboarding, 3, 0, 6), policy, 12)
    room = Classroom(onboarding, 3, 0, 6)
    pieces = [gather(room, policy, 5), gather(room, policy, 7)]
    assert [piece.action.shape[1] for piece in pieces] == [5, 7]
    assert torch.equal(torch.cat([piece.action for piece in pieces], 1), whole.action)
    assert torch.equal(pieces[0].features[:, -1], pieces[1].features[:, 0])


def test_histories_are_kept_for_those_who_look_at_them(onboarding: World) -> None:
    policy = RandomLegal(onboarding.observer.space)
    with_them, without = (gather(Classroom(onboarding, 3, 0, 6), policy, 5, remember) for remember in (True, False))
    assert len(with_them.history) == 6
    assert without.history == ()
    assert torch.equal(with_them.features, without.features)
    space = onboarding.observer.space
    assert not PPO(space).remembers()
    assert PPO(space, encoder=SetEncoder()).remembers()
    assert Still(policy).remembers()
    assert not Lagrangian(PPO(space), {"completion": 1.0}).remembers()


def test_a_policy_played_twice_meets_the_same_luck(onboarding: World) -> None:
    policy = RandomLegal(onboarding.observer.space)
    one, two, other = (play(onboarding, policy, seed, 20) for seed in (1, 1, 2))
    assert all(torch.equal(one.values[name], two.values[name]) for name in onboarding.outcomes)
    assert torch.equal(one.minutes, two.minutes)
    assert not torch.equal(one.minutes, other.minutes)


def test_two_policies_meet_the_same_learners(onboarding: World) -> None:
    space = onboarding.observer.space
    one, two = play(onboarding, WeakestAllowed(space), 1, 50), play(onboarding, GapPerMinute(space), 1, 50)
    assert torch.equal(one.mastery[0], two.mastery[0])
    assert not torch.equal(one.mastery[-1], two.mastery[-1])


@pytest.mark.parametrize("policy", [RandomLegal, Random, WeakestAllowed])
def test_a_learner_lives_the_same_life_in_any_company(
    onboarding: World, kss: World, policy: Callable[[Space], RandomLegal]
) -> None:
    for world in (onboarding, kss):
        chooser = policy(world.observer.space)
        crowd = play(world, chooser, 4, 40)
        few, alone = play(world, chooser, 4, 5, first=8), play(world, chooser, 4, 1, first=11)
        for name in world.outcomes:
            torch.testing.assert_close(few.values[name], crowd.values[name][8:13], rtol=0, atol=1e-6)
            torch.testing.assert_close(alone.values[name], crowd.values[name][11:12], rtol=0, atol=1e-6)
        for column in ("minutes", "steps", "legal", "handovers"):
            assert torch.equal(getattr(few, column), getattr(crowd, column)[8:13])
            assert torch.equal(getattr(alone, column), getattr(crowd, column)[11:12])


def test_play_equals_a_loop_written_by_hand(onboarding: World) -> None:
    policy = RandomLegal(onboarding.observer.space)
    played = play(onboarding, policy, 6, 5, first=2)
    for i in range(5):
        room = Classroom(onboarding, 6, 2 + i, 1, measure=True)
        sums = dict.fromkeys(onboarding.outcomes, 0.0)
        minutes, steps = 0.0, 0
        while bool(room.alive[0]):
            allowed = room.observation.mask[0].nonzero()[:, 0].tolist()
            u = float(room.act()[0, 0])
            moment = room.step(torch.tensor([allowed[int(u * len(allowed))]]))
            for name in sums:
                sums[name] += float(moment.values[name][0])
            minutes, steps = minutes + float(moment.response.minutes[0]), steps + 1
        for name, value in sums.items():
            assert float(played.values[name][i]) == pytest.approx(value, abs=1e-4)
        assert float(played.minutes[i]) == pytest.approx(minutes, rel=1e-5)
        assert int(played.steps[i]) == steps
        assert int(played.legal[i]) == steps


def test_gains_are_the_way_from_the_first_to_the_last_mastery(onboarding: World) -> None:
    world = onboarding
    policy = WeakestAllowed(world.observer.space)
    played = play(world, policy, 6, 30)
    room = Classroom(world, 6, 0, 30)
    start, goal = world.student.mastery(room.state), world.student.context(room.state).goal
    for _ in live(room, policy):
        pass
    gain = ((world.student.mastery(room.state) - start) * goal).sum(1) / goal.sum(1)
    torch.testing.assert_close(played.values["learning_gain"], gain, rtol=0, atol=1e-5)
    assert len(played.mastery) == int(played.steps.max()) + 1


def test_what_is_not_rewarded_is_measured_all_the_same(onboarding: World) -> None:
    policy = RandomLegal(onboarding.observer.space)
    other = replace(onboarding, reward={"completion": 1.0})
    assert play(other, policy, 1, 8).values.keys() == onboarding.outcomes.keys()
    steps = gather(Classroom(other, 1, 0, 8), policy, 40)
    assert torch.equal(steps.reward.sum(1), steps.alive.sum(1).float())


def test_ppo_learns_to_teach_better_than_chance(onboarding: World) -> None:
    space = onboarding.observer.space
    agent = PPO(space, seed=0)
    for _ in train(onboarding, agent, 0, 64, 0, 20):
        pass
    learnt = play(onboarding, agent.decide(), 1, 400).values["learning_gain"]
    untaught = play(onboarding, PPO(space, seed=0).decide(), 1, 400).values["learning_gain"]
    chance = play(onboarding, RandomLegal(space), 1, 400).values["learning_gain"]
    difference = learnt - chance  # of the same learners
    assert float(difference.mean()) > 0.04
    assert float(difference.mean() / difference.std() * 400**0.5) > 5.0
    assert float(learnt.mean() - untaught.mean()) > 0.04
