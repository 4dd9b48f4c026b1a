"""Baselines: what each heuristic chooses on observations made by hand."""

from collections.abc import Callable

import pytest
import torch

from trailmark.agents.agent import Policy
from trailmark.agents.baselines import (
    Cyclic,
    FixedOrder,
    GapPerMinute,
    MasteryLearning,
    Random,
    RandomLegal,
    WeakestAllowed,
)
from trailmark.agents.loop import live, play
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Observation, Space

See = Callable[..., Observation]
ALL = [1, 1, 1, 1, 1]
NEEDED = [1, 1, 0]  # skills s0 and s1; activities: a0 s0, a1 s1, a2 both, a3 s2, a4 s1


def choice(policy: Policy, seen: Observation) -> int:
    p = policy(seen)
    assert p.shape == (1, 5)
    assert sorted(p[0].tolist()) == [0, 0, 0, 0, 1], "one activity, for certain"
    return int(p.argmax())


@pytest.mark.parametrize(
    ("mastery", "mask", "expected"),
    [
        ([0.9, 0.2, 0.1], ALL, 1),  # s1 is weakest; a1 comes before a4
        ([0.9, 0.2, 0.1], [1, 0, 1, 1, 1], 4),
        ([0.9, 0.2, 0.1], [1, 0, 1, 1, 0], 2),  # the mean of s0 and s1 is weaker than s0
        ([0.2, 0.9, 0.1], ALL, 0),
        ([0.9, 0.9, 0.0], [0, 0, 0, 1, 1], 4),  # s2 is weaker, but nobody asked for it
        ([0.9, 0.9, 0.0], [0, 0, 0, 1, 0], 3),
    ],
)
def test_weakest_allowed(space: Space, see: See, mastery: list[float], mask: list[int], expected: int) -> None:
    assert choice(WeakestAllowed(space), see(space, [mastery], [NEEDED], [mask])) == expected


def test_weakest_allowed_counts_only_goals(space: Space, see: See) -> None:
    # a2 trains s0 (no goal, weak) and s1 (goal, strong): its weakness is that of s1, as for a1.
    seen = see(space, [[0.0, 0.9, 0.5]], [[0, 1, 1]], [[1, 1, 1, 0, 0]])
    assert choice(WeakestAllowed(space), seen) == 1
    assert choice(WeakestAllowed(space), seen._replace(mask=torch.tensor([[True, False, True, False, False]]))) == 2
    # And it is the mean over goals alone: a2 lacks .5 of its one goal, a3 lacks .3.
    assert choice(WeakestAllowed(space), see(space, [[0.0, 0.5, 0.7]], [[0, 1, 1]], [[0, 0, 1, 1, 0]])) == 2


@pytest.mark.parametrize(
    ("mastery", "mask", "expected"),
    [
        ([0.9, 0.2, 0.1], ALL, 1),  # .8 in 5 minutes; a2 would close .9 in 15
        ([0.9, 0.2, 0.1], [1, 0, 1, 1, 1], 4),  # .8 in 10 minutes
        ([0.4, 0.4, 0.1], [1, 0, 1, 1, 0], 2),  # 1.2 in 15 minutes against .6 in 10: gaps add up
        ([0.2, 0.9, 0.1], [1, 0, 1, 1, 0], 0),  # .8 in 10 minutes against .9 in 15
        ([0.9, 0.9, 0.0], [0, 0, 0, 1, 1], 4),
    ],
)
def test_gap_per_minute(space: Space, see: See, mastery: list[float], mask: list[int], expected: int) -> None:
    assert choice(GapPerMinute(space), see(space, [mastery], [NEEDED], [mask])) == expected


@pytest.mark.parametrize(
    ("mastery", "mask", "expected"),
    [
        ([0.4, 0.1, 0.0], ALL, 0),  # s0 first, though s1 is weaker
        ([0.49, 0.1, 0.0], ALL, 0),  # and still
        ([0.5, 0.1, 0.0], ALL, 1),  # until it is mastered
        ([0.5, 0.1, 0.0], [1, 0, 1, 1, 1], 2),  # the first allowed that trains s1
        ([0.4, 0.1, 0.0], [0, 1, 0, 1, 1], 1),  # nothing allowed for s0: on with s1
        ([0.6, 0.7, 0.0], ALL, 0),  # all goals mastered: the weakest of them
        ([0.7, 0.6, 0.0], ALL, 1),
        ([0.7, 0.6, 0.0], [1, 0, 1, 1, 0], 2),
        ([0.4, 0.6, 0.0], [0, 0, 0, 1, 1], 4),  # s0 is unmastered, but all that is allowed is s1 and a skill of no goal
    ],
)
def test_mastery_learning(space: Space, see: See, mastery: list[float], mask: list[int], expected: int) -> None:
    policy = MasteryLearning(space, threshold=0.5)
    assert choice(policy, see(space, [mastery], [NEEDED], [mask])) == expected


def test_mastery_learning_asks_for_095_by_default(space: Space, see: See) -> None:
    assert choice(MasteryLearning(space), see(space, [[0.949, 0.1, 0.0]], [NEEDED], [ALL])) == 0
    assert choice(MasteryLearning(space), see(space, [[0.951, 0.1, 0.0]], [NEEDED], [ALL])) == 1


def test_mastery_learning_prefers_every_wanted_activity_to_the_weakest(space: Space, see: See) -> None:
    # The last activity of the catalogue is the only wanted one; another is weaker only in what it does not need.
    seen = see(space, [[0.5, 0.49, 0.0]], [NEEDED], [[1, 0, 0, 1, 1]])
    assert choice(MasteryLearning(space, threshold=0.5), seen) == 4


def test_fixed_order_goes_round_what_is_allowed(space: Space, see: See) -> None:
    policy = FixedOrder(space)

    def walk(masks: list[list[int]]) -> list[int]:
        last, chosen = -1, []
        for mask in masks:
            last = choice(policy, see(space, [[0.5] * 3], [NEEDED], [mask], last=last))
            chosen.append(last)
        return chosen

    assert walk([[1, 0, 1, 1, 0]] * 7) == [0, 2, 3, 0, 2, 3, 0]
    assert walk([ALL] * 7) == [0, 1, 2, 3, 4, 0, 1]
    assert walk([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], ALL, ALL, [1, 1, 0, 0, 0]]) == [0, 1, 2, 3, 0]


def test_learners_of_a_batch_are_chosen_for_one_by_one(space: Space, see: See) -> None:
    mastery = [[0.9, 0.2, 0.1], [0.2, 0.9, 0.1], [0.9, 0.2, 0.1]]
    seen = see(space, mastery, [NEEDED] * 3, [ALL, ALL, [1, 0, 1, 0, 0]], last=torch.tensor([-1, 0, 3]))
    assert WeakestAllowed(space)(seen).argmax(1).tolist() == [1, 0, 2]
    assert FixedOrder(space)(seen).argmax(1).tolist() == [0, 1, 0]


def test_floors_ignore_the_guards_and_nobody_else_does() -> None:
    assert not Random.guarded
    assert not Cyclic.guarded
    assert all(policy.guarded for policy in (RandomLegal, FixedOrder, MasteryLearning, WeakestAllowed, GapPerMinute))


@pytest.mark.parametrize("policy", [Random, RandomLegal])
def test_random_is_even_over_the_mask_it_is_given(space: Space, see: See, policy: type[Random | RandomLegal]) -> None:
    p = policy(space)(see(space, [[0.5] * 3], [NEEDED], [[1, 0, 1, 1, 1]]))
    assert p.tolist() == [[0.25, 0, 0.25, 0.25, 0.25]]


def test_cyclic_plays_every_concept_of_kss_in_turn(kss: World) -> None:
    policy = Cyclic(kss.observer.space)
    room = Classroom(kss, 0, 0, 32, guarded=policy.guarded)
    turns = list(live(room, policy))
    assert len(turns) == 20
    for t, turn in enumerate(turns):
        assert turn.action[turn.moment.alive].eq(t % 10).all()


def test_floors_meet_the_guards_only_as_a_figure(kss: World) -> None:
    assert play(kss, RandomLegal(kss.observer.space), 0, 64).legal_rate == 1.0
    assert 0.2 < play(kss, Random(kss.observer.space), 0, 64).legal_rate < 0.6
