"""Outcomes of weeks later: they add up over a session, and by hand they come out the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from trailmark.data.programmes import onboarding
from trailmark.envs.classroom import Classroom, Moment, Pace, World
from trailmark.envs.guards import Offered
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import Outcome
from trailmark.envs.outcomes_later import (
    CoachHours,
    Dropout,
    JobPerformance,
    JobRetention,
    LeadershipBehaviour,
    Retention,
    Shaping,
    TimeToProficiency,
    tail_mean,
    worst_group,
)
from trailmark.envs.student import Student
from trailmark.envs.students.kss import KSS
from trailmark.envs.students.ssr import SSR
from trailmark.envs.students.ssr_population import Population
from trailmark.envs.tracers.tally import Tally

OWN = Pace(4, 0.0)  # learners come when they do
OUTCOMES: dict[str, Outcome] = {
    "kept": Retention(30.0),
    "kept90": Retention(90.0),
    "kept_course": Retention(30.0, 91.0),
    "job_course": JobPerformance(60.0, 91.0),
    "shaping": Shaping(30.0, 0.9),
    "job": JobPerformance(),
    "left": Dropout(),
    "coach": CoachHours(),
    "days": TimeToProficiency(0.6),
    "charged": TimeToProficiency(0.6, 91.0),
    "stays": JobRetention(12.0),
}


def world(student: Student, pace: Pace = OWN) -> World:
    catalog = student.catalog
    assert catalog is not None
    observer = Observer(Tally().of(catalog), catalog, {"offered": Offered()}, 20)
    return World(student, observer, OUTCOMES, {"kept": 1.0}, pace)


def lived(room: Classroom, steps: int) -> list[Moment]:
    told = []
    for _ in range(steps):
        legal = room.observation.mask.cumsum(1)
        wanted = (room.act()[:, 0] * legal[:, -1]).long()
        told.append(room.step((legal > wanted[:, None]).to(torch.int8).argmax(1)))
    return told


@pytest.fixture(scope="module")
def student() -> SSR:
    return SSR(population=Population(onboarding=120.0)).fit(None, onboarding())


@pytest.fixture(scope="module")
def session(student: SSR) -> tuple[Classroom, list[Moment]]:
    room = Classroom(world(student), 3, 0, 300, measure=True)
    return room, lived(room, 20)


def test_retention_and_performance_add_up(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    room, told = session
    goal = student.context(room.start).goal
    for name, days in (("kept", 30.0), ("kept90", 90.0)):
        total = torch.stack([moment.values[name] for moment in told]).sum(0)
        ends = [(student.kept(state, days) * goal).sum(1) / goal.sum(1) for state in (room.start, room.state)]
        torch.testing.assert_close(total, ends[1] - ends[0], rtol=1e-3, atol=1e-5)
    total = torch.stack([moment.values["job"] for moment in told]).sum(0)
    job = JobPerformance()
    gained = job.level(student, room.state) - job.level(student, room.start)
    torch.testing.assert_close(total, gained, rtol=1e-3, atol=1e-5)
    assert float(job.level(student, room.start).mean()) < 0.62
    kept = student.kept(room.state, 90.0) <= student.kept(room.state, 30.0) + 1e-6
    assert bool(kept.all())


def test_what_is_kept_is_mastery_after_waiting(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    """Only time matters, so the short way gives what going through the absence gives, luck included."""
    state = session[0].state
    assert torch.equal(student.kept(state, 30.0), Student.kept(student, state, 30.0))
    assert bool((student.kept(state, 30.0) < student.mastery(state)).any())
    at_work = replace(student, job_use=2.0)
    assert bool((at_work.kept(state, 30.0) > student.kept(state, 30.0)).any())


def test_with_a_course_both_ends_look_at_one_day(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    """Day 91 + 30 from enrolment for everybody: who does nothing but wait gains and loses nothing."""
    room, told = session
    goal = student.context(room.start).goal
    total = torch.stack([moment.values["kept_course"] for moment in told]).sum(0)
    ends = [(student.kept(s, 121.0 - s.now) * goal).sum(1) / goal.sum(1) for s in (room.start, room.state)]
    torch.testing.assert_close(total, ends[1] - ends[0], rtol=1e-3, atol=1e-4)
    rng = room.rng.at(99)
    waited = student.elapse(room.start, torch.full((300,), 10.0), rng)
    torch.testing.assert_close(student.kept(waited, 111.0), student.kept(room.start, 121.0), rtol=1e-4, atol=1e-5)
    total = torch.stack([moment.values["job_course"] for moment in told]).sum(0)
    job = JobPerformance()
    gained = job.level(student, room.state, 151.0 - room.state.now) - job.level(student, room.start, 151.0)
    torch.testing.assert_close(total, gained, rtol=1e-3, atol=1e-4)


def test_performance_by_hand(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    room, _ = session
    distance = (0.5 - room.state.transfer.double()).clamp_min(0.0)
    assert 0.0 < float((distance < 0.5).double().mean()) < 1.0  # practice close to the job has bridged some of it
    near = torch.sigmoid(torch.logit(student.kept(room.state, 60.0).double()) - distance)
    goal = student.context(room.state).goal
    expected = ((0.10 + 0.85 * near) * goal).sum(1) / goal.sum(1) * 0.62 * 0.5 ** (60 / 395)
    torch.testing.assert_close(JobPerformance().level(student, room.state).double(), expected, rtol=1e-4, atol=1e-5)
    far = JobPerformance(distance=1.0).level(student, room.state)
    assert bool((far < JobPerformance().level(student, room.state)).all())


def test_leadership_is_what_is_shown_of_the_skills_named(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    room, _ = session
    distance = (1.0 - room.state.transfer.double()).clamp_min(0.0)
    shown = torch.sigmoid(torch.logit(student.kept(room.state, 90.0).double()) - distance)
    goal = student.context(room.state).goal
    scale = 0.62 * 0.5 ** (90 / 395)
    expected = (shown * goal).sum(1) / goal.sum(1) * scale
    level = LeadershipBehaviour().level(student, room.state)
    torch.testing.assert_close(level.double(), expected, rtol=1e-4, atol=1e-5)
    assert student.catalog is not None
    k = int(goal.all(0).nonzero()[0])  # a skill that everybody needs
    one = LeadershipBehaviour((student.catalog.skill_ids[k],)).level(student, room.state)
    torch.testing.assert_close(one.double(), shown[:, k] * scale, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no skill 'charisma'"):
        LeadershipBehaviour(("charisma",)).level(student, room.state)


def test_staying_in_the_job_is_counted_at_the_end(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    room, told = session
    total = torch.stack([moment.values["stays"] for moment in told]).sum(0)
    over = ~room.alive
    assert bool(over.any())
    p_quit = student.p_quit(room.state).double()
    torch.testing.assert_close(total.double(), (1 - p_quit) ** 12 * over, rtol=1e-4, atol=1e-6)
    assert 0.004 < float(p_quit.median()) < 0.03
    settled = room.state._replace(acceptance=room.state.acceptance + 1.0)
    torch.testing.assert_close(student.p_quit(settled).double(), p_quit * torch.e**-0.4, rtol=1e-4, atol=0)
    surer = room.state._replace(belief=(room.state.belief + 0.1).clamp_max(1.0))
    assert bool((student.p_quit(surer) < student.p_quit(room.state)).all())


def test_who_never_gets_there_is_charged_all_days(session: tuple[Classroom, list[Moment]]) -> None:
    room, told = session
    lived_days = torch.stack([moment.values["days"] for moment in told]).sum(0)
    charged = torch.stack([moment.values["charged"] for moment in told]).sum(0)
    over, day = ~room.alive, room.record.day
    never = over & (charged > lived_days)
    torch.testing.assert_close(charged[never], (lived_days + 91.0 - day)[never], rtol=1e-4, atol=1e-2)
    assert torch.equal(charged[~over], lived_days[~over])
    assert bool(never.any())


def test_who_leaves_is_counted_once(session: tuple[Classroom, list[Moment]]) -> None:
    room, told = session
    total = torch.stack([moment.values["left"] for moment in told]).sum(0)
    assert set(total.tolist()) == {0.0, 1.0}
    over = ~room.alive
    assert bool((over | (total == 0)).all())
    assert bool(room.state.left[total == 1].all())


def test_coach_hours_and_days_by_hand(student: SSR, session: tuple[Classroom, list[Moment]]) -> None:
    room, told = session
    hours = torch.stack([moment.values["coach"] for moment in told]).sum(0)
    torch.testing.assert_close(hours, room.state.coach / 60.0)
    assert float(hours.max()) > 0.2
    days = torch.stack([moment.values["days"] for moment in told]).sum(0)
    assert bool((days <= room.state.now + 1e-3).all())
    assert float(days.mean()) > 0


def test_learners_without_these_mechanisms_count_nothing() -> None:
    room = Classroom(world(KSS(), Pace(2, 3.0)), 0, 0, 50, measure=True)
    told = lived(room, 4)
    assert not any(bool(moment.values["left"].any() | moment.values["coach"].any()) for moment in told)
    assert told[0].response.days is not None
    assert [float(moment.response.days.max()) for moment in told] == [0.0, 3.0, 0.0, 3.0]  # type: ignore[union-attr]
    total = torch.stack([moment.values["days"] for moment in told]).sum(0)
    assert float(total.max()) == pytest.approx(6.0 + 4 / 1440, abs=1e-4)


def test_shaping_discounts_what_comes(student: SSR) -> None:
    room = Classroom(world(student), 3, 0, 50)
    start = room.state
    moment = lived(room, 1)[0]
    goal = student.context(start).goal

    def level(state: object) -> torch.Tensor:
        return (student.kept(state, 30.0) * goal).sum(1) / goal.sum(1)

    shaped = Shaping(30.0, 0.9)(student, start, start, moment.response, room.state)
    torch.testing.assert_close(shaped, 0.9 * level(room.state) - level(start))
    whole = Shaping(30.0, 1.0)(student, start, start, moment.response, room.state)
    torch.testing.assert_close(whole, Retention(30.0)(student, start, start, moment.response, room.state))
    last = moment.response._replace(finished=torch.ones(50, dtype=torch.bool))
    at_the_end = Shaping(30.0, 1.0)(student, start, start, last, room.state)
    torch.testing.assert_close(at_the_end, -level(start))  # so whole sessions earn the same, whatever is done in them


def test_time_away_is_what_learners_say(student: SSR) -> None:
    """Without a pace of the classroom, the days of a step are the learner's own, and state and clock follow them."""
    room = Classroom(world(student), 3, 0, 200)
    before = room.state.now
    moment = lived(room, 1)[0]
    assert moment.response.days is not None
    torch.testing.assert_close(room.state.now, before + moment.response.minutes / 1440.0 + moment.response.days)
    paced = Classroom(replace(world(student), pace=Pace(1, 5.0)), 3, 0, 200)
    slow = lived(paced, 1)[0]
    torch.testing.assert_close(slow.response.days, moment.response.days + 5.0)


def test_tails_and_groups() -> None:
    values = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
    assert float(tail_mean(values, 0.4)) == 1.5
    assert float(tail_mean(values, 0.01)) == 1.0
    assert float(tail_mean(values, 1.0)) == 3.0
    assert float(worst_group(values, torch.tensor([0, 3, 0, 3, 0]))) == 1.5
    with pytest.raises(ValueError, match="share is 0"):
        tail_mean(values, 0)
