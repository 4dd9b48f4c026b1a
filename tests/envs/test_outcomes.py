"""Outcomes: golden values, and sums over a session that mean what their units say."""

from __future__ import annotations

import importlib
import inspect
from itertools import pairwise
from typing import Any, NamedTuple, Self

import pytest
import torch
from torch import Tensor

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs import outcomes
from trailmark.envs.classroom import Classroom, Pace, World
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import Outcome, Satisfaction, SkillsMastered, TimeToMastery
from trailmark.envs.rng import Rng
from trailmark.envs.student import Context, Response, Student
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.tally import Tally
from trailmark.envs.worlds import kss_world

ALL: dict[str, Outcome] = {
    kind.__name__: kind()
    for _, kind in inspect.getmembers(importlib.import_module(outcomes.__name__), inspect.isclass)
    if issubclass(kind, Outcome) and not inspect.isabstract(kind)
}


class Told(NamedTuple):
    """Mastery and goals as they are told."""

    mastery: Tensor
    goal: Tensor


class Puppet(Student):
    """A student whose mastery is whatever its state says."""

    catalog = None

    def fit(self, log: Any, catalog: Any) -> Self:
        return self

    def enrol(self, rng: Rng) -> Told:
        raise NotImplementedError

    def answer(self, state: Told, activity: Tensor, rng: Rng) -> tuple[Told, Response]:
        raise NotImplementedError

    def elapse(self, state: Told, days: Tensor, rng: Rng) -> Told:
        raise NotImplementedError

    def context(self, state: Told) -> Context:
        n = len(state.goal)
        none = torch.zeros(n, 0, dtype=torch.int64)
        return Context(none.new_zeros(n), state.goal, torch.full((n,), 60.0), none, none.float())

    def mastery(self, state: Told) -> Tensor:
        return state.mastery


GOAL = torch.tensor([[1.0, 1.0, 0.0]] * 3 + [[0.0, 0.0, 0.0]])
START = Told(torch.tensor([[0.2, 0.4, 0.9], [1.0, 1.0, 0.0], [0.96, 0.5, 0.1], [0.3, 0.3, 0.3]]), GOAL)
BEFORE = Told(torch.tensor([[0.3, 0.5, 0.9], [1.0, 1.0, 0.0], [0.97, 0.96, 0.1], [0.3, 0.3, 0.3]]), GOAL)
AFTER = Told(torch.tensor([[0.3, 0.96, 0.1], [0.9, 1.0, 1.0], [0.94, 0.96, 0.99], [0.9, 0.9, 0.9]]), GOAL)
YES = torch.tensor([True, True, False, True])
RESPONSE = Response(torch.ones(4), torch.tensor([10.0, 20.0, 30.0, 40.0]), YES, ~YES)
GOLDEN = {  # learners: on the way; with nothing to gain; who gets there and forgets; without a goal
    "LearningGain": [0.23, -0.05, -0.015, 0.0],
    "NormalisedGain": [0.23 / 0.7, 0.0, -0.015 / 0.27, 0.0],
    "StudyMinutes": [10.0, 20.0, 30.0, 40.0],
    "TimeToMastery": [10.0, 0.0, 0.0, 0.0],
    "SkillsMastered": [1.0, -1.0, -1.0, 0.0],
    "Completion": [1.0, 1.0, 0.0, 1.0],
    "Clicks": [1.0, 1.0, 1.0, 1.0],
    "Satisfaction": [0.0, 0.0, 0.0, 0.0],  # nobody is asked
}


@pytest.mark.parametrize("name", ALL)
def test_golden(name: str) -> None:
    got = ALL[name](Puppet(), START, BEFORE, RESPONSE, AFTER)
    assert got.dtype == torch.float32
    assert got.tolist() == pytest.approx(GOLDEN[name], abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_says_what_it_is(name: str) -> None:
    assert ALL[name].title
    assert ALL[name].unit


def test_direction_and_kind() -> None:
    assert [name for name, outcome in ALL.items() if not outcome.is_outcome] == [
        "Clicks",
        "Completion",
        "Satisfaction",
    ]
    assert [name for name, outcome in ALL.items() if not outcome.higher_is_better] == ["StudyMinutes", "TimeToMastery"]


def test_ratings_are_counted_where_they_are_asked_for() -> None:
    asked = RESPONSE._replace(liked=torch.tensor([0.5, -1.0, 0.0, 1.0]))
    assert Satisfaction()(Puppet(), START, BEFORE, asked, AFTER).tolist() == [0.5, -1.0, 0.0, 1.0]


def test_who_never_gets_there_is_charged_the_whole_budget() -> None:
    """60 minutes each. On the way and over: all that is left; with everything mastered, or not over: nothing more."""
    done = AFTER._replace(mastery=torch.ones(4, 3))
    over = RESPONSE._replace(finished=torch.ones(4, dtype=torch.bool), spent=torch.tensor([25.0, 45.0, 70.0, 40.0]))
    outcome = TimeToMastery()
    assert outcome(Puppet(), START, BEFORE, over, AFTER).tolist() == [10.0 + 35.0, 15.0, 0.0, 0.0]
    assert outcome(Puppet(), START, BEFORE, over, done).tolist() == [10.0, 0.0, 0.0, 0.0]
    still = over._replace(finished=torch.zeros(4, dtype=torch.bool))
    assert outcome(Puppet(), START, BEFORE, still, AFTER).tolist() == [10.0, 0.0, 0.0, 0.0]


def test_thresholds_are_settings() -> None:
    low = SkillsMastered(threshold=0.25)(Puppet(), START, START, RESPONSE, BEFORE)
    assert low.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert TimeToMastery(threshold=0.25)(Puppet(), START, BEFORE, RESPONSE, AFTER).tolist() == [0.0] * 4


@pytest.fixture(scope="module")
def sessions(log: Log, programme: Catalog) -> tuple[Classroom, dict[str, Tensor], list[Tensor], Tensor]:
    """Learners who forget, through whole sessions: the room at the end, sums, minutes and mastery step by step."""
    tracer = BKT().fit(log, programme)
    assert float(tracer.fitted().decay.max()) > 0
    student = SampledStudent(tracer, programme)
    observer = Observer(Tally().of(programme), programme, {}, 20)
    world = World(student, observer, ALL, {"LearningGain": 1.0}, Pace(5, 4.0))
    room = Classroom(world, 0, 0, 60, measure=True)
    sums, masteries = dict.fromkeys(ALL, torch.zeros(60)), [student.mastery(room.state)]
    minutes = torch.zeros(60)
    for _ in range(20):
        moment = room.step((room.act()[:, 0] * 7).long())
        sums = {name: total + moment.values[name] for name, total in sums.items()}
        first = ((masteries[-1] < 0.95) & (student.context(room.state).goal > 0)).any(1)
        minutes = minutes + moment.response.minutes * first
        masteries.append(student.mastery(room.state))
    return room, sums, masteries, minutes


def test_sums_over_a_session_are_end_minus_start(sessions: tuple[Any, ...]) -> None:
    room, sums, masteries, minutes = sessions
    goal = room.world.student.context(room.state).goal
    start, end = ((m * goal).sum(1) / goal.sum(1) for m in (masteries[0], masteries[-1]))
    assert torch.allclose(sums["LearningGain"], end - start, atol=1e-5)
    assert torch.allclose(sums["NormalisedGain"], (end - start) / (1 - start), atol=1e-5)
    counts = [((m >= 0.95) * goal).sum(1) for m in (masteries[0], masteries[-1])]
    assert torch.equal(sums["SkillsMastered"], counts[1] - counts[0])
    assert torch.allclose(sums["TimeToMastery"], minutes, atol=1e-3)
    assert sums["Completion"].tolist() == [20.0] * 60
    falls = [bool((b < a - 1e-3).any()) for a, b in pairwise(masteries)]
    assert sum(falls) >= 4  # learners forget on the way, so this is no sum of gains alone


def test_completion_counts_only_what_was_taken_up() -> None:
    room = Classroom(kss_world(), 0, 0, 50, measure=True)
    taken = torch.zeros(50)
    counted = torch.zeros(50)
    for t in range(20):
        alive = room.alive
        moment = room.step(torch.full((50,), t % 10))
        taken += moment.response.accepted * alive
        counted += moment.values["completion"]
    assert torch.equal(taken, counted)
    assert 0 < float(taken.mean()) < 15


def test_promotion_of_kss_random_walks_is_the_published_one() -> None:
    """Liu et al.'s learners under random legal moves: .3426 +- .0043 over 10,000; here 4,000 through the classroom."""
    room = Classroom(kss_world(), 7, 0, 4000)
    total = torch.zeros(4000)
    legal = torch.zeros(4000)
    for _ in range(20):
        cumulative = room.observation.mask.cumsum(1)
        wanted = (room.act()[:, 0] * cumulative[:, -1]).long()
        moment = room.step((cumulative > wanted[:, None]).to(torch.int8).argmax(1))
        assert bool((moment.response.accepted | ~moment.alive).all())
        total += moment.reward
        legal += moment.legal
    assert float(total.mean()) == pytest.approx(0.3426, abs=0.0043 + 4 * 0.2171 / 4000**0.5)
    assert bool((legal == 20).all())


def test_golden_covers_every_outcome() -> None:
    assert set(GOLDEN) == set(ALL)
