"""ZPDES against a plain walk through the same rules, learner by learner; and what opens and closes the zone."""

import numpy as np
import pytest
import torch

from trailmark.agents.loop import play
from trailmark.agents.zpdes import ZPDES
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import History, Observation, Space


def seen_by(space: Space, answers: list[list[tuple[int, float]]], window: int = 30) -> Observation:
    n, a = len(answers), space.n_activities
    recent, correct = torch.full((n, window), -1, dtype=torch.int32), torch.zeros(n, window)
    for i, row in enumerate(answers):
        for t, (activity, score) in enumerate(row):
            recent[i, window - len(row) + t], correct[i, window - len(row) + t] = activity, score
    none = torch.zeros(n, a, dtype=torch.int16)
    history = History(none, none, none, none.float(), recent, correct)
    mask = torch.ones(n, a, dtype=torch.bool)
    return Observation(torch.zeros(n, space.n_features), mask, ~mask[:, 0], history)


def by_hand(policy: ZPDES, group: list[int], answers: list[tuple[int, float]]) -> np.ndarray:
    """Return the choice probabilities after `answers`, by the rules as they are written."""
    d, a = policy.memory, len(group)
    weight, own = [policy.first_weight] * a, [[] for _ in range(a)]
    of_group: list[list[float]] = [[] for _ in range(max(group) + 1)]
    opened, closed = policy.start, set()
    for activity, score in answers:
        own[activity].append(score)
        last = own[activity][-d:]
        new, old = last[-(d // 2) :], last[: -(d // 2)]
        gain = max(0.0, np.mean(new) - (np.mean(old) if old else 0.0))
        weight[activity] = max(1e-6, policy.keep * weight[activity] + (1 - policy.keep) * gain)
        of_group[group[activity]].append(score)
        zone = [g for g in range(opened) if g not in closed]
        tried = [x for g in zone for x in of_group[g][-d:]]
        if len(tried) >= 2 and np.mean(tried) > policy.opens and opened < len(of_group):
            opened += 1
        done = {g for g in range(opened) if len(of_group[g]) >= d and np.mean(of_group[g][-d:]) > policy.closes}
        if set(range(opened)) - closed - done:
            closed |= done
    zone = [i for i in range(a) if group[i] < opened and group[i] not in closed]
    p = np.zeros(a)
    p[zone] = np.array(weight)[zone] + policy.explore * sum(np.array(weight)[zone])
    return p / p.sum()


def test_a_new_learner_is_in_the_first_group(space: Space) -> None:
    assert ZPDES(space)(seen_by(space, [[]]))[0].tolist() == [0.5, 0, 0.5, 0, 0]  # a0 and a2 begin with skill s0
    assert ZPDES(space, start=2)(seen_by(space, [[]]))[0].tolist() == [0.25, 0.25, 0.25, 0, 0.25]


def test_by_hand(space: Space) -> None:
    chance = np.random.default_rng(0)
    answers = [
        [(int(chance.integers(5)), float(chance.random() < 0.6)) for _ in range(n)] for n in (1, 2, 5, 9, 17, 30, 30)
    ]
    for policy in (ZPDES(space), ZPDES(space, memory=4, keep=0.5, explore=0.3, start=2, opens=0.4, closes=0.6)):
        found = policy(seen_by(space, answers)).numpy()
        for p, row in zip(found, answers, strict=True):
            np.testing.assert_allclose(p, by_hand(policy, [0, 1, 0, 2, 1], row), atol=1e-6)


def test_success_opens_and_closes(space: Space) -> None:
    policy = ZPDES(space)

    def zone(answers: list[tuple[int, float]]) -> list[int]:
        return policy(seen_by(space, [answers]))[0].nonzero()[:, 0].tolist()

    assert zone([(0, 0.0)] * 9) == [0, 2]
    assert zone([(0, 1.0)]) == [0, 2], "one answer says little"
    assert zone([(0, 1.0)] * 2) == [0, 1, 2, 4]
    assert zone([(0, 1.0)] * 6) == [1, 3, 4], "group 0 is left behind, groups 1 and 2 are open"


def test_where_the_guards_close_the_zone_anything_allowed_may_come(space: Space) -> None:
    seen = seen_by(space, [[]])._replace(mask=torch.tensor([[False, True, False, True, False]]))
    assert ZPDES(space)(seen)[0].tolist() == [0, 0.5, 0, 0.5, 0]


def test_without_a_window_it_says_so(kss: World) -> None:
    with pytest.raises(ValueError, match="window"):
        play(kss, ZPDES(kss.observer.space), 0, 4)


def test_it_plays_with_a_window(kss: World) -> None:
    from dataclasses import replace

    world = replace(kss, observer=replace(kss.observer, window=20))
    assert play(world, ZPDES(world.observer.space), 0, 30).legal_rate == 1.0
    room = Classroom(world, 0, 0, 3)
    p = ZPDES(world.observer.space)(room.observation)
    torch.testing.assert_close(p.sum(1), torch.ones(3))
