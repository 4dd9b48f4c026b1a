"""The classroom: sessions that end stay ended, time passes by the pace, and every step is accounted for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.classroom import Classroom, Moment, Pace, World
from trailmark.envs.guards import Offered, Prerequisites, TimeBudget
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import Completion, LearningGain
from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.rows import map_tensors, take
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.worlds import kss_world

N = 40


@pytest.fixture(scope="module")
def world(log: Log, programme: Catalog) -> World:
    """Learners with 120 minutes and at most 15 activities: some sessions end by time, some by length."""
    tracer = BKT().fit(log, programme)
    guards = {"offered": Offered(), "prerequisites": Prerequisites(0.6), "time_budget": TimeBudget()}
    outcomes = {"gain": LearningGain(), "done": Completion()}
    student = SampledStudent(tracer, programme, minutes=120.0)
    return World(student, Observer(tracer, programme, guards, 15), outcomes, {"gain": 1.0}, Pace(4, 3.0))


def leaves(record: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(lambda t: (found.append(t), t)[1], record)
    return found


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def legal_choice(room: Classroom) -> Tensor:
    cumulative = room.observation.mask.cumsum(1)
    wanted = (room.act()[:, 0] * cumulative[:, -1]).long()
    return (cumulative > wanted[:, None]).to(torch.int8).argmax(1)


def run(room: Classroom, steps: int) -> list[Moment]:
    return [room.step(legal_choice(room)) for _ in range(steps)]


def test_learners_whose_session_is_over_stay_as_they_are(world: World) -> None:
    room = Classroom(world, 0, 0, N, measure=True)
    ends = torch.zeros(N, dtype=torch.int64)
    for _ in range(18):
        state, record, alive, rng = room.state, room.record, room.alive, room.rng
        moment = room.step(legal_choice(room))
        ends += moment.ended
        over = ~alive
        assert torch.equal(moment.alive, alive)
        assert torch.equal(room.alive, alive & ~moment.ended)
        assert same(take(room.state, over), take(state, over))
        assert same(take(room.record, over), take(record, over))
        assert torch.equal(room.rng.step[over], rng.step[over])
        assert not bool(moment.ended[over].any())
        assert bool((moment.reward[over] == 0).all())
        assert all(bool((value[over] == 0).all()) for value in moment.values.values())
        assert torch.equal(moment.values["done"], alive.float())
        assert bool((room.record.step[alive] == record.step[alive] + 1).all())
    assert ends.tolist() == [1] * N
    assert not bool(room.alive.any())


def test_sessions_end_by_length_or_when_no_time_is_left(world: World) -> None:
    room = Classroom(world, 0, 0, N)
    run(room, 18)
    left = room.record.minutes_budget - room.record.minutes_used
    full, no_time = room.record.step == 15, left < 5.0
    assert bool((full | no_time).all())
    assert bool(full.any())
    assert bool((no_time & ~full).any())


def test_sessions_end_when_kss_learners_have_every_target() -> None:
    room = Classroom(kss_world(), 1, 0, 400)
    for _ in range(20):
        moment = room.step(legal_choice(room))
        reached = ((room.world.student.mastery(room.state) > 0) | (room.record.goal == 0)).all(1)
        assert torch.equal(reached & moment.alive & (room.record.step < 20), moment.ended & (room.record.step < 20))
    assert 0 < int((room.record.step < 20).sum()) < 400


def test_reward_is_the_weighted_sum_of_outcomes(world: World) -> None:
    weighed = replace(world, reward={"gain": 2.0, "done": -0.5})
    a, b = Classroom(world, 0, 0, N, measure=True), Classroom(weighed, 0, 0, N)
    for one, two in zip(run(a, 12), run(b, 12), strict=True):
        assert torch.allclose(two.reward, 2.0 * one.values["gain"] - 0.5 * one.values["done"])
        assert torch.equal(one.reward, one.values["gain"])


def test_only_weighed_outcomes_are_computed_unless_all_are_measured(world: World) -> None:
    unweighed = replace(world, reward={"gain": 1.0, "done": 0.0})
    assert set(run(Classroom(unweighed, 0, 0, 3), 1)[0].values) == {"gain"}
    assert set(run(Classroom(unweighed, 0, 0, 3, measure=True), 1)[0].values) == {"gain", "done"}


def test_a_reward_for_an_unknown_outcome_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match=r"weighs \['gian'\], which are not among the outcomes \['done', 'gain'\]"):
        replace(world, reward={"gian": 1.0})


def test_days_pass_after_each_sitting(world: World) -> None:
    """The belief after each step is that of the answer; after the fourth, eighth.. three days have gone by too."""
    room = Classroom(world, 3, 0, N)
    tracer = world.observer.tracer
    for t in range(1, 9):
        belief, alive = room.record.belief, room.alive
        activity = legal_choice(room)
        moment = room.step(activity)
        expected = tracer.update(belief, Evidence(activity, moment.response.correct))
        if t % 4 == 0:
            assert not same(take(tracer.elapse(expected, torch.full((N,), 3.0)), alive), take(expected, alive))
            expected = tracer.elapse(expected, torch.full((N,), 3.0))
        assert same(take(room.record.belief, alive), take(expected, alive))


def test_learners_in_step_forget_as_they_are_told(world: World) -> None:
    """The student's own state decays by the same days: here student and observer share a model and one class."""
    still, paced = (Classroom(replace(world, pace=Pace(4, days)), 3, 0, N) for days in (0.0, 3.0))
    for t in range(4):
        a, b = run(still, 1)[0], run(paced, 1)[0]
        assert torch.equal(a.response.correct, b.response.correct)
        mastery = [world.student.mastery(room.state)[room.alive] for room in (still, paced)]
        assert bool((mastery[1] < mastery[0]).any()) == (t == 3)


def test_legal_is_what_the_mask_said(world: World) -> None:
    room = Classroom(world, 0, 0, N)
    everything = []
    for t in range(10):
        mask, handover = room.observation.mask, room.observation.handover
        activity = torch.full((N,), t % 7)
        moment = room.step(activity)
        assert torch.equal(moment.legal, mask[:, t % 7])
        assert torch.equal(moment.handover, handover)
        everything.append(moment.legal)
    assert 0 < float(torch.stack(everything).float().mean()) < 1


def test_unguarded_rules_advise_and_forbid_nothing(world: World) -> None:
    free, bound = Classroom(world, 0, 0, N, guarded=False), Classroom(world, 0, 0, N)
    assert bool(free.observation.mask.all())
    for t in range(10):
        activity = torch.full((N,), t % 7)
        a, b = free.step(activity), bound.step(activity)
        assert torch.equal(a.legal, b.legal)
        assert torch.equal(a.reward, b.reward)
        assert torch.equal(a.ended, b.ended)
        assert torch.equal(a.observation.features, b.observation.features)
        assert bool(a.observation.mask.all())


def test_nothing_allowed_is_a_handover_to_the_fallback(world: World, programme: Catalog) -> None:
    closed = replace(world, observer=replace(world.observer, guards={"never": Prerequisites(2.0)}))
    catalog = replace(programme, activities=tuple(replace(a, skills=("c",)) for a in programme.activities))
    closed = replace(closed, observer=replace(closed.observer, catalog=catalog))
    room = Classroom(closed, 0, 0, 4)
    assert bool(room.observation.handover.all())
    assert room.observation.mask.nonzero()[:, 1].tolist() == [programme.fallback] * 4
    moment = room.step(torch.full((4,), programme.fallback))
    assert bool(moment.handover.all())
    assert bool(moment.legal.all())


def test_renew_brings_new_learners_and_leaves_the_others(world: World) -> None:
    room = Classroom(world, 0, 0, N)
    run(room, 18)
    state, record, observation, rng = room.state, room.record, room.observation, room.rng
    rows = torch.arange(N) % 3 == 0
    room.renew(rows)
    assert torch.equal(room.alive, rows)
    assert same(take(room.state, ~rows), take(state, ~rows))
    assert same(take(room.record, ~rows), take(record, ~rows))
    assert same(take(room.observation, ~rows), take(observation, ~rows))
    assert room.record.step[rows].tolist() == [0] * int(rows.sum())
    assert torch.equal(room.rng.episode, rng.episode + rows.long())
    assert torch.equal(room.rng.step, torch.where(rows, 0, rng.step))
    assert torch.equal(room.rng.learner, rng.learner)
    assert same(take(room.start, rows), take(room.state, rows))
    learner = torch.arange(N)
    enrolled = world.student.enrol(Rng(0, learner, torch.ones_like(learner), torch.zeros_like(learner)))
    assert same(take(room.state, rows), take(enrolled, rows))
    first = Classroom(world, 0, 0, N)
    assert not torch.equal(first.act(), room.act())
    moment = room.step(legal_choice(room))
    assert bool((moment.reward[~rows] == 0).all())
    assert bool((moment.reward[rows] != 0).any())


def test_uniforms_for_acting_are_of_the_step(world: World) -> None:
    room = Classroom(world, 9, 5, 6)
    assert len(room) == 6
    assert torch.equal(room.act(3), Rng.enrol(9, 5, 6).uniform(Purpose.ACT, 3))
    run(room, 1)
    assert torch.equal(room.act(), Rng.enrol(9, 5, 6).at(1).uniform(Purpose.ACT))
