"""SSR as a whole: answers, learning, forgetting, prerequisites, kinds, motivation, time, coaches; and switches."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import trailmark.configs
from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.envs.pack import load, save
from trailmark.envs.rng import Rng
from trailmark.envs.rows import take
from trailmark.envs.student import Student
from trailmark.envs.students.ssr import SSR
from trailmark.envs.students.ssr_acquisition import Acquisition
from trailmark.envs.students.ssr_kinds import STANDARD, Kind
from trailmark.envs.students.ssr_memory import Memory
from trailmark.envs.students.ssr_motivation import Motivation
from trailmark.envs.students.ssr_population import Material, Population
from trailmark.envs.validity.laboratory import STILL, UNIFORM, Visit, material, participants
from trailmark.experiments.build import check, make

KINDS = ("video", "reading", "worked example", "practice", "quiz", "review", "project", "coaching", "nothing")
EACH = material(2, tuple((kind, 10.0) for kind in KINDS))


def first_of(kind: str) -> int:
    return 2 * KINDS.index(kind)


def still(catalog: Catalog = EACH, **how: object) -> SSR:
    """Learners who do as they are told, on two skills and an activity of each kind for each."""
    return replace(participants(catalog, dict(STANDARD), SSR(), Population(age=0.0), Material()), **how)


@pytest.fixture(scope="module")
def onboarding() -> SSR:
    return SSR().fit(None, None)


def walk(student: Student, n: int, steps: int, seed: int = 0) -> Visit:
    visit = Visit.of(student, n, seed)
    assert student.catalog is not None
    for t in range(steps):
        visit, response = visit.give((7 * visit.rng.learner + 3 * t) % len(student.catalog.activities))
        assert response.days is not None
        state = student.elapse(visit.state, response.days, visit.rng.at(visit.step))
        visit = replace(visit, state=state, step=visit.step + 1)
    return visit


def test_it_needs_a_catalogue_and_brings_one() -> None:
    with pytest.raises(RuntimeError, match="no catalogue yet"):
        SSR().enrol(Rng.enrol(0, 0, 2))
    assert SSR().fit(None, None).catalog is not None
    assert SSR().fit(None, EACH).catalog is EACH
    assert SSR(catalog=EACH).fit(None, None).catalog is EACH


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="no activity kind 'dance'"):
        SSR(catalog=material(1, (("dance", 3.0),))).enrol(Rng.enrol(0, 0, 2))


def test_answers_come_as_often_as_stated() -> None:
    """Single problems of one, two and three skills: right answers less stated ones, in standard errors."""
    names = ("a", "b", "c")
    catalog = Catalog(
        tuple(map(Skill, names)),
        tuple(Activity(f"p{i}", "", "practice", names[:i], 3.0) for i in (1, 2, 3)),
    )
    student = still(catalog)
    visit = Visit.of(student, 20_000, 0).wait(20.0)
    for t in range(6):
        activity = (visit.rng.learner + t) % 3
        p = student.p_correct(visit.state, activity).double()
        visit, response = visit.give(activity)
        error = response.correct - p
        for rows in (activity >= 0, activity == 0, activity == 1, activity == 2, p > p.median()):
            z = error[rows].sum() / torch.sqrt((p * (1 - p))[rows].sum())
            assert abs(float(z)) < 3.7
        visit = visit.wait(3.0)


def test_several_skills_are_all_needed() -> None:
    """Noisy AND: guess + (1 - guess - slip) times the product of knowing and reaching each."""
    catalog = Catalog((Skill("a"), Skill("b")), (Activity("both", "", "practice", ("a", "b"), 3.0),))
    student = replace(still(catalog), material=UNIFORM)
    state = Visit.of(student, 200, 0).wait(30.0).state
    expected = 0.10 + 0.85 * student.mastery(state).prod(1)
    torch.testing.assert_close(student.p_correct(state, torch.zeros(200, dtype=torch.int64)), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_an_activity_moves_its_skill_only_and_nothing_moves_nothing(kind: str) -> None:
    start = Visit.of(still(coach_hours=9.0), 300, 0)
    after, response = start.give(first_of(kind))
    for name in ("strength", "stability", "seen", "belief", "exposed"):
        assert torch.equal(getattr(after.state, name)[:, 1], getattr(start.state, name)[:, 1])
    assert bool(response.accepted.all())
    grown = after.state.strength[:, 0] - start.state.strength[:, 0]
    assert bool((grown > 0).all()) == (kind != "nothing")
    assert bool((grown == 0).all()) == (kind == "nothing")
    assert torch.equal(after.state.now > start.state.now, torch.ones(300, dtype=torch.bool))


def test_doing_teaches_more_than_watching_and_feedback_more_than_none() -> None:
    def grown(kind: str) -> float:
        start = Visit.of(still(coach_hours=9.0), 2000, 0)
        after, _ = start.give(first_of(kind))
        return float((after.state.strength - start.state.strength)[:, 0].mean())

    assert grown("project") > grown("quiz") > grown("video") > 0
    assert grown("practice") / 2.4 > grown("video") / 6.0  # a minute of each
    assert grown("coaching") > grown("quiz")
    start = Visit.of(still(), 500, 0)
    seen = start
    sizes = []
    for _ in range(3):
        before = seen.state.strength[:, 0]
        seen, _ = seen.give(first_of("video"))
        sizes.append(float((seen.state.strength[:, 0] - before).mean()))
    assert sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.01)
    assert sizes[2] / sizes[0] == pytest.approx(0.25, abs=0.01)


@settings(max_examples=40)
@given(st.floats(-2, 3), st.floats(0.02, 200), st.floats(0.0, 100), st.sampled_from(["practice", "quiz", "review"]))
def test_a_right_answer_never_leaves_less_than_a_wrong_one(theta: float, s: float, gap: float, kind: str) -> None:
    """Learners alike before one problem: those who were right are not behind, at once and a month later."""
    student = still(replace_minutes(EACH))
    visit = Visit.of(student, 64, 3)
    k = torch.zeros(64, 2)
    state = visit.state._replace(strength=k + theta, stability=k + s, seen=k, rate=torch.ones(64), belief=k + 0.5)
    visit = replace(visit, state=state).wait(gap)
    one = replace(student, kinds={**STANDARD, kind: replace(STANDARD[kind], trials=1)})
    after, response = replace(visit, student=one).give(first_of(kind))
    right, wrong = response.correct > 0.5, response.correct < 0.5
    if bool(right.any()) and bool(wrong.any()):
        assert float(after.state.strength[right, 0].min()) >= float(after.state.strength[wrong, 0].max())
        assert float(after.state.belief[right, 0].min()) > float(after.state.belief[wrong, 0].max())


def replace_minutes(catalog: Catalog) -> Catalog:
    return Catalog(catalog.skills, tuple(replace(activity, minutes=1.0) for activity in catalog.activities))


@settings(max_examples=30)
@given(st.floats(0.0, 300.0), st.floats(0.0, 300.0))
def test_two_absences_are_one(a: float, b: float) -> None:
    visit = Visit.of(still(), 50, 0)
    visit, _ = visit.give(first_of("practice"))
    torch.testing.assert_close(visit.wait(a).wait(b).mastery(), visit.wait(a + b).mastery(), rtol=1e-4, atol=1e-5)
    assert bool((visit.wait(a + b).mastery() <= visit.wait(a).mastery() + 1e-6).all())


def test_prerequisites_gate_learning() -> None:
    """A learner without the prerequisite gains .15 of what one with it gains, all else equal."""
    catalog = Catalog((Skill("a"), Skill("b", "", ("a",))), (Activity("p", "", "practice", ("b",), 3.0),))
    student = replace(still(catalog), acquisition=Acquisition(kappa=0.0, feedback=False))

    def grown(strength: float, who: SSR = student) -> torch.Tensor:
        start = Visit.of(who, 100, 0)
        low = start.state.strength.clone()
        low[:, 0] = strength
        start = replace(start, state=start.state._replace(strength=low))
        after, _ = start.give(0)
        return (after.state.strength - start.state.strength)[:, 1]

    torch.testing.assert_close(grown(-30.0), 0.15 * grown(30.0), rtol=1e-4, atol=1e-6)
    open_ = replace(student, acquisition=replace(student.acquisition, gate=1.0))
    torch.testing.assert_close(grown(-30.0, open_), grown(30.0, open_))


def test_every_mechanism_can_be_switched_off() -> None:
    start = Visit.of(still(acquisition=Acquisition(rate=0.0), memory=Memory(forgets=False)), 200, 0)
    visit = start
    for t in range(8):
        visit, _ = visit.give(t % 4 + first_of("practice"))
    assert torch.equal(visit.wait(500.0).mastery(), start.mastery())
    off = SSR(motivation=STILL).fit(None, None)
    visit = walk(off, 200, 12)
    assert not bool(visit.state.left.any())
    assert bool(off.context(visit.state).minutes.isinf().all())
    _, response = visit.give(0)
    assert response.days is not None
    assert not bool(response.days.any())


def test_learners_leave_less_when_they_must_stay_or_have_a_coach(onboarding: SSR) -> None:
    def left(student: SSR, coached: bool = False) -> float:
        visit = Visit.of(student, 4000, 0)
        if coached:
            visit = replace(visit, state=visit.state._replace(coached=torch.zeros(4000)))
        return float(visit.wait(28.0).state.left.float().mean())

    must = replace(onboarding, motivation=Motivation(mandatory=True))
    assert left(must) < 0.1 < left(onboarding, coached=True) < left(onboarding) < 0.9


def test_who_left_learns_nothing_more(onboarding: SSR) -> None:
    visit = walk(onboarding, 800, 10).wait(60.0)
    gone = visit.state.left
    assert 0.1 < float(gone.float().mean()) < 0.95
    after, response = visit.give(5)
    assert response.left is not None
    assert torch.equal(response.accepted[gone], torch.zeros(int(gone.sum()), dtype=torch.bool))
    assert bool(response.finished[gone].all())
    assert bool(response.left[gone].all())
    assert torch.equal(after.state.strength[gone], visit.state.strength[gone])


def test_the_programme_ends() -> None:
    student = still(motivation=replace(STILL, rhythm=True), population=Population(weeks=2.0))
    visit = Visit.of(student, 50, 0)
    assert not bool(visit.give(0)[1].finished.any())
    assert bool(visit.wait(14.0).give(0)[1].finished.all())


def test_a_week_has_its_minutes() -> None:
    """Who has used up the week comes back in the next one."""
    patient = Motivation(quits=False, leaves=False)
    student = still(motivation=patient, population=Population(age=0.0, onboarding=30.0, weeks=8.0))
    visit = Visit.of(student, 400, 0)
    spent = torch.zeros(400)
    stopped = torch.zeros(400, dtype=torch.bool)
    for _ in range(40):
        visit, response = visit.give(first_of("practice"), ~stopped)
        assert response.days is not None
        spent = spent + response.minutes * ~stopped
        ends = (response.days > 0) & ~stopped
        assert bool((spent[ends] >= visit.state.onboarding[ends]).all())
        assert bool((response.days[ends] + visit.state.now[ends] >= 7.0 - 1e-4).all())
        stopped = stopped | ends
    assert bool(stopped.all())


def test_mandatory_work_is_ticked_off_and_hurries_learners_before_it_is_due() -> None:
    names = ("law", "talk")
    catalog = Catalog(
        tuple(map(Skill, names)),
        (Activity("law", "", "quiz", ("law",), 3.0, mandatory=True), Activity("rest", "", "nothing", ("talk",), 1.0)),
    )
    eager = replace(still(catalog), motivation=replace(STILL, rhythm=True), deadline=3.0)
    visit = Visit.of(eager, 4000, 0)
    assert bool(visit.state.todo.all())
    done, _ = visit.give(0)
    assert not bool(done.state.todo.any())
    _, hurried = visit.give(1)
    _, calm = done.give(1)
    assert hurried.days is not None
    assert calm.days is not None
    assert float(hurried.days.mean()) < 0.6 * float(calm.days.mean())


def test_coaches_are_few() -> None:
    coach = first_of("coaching")
    minutes = material(2, tuple((kind, 30.0) for kind in KINDS))
    student = still(minutes, coach_hours=1.2, coach_days=7.0)
    visit = Visit.of(student, 300, 0)
    visit, first = visit.give(coach)
    assert bool(first.accepted.all())
    assert first.coach is not None
    torch.testing.assert_close(first.coach, first.minutes)
    assert not bool(visit.wait(2.0).give(coach)[1].accepted.any())  # too soon
    third = visit.wait(7.5)
    for _ in range(2):
        third, response = third.give(coach)
        third = third.wait(7.5)
    assert 55.0 < float(third.state.coach.max()) <= 72.001  # the hours are used up
    assert not bool(response.accepted.all())
    assert not bool(Visit.of(still(minutes, coach_hours=0.0), 50, 0).give(coach)[1].accepted.any())


def test_a_phone_takes_no_project() -> None:
    visit = Visit.of(still(population=Population(mobile=1.0)), 20, 0)
    assert not bool(visit.give(first_of("project"))[1].accepted.any())
    assert bool(visit.give(first_of("video"))[1].accepted.all())


def test_confusable_skills_are_told_apart_by_switching() -> None:
    names = ("a", "b", "c")
    catalog = Catalog(
        tuple(map(Skill, names)),
        (
            *(Activity(f"p {name}", "", "practice", (name,), 3.0) for name in names),
            Activity("mix", "", "interleaved", ("a", "b"), 12.0),
        ),
    )
    student = still(catalog)
    assert student.on(torch.device("cpu")).group.tolist() == [0, 0, -1]
    start = Visit.of(student, 500, 0)
    blocked, _ = start.give(0)
    blocked, _ = blocked.give(0)
    assert torch.equal(blocked.state.cue, start.state.cue)
    mixed, _ = blocked.give(1)
    torch.testing.assert_close(mixed.state.cue, start.state.cue + 0.05)
    other, _ = blocked.give(2)
    assert torch.equal(other.state.cue, start.state.cue)
    zero = torch.zeros(500, dtype=torch.int64)
    assert bool((student.p_correct(blocked.state, zero + 1) <= student.p_correct(start.state, zero + 1)).all())
    sets, _ = start.give(3)
    torch.testing.assert_close(sets.state.cue, start.state.cue + 5 * 0.05)
    off = replace(student, material=Material(contrast=0.0))
    assert torch.equal(Visit.of(off, 500, 0).give(3)[0].state.cue, Visit.of(off, 500, 0).state.cue)


def test_use_at_work_keeps_skills() -> None:
    idle, busy = Visit.of(still(), 1000, 0), Visit.of(still(job_use=1.0), 1000, 0)
    for _ in range(10):
        idle, busy = idle.wait(30.0), busy.wait(30.0)
    assert float(busy.mastery().mean()) > float(idle.mastery().mean()) + 0.1


def test_the_second_language_costs_reading_and_slips() -> None:
    student = still()
    start = Visit.of(student, 400, 0)
    foreign = replace(start, state=start.state._replace(group=torch.full((400,), 3)))
    plain, slow = (
        v.give(first_of("reading"))[0].state.strength[:, 0] - start.state.strength[:, 0] for v in (start, foreign)
    )
    torch.testing.assert_close(slow, 0.8 * plain, rtol=1e-3, atol=1e-6)
    zero = torch.zeros(400, dtype=torch.int64)
    assert bool((student.p_correct(foreign.state, zero) < student.p_correct(start.state, zero)).all())


def test_confidence_is_too_high_where_knowledge_is_low() -> None:
    student = still()
    visit = Visit.of(student, 4000, 0)
    said = student.confidence(visit.state, visit.rng)[:, 0]
    assert bool(((said >= 0) & (said <= 1)).all())
    p = student.p_correct(visit.state, torch.full((4000,), first_of("practice")))
    low, high = p < p.quantile(0.25), p > p.quantile(0.75)
    assert float((said - p)[low].mean()) > float((said - p)[high].mean()) + 0.02


def test_saved_and_loaded_they_live_the_same_life(tmp_path: Path, onboarding: SSR) -> None:
    save(onboarding, tmp_path / "ssr")
    a, b = walk(onboarding, 20, 10), walk(load(tmp_path / "ssr"), 20, 10)
    assert all(torch.equal(x, y) for x, y in zip(a.state, b.state, strict=True))


@pytest.mark.parametrize("first", [0, 3, 40, 63])
def test_one_alone_lives_as_in_a_crowd(onboarding: SSR, first: int) -> None:
    """Through every kind of activity, bit for bit; also for a crowd of uneven size."""
    busy = replace(onboarding, job_use=0.5, population=Population(vulnerable=0.2, mobile=0.2))
    n = len(busy.catalog.activities) if busy.catalog else 0

    def life(rng: Rng) -> tuple[torch.Tensor, ...]:
        state, told = busy.enrol(rng), []
        for t in range(25):
            state, response = busy.answer(state, (11 * rng.learner + 9 * t) % n, rng.at(t))
            assert response.days is not None
            state = busy.elapse(state, response.days + (rng.learner % 3 == 0), rng.at(t))
            told.append(response.correct)
        return (*state, *told)

    whole = life(Rng.enrol(4, 0, 67))
    for alone, together in zip(life(Rng.enrol(4, first, 1)), whole, strict=True):
        assert torch.equal(alone[0], together[first])


def test_the_yaml_says_the_defaults() -> None:
    path = Path(trailmark.configs.__file__).parent / "student" / "ssr.yaml"
    node = yaml.safe_load(path.read_text())
    check(node)
    made = make(node)
    for field in fields(SSR):
        assert getattr(made, field.name) == getattr(SSR(), field.name), field.name
    parts = (Acquisition, Memory, Motivation, Population, Material)
    for part in parts:
        assert set(node[part.__name__.lower()]) - {"_target_"} == {field.name for field in fields(part)}


def test_kinds_can_be_added() -> None:
    kinds = {**STANDARD, "game": Kind(3, False)}
    student = SSR(catalog=material(1, (("game", 4.0),)), kinds=kinds)
    _, response = Visit.of(student, 40, 0).give(0)
    assert set((3 * response.correct).round().tolist()) <= {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("corrects", [False, True])
def test_a_failure_counts_for_memory_only_when_the_answer_is_shown(corrects: bool) -> None:
    """Bifurcation: without feedback, what did not come to mind stays where it was; clock and stability alike."""
    kinds = {"practice": replace(STANDARD["practice"], guess=0.0, corrects=corrects)}
    one = participants(material(1, (("practice", 2.0),)), kinds, SSR(), Population(), replace(UNIFORM, slip=0.0))
    before = Visit.of(one, 2000, 0).wait(40.0)
    after, response = before.give(0)
    right = response.correct > 0.5
    old, new = before.state, after.state
    assert bool((new.seen[right, 0] == old.now[right]).all())
    assert bool((new.stability[right] > old.stability[right]).all())
    wrong = ~right
    assert bool((new.seen[wrong, 0] == old.now[wrong]).all()) == corrects
    assert torch.equal(new.seen[wrong], old.seen[wrong]) == (not corrects)
    assert torch.equal(new.stability[wrong], old.stability[wrong]) == (not corrects)
    assert bool((new.stability[wrong] <= old.stability[wrong]).all())


def test_activities_of_several_skills_teach_all_and_only_those() -> None:
    """Growth by hand: rate times challenge at P(all known) times feedback; padding writes nothing."""
    catalog = Catalog(
        (Skill("a"), Skill("b"), Skill("c")),
        (
            Activity("one", "", "practice", ("a",), 2.0),
            Activity("two", "", "practice", ("b", "c"), 2.0),
            Activity("last", "", "practice", ("c",), 2.0),
        ),
    )
    student = participants(catalog, dict(STANDARD), SSR(memory=Memory(forgets=False)), Population(), UNIFORM)
    start = Visit.of(student, 500, 0)
    strength = start.state.strength + torch.tensor([0.0, 1.0, -1.5])
    start = replace(start, state=start.state._replace(strength=strength))
    for activity, skills in ((0, [0]), (1, [1, 2]), (2, [2])):
        after, response = start.give(activity)
        grown = after.state.strength - strength
        p = 0.10 + 0.85 * torch.sigmoid(strength[:, skills]).prod(1)
        taught = torch.where(response.correct > 0.5, 0.90, 0.60)
        expected = 0.15 * start.state.rate * student.acquisition.challenge(p) * taught
        for k in range(3):
            target = expected if k in skills else torch.zeros(500)
            torch.testing.assert_close(grown[:, k], target, rtol=1e-3, atol=1e-5)


def test_drilling_one_skill_never_makes_it_permanent() -> None:
    """Growth within a half day wears off however often it is counted: 200 quizzes in a row stay what 60 are."""
    visit, student = Visit.of(still(), 50, 0), still()
    for _ in range(60):
        visit, _ = visit.give(first_of("quiz"))
    some = visit.mastery()[:, 0], student.kept(visit.state, 365.0)[:, 0]
    for _ in range(140):
        visit, _ = visit.give(first_of("quiz"))
    later = student.kept(visit.state, 365.0)[:, 0]
    assert float(visit.state.grown.max()) <= 100
    assert float(visit.state.stability.max()) < 3650
    assert float((later - some[1]).mean()) < 0.1


def test_who_declines_shows_nothing(onboarding: SSR) -> None:
    visit = walk(onboarding, 200, 3)
    gone = replace(visit, state=visit.state._replace(left=torch.ones(200, dtype=torch.bool)))
    _, response = gone.give(0)
    assert not bool(response.accepted.any())
    assert float(response.correct.max()) == 0.0


def test_a_check_in_costs_coach_hours_too(onboarding: SSR) -> None:
    catalog = onboarding.catalog
    assert catalog is not None
    t = onboarding.on(torch.device("cpu"))
    talks = [i for i, a in enumerate(catalog.activities) if a.kind == "check-in"]
    assert talks
    none = replace(onboarding, coach_hours=0.0)
    visit = Visit.of(none, 300, 0)
    for _ in range(5):
        visit, response = visit.give(talks[0])
        assert not bool(response.accepted.any())
    assert float(visit.state.coach.max()) == 0.0
    assert t.minutes[talks[0]] > 0


def test_use_at_work_is_expected_not_drawn() -> None:
    """What is kept with use at work lies between never and always used, and is the average over many lives."""
    student = replace(SSR().fit(None, None), job_use=0.5)
    visit = walk(student, 4, 6)
    many = 3000
    one = take(visit.state, torch.zeros(many, dtype=torch.int64))
    lived = student.elapse(one, torch.full((many,), 30.0), Rng.enrol(5, 0, many))
    average = student.mastery(lived).mean(0)
    torch.testing.assert_close(average, student.kept(take(one, slice(0, 1)), 30.0)[0], atol=0.01, rtol=0)
