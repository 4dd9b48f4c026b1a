"""Guards against the rules in words, learner by learner, over random catalogues and records."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.envs import guards
from trailmark.envs.guards import Guard, KSSWalk, MandatoryFirst, Offered, Prerequisites, TimeBudget
from trailmark.envs.observer import Observer, Record
from trailmark.envs.rng import Rng
from trailmark.envs.rows import take
from trailmark.envs.student import Context
from trailmark.envs.students.kss import KSS
from trailmark.envs.tracers.tally import Tally

Known = Callable[[Observer, int, int], Record]
Catalogs = st.SearchStrategy[Catalog]
SEEDS = st.integers(0, 10_000)
ANYWHERE = (
    Prerequisites(0.6),
    TimeBudget(),
    Offered(),
    MandatoryFirst(),
)  # guards that fit any catalogue; KSSWalk fits one


def observer_of(catalog: Catalog, *rules: Guard, horizon: int = 10) -> Observer:
    return Observer(Tally().of(catalog), catalog, {type(rule).__name__: rule for rule in rules}, horizon)


def test_every_guard_is_tested_here() -> None:
    found = {
        kind
        for _, kind in inspect.getmembers(importlib.import_module(guards.__name__), inspect.isclass)
        if issubclass(kind, Guard) and not inspect.isabstract(kind)
    }
    assert found == {type(rule) for rule in ANYWHERE} | {KSSWalk}


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_prerequisites_in_words(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    """Allowed: every prerequisite of its skills that it does not teach itself is believed, and its own were done."""
    catalog = data.draw(catalogs)
    rule = Prerequisites(data.draw(st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.9, 1.1])))
    observer = observer_of(catalog, rule)
    record = known(observer, 5, seed)
    mastery = observer.tracer.mastery(record.belief).tolist()
    allowed = rule(observer, record)
    assert allowed.shape == (5, len(catalog.activities))
    needed = {skill.id: skill.prerequisites for skill in catalog.skills}
    for i in range(5):
        for a, activity in enumerate(catalog.activities):
            before = {p for skill in activity.skills for p in needed[skill]} - set(activity.skills)
            ready = all(mastery[i][catalog.skill_index[p]] >= rule.threshold for p in before)
            done = all(int(record.history.attempts[i, catalog.activity_index[p]]) > 0 for p in activity.prerequisites)
            assert bool(allowed[i, a]) == (ready and done)


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_time_budget_in_words(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    """Allowed: it fits into the time left. Over: nothing that the role is offered does."""
    catalog = data.draw(catalogs)
    observer = observer_of(catalog, TimeBudget())
    record = known(observer, 5, seed)
    allowed, over = TimeBudget()(observer, record), TimeBudget().over(observer, record)
    for i in range(5):
        left = float(record.minutes_budget[i] - record.minutes_used[i])
        assert allowed[i].tolist() == [activity.minutes <= left for activity in catalog.activities]
    assert over.tolist() == (~(allowed & observer.offered[record.role]).any(1)).tolist()


def test_an_activity_that_just_fits_is_allowed(programme: Catalog, known: Known) -> None:
    observer = observer_of(programme, TimeBudget())
    record = known(observer, 1, 0)._replace(minutes_budget=torch.tensor([40.0]), minutes_used=torch.tensor([20.0]))
    allowed = dict(zip(programme.activity_ids, TimeBudget()(observer, record)[0].tolist(), strict=True))
    assert allowed["deal"]  # 20 minutes
    assert not allowed["project"]  # 30


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_offered_in_words(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    catalog = data.draw(catalogs)
    observer = observer_of(catalog, Offered())
    record = known(observer, 5, seed)
    allowed = Offered()(observer, record)
    for i in range(5):
        role = catalog.roles[int(record.role[i])]
        assert allowed[i].tolist() == [not a.roles or role in a.roles for a in catalog.activities]


def test_mandatory_first_in_words() -> None:
    """90 minutes; two mandatory activities of 20, one of them due on day 10 and in need of skill a."""
    skills = (Skill("a"), Skill("b", prerequisites=("a",)), Skill("c"))
    rows = (("basics", "a"), ("exam", "b"), ("policy", "c"), ("talk", "c"))
    catalog = Catalog(
        skills,
        tuple(
            Activity(n, n, "e", (s,), 20.0, mandatory=n in ("exam", "policy"), deadline=10.0 if n == "exam" else None)
            for n, s in rows
        ),
    )
    observer = observer_of(catalog, MandatoryFirst(days=3.0))
    start = in_order(observer)._replace(minutes_budget=torch.full((3,), 90.0))
    everything, only = [True] * 4, [False, True, True, False]
    early = start._replace(minutes_used=torch.tensor([0.0, 30.0, 31.0]))
    assert observer.allowed(early).tolist() == [everything, everything, only]  # 20 must leave 40
    short = start._replace(minutes_used=torch.full((3,), 55.0))  # too late for both: nothing can be saved by waiting
    assert observer.allowed(short).tolist() == [everything] * 3
    late = start._replace(day=torch.tensor([6.9, 7.0, 30.0]))
    assert observer.allowed(late).tolist() == [everything, [True, True, False, False], [True, True, False, False]]
    attempts = torch.tensor([[0, 1, 0, 0]] * 3, dtype=torch.int32)
    done = late._replace(history=late.history._replace(attempts=attempts))
    assert observer.allowed(done).tolist() == [everything] * 3
    tight = done._replace(minutes_used=torch.full((3,), 60.0))
    assert observer.allowed(tight).tolist() == [[False, False, True, False]] * 3


def test_nothing_mandatory_forbids_nothing(programme: Catalog, known: Known) -> None:
    observer = observer_of(programme, MandatoryFirst())
    assert bool(observer.allowed(known(observer, 20, 3)).all())


def test_kss_walk_knows_the_rule_of_2018() -> None:
    kss, rng = KSS(towards=True), Rng.enrol(0, 0, 300)
    assert kss.catalog is not None
    observer = Observer(Tally().of(kss.catalog), kss.catalog, {"walk": KSSWalk(towards=True)}, 20)
    state = kss.enrol(rng)
    record = observer.start(kss.context(state))
    allowed = KSSWalk(towards=True)(observer, record)
    for concept in range(10):
        _, response = kss.answer(state, torch.full((300,), concept), rng)
        assert torch.equal(response.accepted, allowed[:, concept])
    assert bool((allowed.sum(1) < KSSWalk()(observer, record).sum(1)).any())


def test_kss_walk_is_what_kss_learners_accept() -> None:
    """For learners fresh from their warm-up and after some steps: allowed means accepted, forbidden means declined."""
    kss, rng = KSS(), Rng.enrol(0, 0, 300)
    assert kss.catalog is not None
    observer = Observer(Tally().of(kss.catalog), kss.catalog, {"walk": KSSWalk()}, 20)
    state = kss.enrol(rng)
    record = observer.start(kss.context(state))
    for t in range(4):
        allowed = KSSWalk()(observer, record)
        for concept in range(10):
            _, response = kss.answer(state, torch.full((300,), concept), rng)
            assert torch.equal(response.accepted, allowed[:, concept])
        activity = (rng.learner * 7 + 3 * t) % 10
        state, response = kss.answer(state, activity, rng.at(t))
        assert not bool(response.accepted.all())
        record = observer.update(record, activity, response.correct, response.minutes, response.accepted)


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_guards_judge_each_learner_alone(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    observer = observer_of(data.draw(catalogs), *ANYWHERE)
    record = known(observer, 6, seed)
    index = torch.tensor([5, 0, 3])
    for rule in ANYWHERE:
        whole, part = rule(observer, record), rule(observer, take(record, index))
        assert whole.dtype == torch.bool
        assert torch.equal(part, whole[index])
        assert torch.equal(rule.over(observer, take(record, index)), rule.over(observer, record)[index])


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_the_order_of_guards_does_not_matter(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    catalog = data.draw(catalogs)
    forwards, backwards = observer_of(catalog, *ANYWHERE), observer_of(catalog, *reversed(ANYWHERE))
    record = known(forwards, 6, seed)
    expected = torch.stack([rule(forwards, record) for rule in ANYWHERE]).all(0)
    assert torch.equal(forwards.allowed(record), expected)
    assert torch.equal(backwards.allowed(record), expected)
    assert torch.equal(forwards.observe(record).mask, backwards.observe(record).mask)
    assert torch.equal(forwards.over(record), backwards.over(record))


def test_no_guard_but_time_ends_a_session(programme: Catalog, known: Known) -> None:
    observer = observer_of(programme, *ANYWHERE)
    record = known(observer, 50, 0)
    assert not bool(Prerequisites(2.0).over(observer, record).any())
    assert not bool(Offered().over(observer, record).any())
    assert bool(TimeBudget().over(observer, record).any())


@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.6])
def test_prerequisites_open_at_the_threshold(threshold: float) -> None:
    """Tally's belief after one right answer is .75, after one wrong one .25, before any .5."""
    catalog = Catalog(
        (Skill("a"), Skill("b", prerequisites=("a",))),
        tuple(
            Activity(name, name, "e", tuple(skills), 1.0) for name, skills in {"x": "a", "y": "b", "z": "ab"}.items()
        ),
    )
    observer = observer_of(catalog, Prerequisites(threshold))
    zero, yes = torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.bool)
    start = in_order(observer)
    assert observer.allowed(start).tolist() == [[True, threshold <= 0.5, True]] * 3
    answered = observer.update(start, zero, torch.tensor([1.0, 0.0, 1.0]), torch.zeros(3), yes)
    assert observer.allowed(answered)[:, 1].tolist() == [True, False, True]


def in_order(observer: Observer) -> Record:
    n, k = 3, len(observer.catalog.skill_ids)
    past = torch.zeros(n, 0, dtype=torch.int64)
    return observer.start(Context(past.new_zeros(n), torch.ones(n, k), torch.full((n,), 60.0), past, past.float()))
