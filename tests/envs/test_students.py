"""The contract of every student: found by walking the package; learners made from a tracer, for every tracer."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import trailmark.envs.students
import trailmark.envs.tracers
from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.data.sources.sample import Sample
from trailmark.envs.classroom import Classroom, Moment, Pace, World
from trailmark.envs.guards import Offered, Prerequisites, TimeBudget
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import LearningGain, NormalisedGain, TimeToMastery
from trailmark.envs.rng import Rng
from trailmark.envs.rows import map_tensors, take
from trailmark.envs.student import Student
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.tracer import Tracer
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.tally import Tally


def concrete(package: Any, interface: type) -> Iterator[type]:
    for module in pkgutil.iter_modules(package.__path__):
        found = importlib.import_module(f"{package.__name__}.{module.name}")
        for _, kind in inspect.getmembers(found, inspect.isclass):
            if issubclass(kind, interface) and not inspect.isabstract(kind) and kind.__module__ == found.__name__:
                yield kind


def unfitted() -> Iterator[tuple[str, Student]]:
    for kind in concrete(trailmark.envs.students, Student):
        if "tracer" not in {field.name for field in fields(kind)}:
            yield kind.__name__, kind()
            continue
        for tracer in concrete(trailmark.envs.tracers, Tracer):
            yield f"{kind.__name__} of {tracer.__name__}", kind(tracer(), minutes=200.0)


STUDENTS = dict(unfitted())


def test_students_are_found() -> None:
    assert {"KSS", "SampledStudent of BKT", "SampledStudent of PFA"} <= set(STUDENTS)


@pytest.fixture(scope="module")
def fitted(log: Log, programme: Catalog) -> dict[str, Student]:
    return {name: student.fit(log, programme) for name, student in STUDENTS.items()}


@pytest.fixture(params=list(STUDENTS))
def student(request: pytest.FixtureRequest, fitted: dict[str, Student]) -> Student:
    return fitted[request.param]


def catalog_of(student: Student) -> Catalog:
    assert student.catalog is not None
    return student.catalog


def leaves(record: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(lambda t: (found.append(t), t)[1], record)
    return found


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def life(student: Student, rng: Rng, steps: int = 10) -> list[Any]:
    """States and responses of learners who do activities by their number and the step, with days between."""
    state, told = student.enrol(rng), []
    n = len(catalog_of(student).activity_ids)
    for t in range(steps):
        state, response = student.answer(state, (3 * rng.learner + t) % n, rng.at(t))
        state = student.elapse(state, (rng.learner % 3).float(), rng.at(t))
        told += [state, response]
    return told


def test_the_same_numbers_give_the_same_life(student: Student) -> None:
    assert same(tuple(life(student, Rng.enrol(1, 0, 9))), tuple(life(student, Rng.enrol(1, 0, 9))))
    assert not same(tuple(life(student, Rng.enrol(1, 0, 9))), tuple(life(student, Rng.enrol(2, 0, 9))))
    other = Rng(1, torch.arange(9), torch.ones(9, dtype=torch.int64), torch.zeros(9, dtype=torch.int64))
    assert not same(tuple(life(student, Rng.enrol(1, 0, 9))), tuple(life(student, other)))


@pytest.mark.parametrize(("first", "n"), [(0, 1), (30, 1), (7, 5), (0, 63), (60, 4)])
def test_a_learner_lives_the_same_life_in_any_batch(student: Student, first: int, n: int) -> None:
    whole, part = life(student, Rng.enrol(4, 0, 64)), life(student, Rng.enrol(4, first, n))
    assert same(tuple(part), take(tuple(whole), slice(first, first + n)))


def world_of(student: Student) -> World:
    catalog = catalog_of(student)
    tracer = student.tracer if isinstance(student, SampledStudent) else Tally().of(catalog)
    guards = {"offered": Offered(), "prerequisites": Prerequisites(0.4), "time_budget": TimeBudget()}
    outcomes = {"gain": LearningGain(), "share": NormalisedGain(), "time": TimeToMastery()}
    return World(student, Observer(tracer, catalog, guards, 12), outcomes, {"gain": 1.0}, Pace(4, 3.0))


def session(world: World, first: int, n: int, steps: int = 16) -> list[tuple[Any, Any, Moment]]:
    """A classroom under a random legal policy, renewed where a session ends."""
    room = Classroom(world, 11, first, n, measure=True)
    told = []
    for _ in range(steps):
        legal = room.observation.mask.cumsum(1)
        wanted = (room.act()[:, 0] * legal[:, -1]).long()
        moment = room.step((legal > wanted[:, None]).to(torch.int8).argmax(1))
        told.append((room.state, room.record, moment))
        if bool(moment.ended.any()):
            room.renew(moment.ended)
    return told


@pytest.mark.parametrize(("first", "n"), [(0, 1), (20, 1), (0, 5), (33, 5), (1, 63)])
def test_a_session_is_the_same_in_any_classroom(student: Student, first: int, n: int) -> None:
    """State, record, features, mask, reward and every outcome of learner i, bit for bit."""
    world = world_of(student)
    whole, part = session(world, 0, 64), session(world, first, n)
    assert bool(torch.stack([moment.ended for *_, moment in whole]).any())
    for (state, record, moment), (state_i, record_i, moment_i) in zip(whole, part, strict=True):
        rows = slice(first, first + n)
        assert same(state_i, take(state, rows))
        assert same(record_i, take(record, rows))
        assert same(moment_i.observation, take(moment.observation, rows))
        assert same(moment_i.response, take(moment.response, rows))
        assert torch.equal(moment_i.reward, moment.reward[rows])
        for name, values in moment.values.items():
            assert torch.equal(moment_i.values[name], values[rows])


def test_shapes_and_ranges(student: Student) -> None:
    catalog = catalog_of(student)
    k = len(catalog.skill_ids)
    rng = Rng.enrol(0, 0, 200)
    state = student.enrol(rng)
    context = student.context(state)
    assert context.goal.shape == (200, k)
    assert set(context.goal.unique().tolist()) <= {0.0, 1.0}
    assert bool((context.goal.sum(1) > 0).all())
    assert bool(((context.role >= 0) & (context.role < len(catalog.roles))).all())
    assert context.minutes.shape == (200,)
    assert context.past_activity.shape == context.past_correct.shape
    for t in range(8):
        state, response = student.answer(state, (rng.learner + t) % len(catalog.activity_ids), rng.at(t))
        mastery = student.mastery(state)
        assert mastery.shape == (200, k)
        assert bool(((mastery >= 0) & (mastery <= 1)).all())
        assert bool(((response.correct >= 0) & (response.correct <= 1)).all())
        assert bool(((response.minutes > 0) & torch.isfinite(response.minutes)).all())
        assert response.accepted.dtype == response.finished.dtype == torch.bool
        assert response.correct.dtype == response.minutes.dtype == torch.float32


def test_answers_are_pure(student: Student) -> None:
    rng = Rng.enrol(0, 0, 6)
    state = student.enrol(rng)
    before = map_tensors(torch.clone, state)
    student.answer(state, torch.arange(6) % 5, rng)
    student.elapse(state, torch.full((6,), 9.0), rng)
    student.context(state), student.mastery(state)
    assert same(state, before)


def test_time_never_raises_mastery(student: Student) -> None:
    rng = Rng.enrol(0, 0, 60)
    state = life(student, rng)[-2]
    later = student.elapse(state, torch.linspace(0, 100, 60), rng.at(20))
    assert bool((student.mastery(later) <= student.mastery(state) + 1e-6).all())


# ------------------------------------------------------------------------------------------- SampledStudent

SAMPLED = [name for name, student in STUDENTS.items() if isinstance(student, SampledStudent)]


@pytest.mark.parametrize("name", ["SampledStudent of BKT", "SampledStudent of PFA"])
def test_learners_differ_from_the_start(name: str, fitted: dict[str, Student]) -> None:
    """A BKT learner knows each skill or does not; PFA learners differ by ability."""
    mastery = fitted[name].mastery(fitted[name].enrol(Rng.enrol(0, 0, 200)))
    if name.endswith("BKT"):
        assert set(mastery.unique().tolist()) == {0.0, 1.0}
    assert len(mastery.unique(dim=0)) > 10


def test_asking_without_teaching_masters_nothing(fitted: dict[str, Student]) -> None:
    """Where nothing can be learnt or forgotten, the truth stays what it was, however many answers are seen."""
    student = fitted["SampledStudent of BKT"]
    assert isinstance(student, SampledStudent)
    assert isinstance(student.tracer, BKT)
    p = student.tracer.fitted()
    inert = replace(p, learn=p.learn * 0, forget=p.forget * 0, decay=p.decay * 0)
    still = replace(student, tracer=replace(student.tracer, parameters=inert))
    rng = Rng.enrol(0, 0, 100)
    state = still.enrol(rng)
    before = still.mastery(state)
    for step in range(20):
        state, _ = still.answer(state, torch.full((100,), step % 5), rng.at(step))
    assert torch.equal(still.mastery(state), before)


@pytest.mark.parametrize("name", SAMPLED)
def test_answers_come_as_often_as_predicted(name: str, fitted: dict[str, Student]) -> None:
    """Over 4,000 learners and six steps: right answers less predicted ones, in standard errors."""
    student = fitted[name]
    assert isinstance(student, SampledStudent)
    rng = Rng.enrol(2, 0, 4000)
    state = student.enrol(rng)
    for t in range(6):
        activity = (rng.learner + t) % len(catalog_of(student).activity_ids)
        p = student.tracer.predict_at(state.belief, activity).double()
        state, response = student.answer(state, activity, rng.at(t))
        z = (response.correct - p).sum() / torch.sqrt((p * (1 - p)).sum())
        assert abs(float(z)) < 3.5
        calibrated = ((response.correct - p) * p).sum() / torch.sqrt((p**3 * (1 - p)).sum())
        assert abs(float(calibrated)) < 3.5


def test_bkt_learners_answer_as_latent_two_state_learners(fitted: dict[str, Student]) -> None:
    """The eight patterns of three answers against the exact law of the hidden Markov chain, by chi-square."""
    student = fitted["SampledStudent of BKT"]
    assert isinstance(student, SampledStudent)
    assert isinstance(student.tracer, BKT)
    p, n, days = student.tracer.fitted(), 20_000, 4.0
    guess, slip, learn, decay = (float(x[0]) for x in (p.guess, p.slip, p.learn, p.decay))
    assert decay > 0
    expected = np.zeros(8)
    kept = np.exp(-decay * days)
    kernel = np.array([[1 - learn * kept, learn * kept], [1 - kept, kept]])
    for prior, weight in zip(p.priors()[:, 0].tolist(), p.weight.tolist(), strict=True):
        for states in product((0, 1), repeat=3):
            path = (prior if states[0] else 1 - prior) * kernel[states[0], states[1]] * kernel[states[1], states[2]]
            for i, answers in enumerate(product((0, 1), repeat=3)):
                right = [1 - slip if s else guess for s in states]
                expected[i] += weight * path * np.prod([r if a else 1 - r for a, r in zip(answers, right, strict=True)])
    rng = Rng.enrol(6, 0, n)
    state, pattern = student.enrol(rng), torch.zeros(n, dtype=torch.int64)
    for t in range(3):
        state, response = student.answer(state, torch.zeros_like(pattern), rng.at(t))
        state = student.elapse(state, torch.full((n,), days), rng.at(t))
        pattern = 2 * pattern + response.correct.long()
    observed = np.bincount(pattern.numpy(), minlength=8)
    assert stats.chisquare(observed, expected / expected.sum() * n).pvalue > 0.01


def test_bkt_learners_learn_at_their_rate(fitted: dict[str, Student]) -> None:
    """One practice takes mastery m to m + (1 - m) learn on average: the answer itself teaches nothing."""
    student = fitted["SampledStudent of BKT"]
    assert isinstance(student, SampledStudent)
    assert isinstance(student.tracer, BKT)
    rng = Rng.enrol(8, 0, 20_000)
    start = student.enrol(rng)
    state, _ = student.answer(start, torch.zeros_like(rng.learner), rng)
    before, after = (student.mastery(s)[:, 0] for s in (start, state))
    expected = before + (1 - before) * float(student.tracer.fitted().learn[0])
    assert float((after - expected).mean()) == pytest.approx(0.0, abs=4 * float((after - expected).std()) / 20_000**0.5)
    assert float((after - before).mean()) > 0.02


def test_roles_are_even_and_goals_are_the_roles(fitted: dict[str, Student], programme: Catalog) -> None:
    student = fitted["SampledStudent of PFA"]
    rng = Rng.enrol(0, 0, 4000)
    context = student.context(student.enrol(rng))
    count = np.bincount(context.role.numpy(), minlength=len(programme.roles))
    assert stats.chisquare(count).pvalue > 0.01
    assert np.array_equal(context.goal.numpy(), programme.goals()[context.role.numpy()])
    assert set(context.minutes.tolist()) == {200.0}


def test_minutes_are_the_typical_ones_on_average(fitted: dict[str, Student], programme: Catalog) -> None:
    student = fitted["SampledStudent of PFA"]
    rng = Rng.enrol(0, 0, 20_000)
    _, response = student.answer(student.enrol(rng), torch.full((20_000,), 3), rng)
    minutes = response.minutes / float(programme.minutes()[3])
    assert float(minutes.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(minutes.log().std()) == pytest.approx(0.25, abs=0.01)
    independent = np.corrcoef(minutes.numpy(), response.correct.numpy())[0, 1]
    assert abs(independent) < 0.03


def test_without_log_or_catalogue_it_says_so(log: Log) -> None:
    with pytest.raises(RuntimeError, match="choose a source"):
        SampledStudent(Tally()).fit(None, None)
    with pytest.raises(RuntimeError, match="no catalogue yet"):
        SampledStudent(Tally()).enrol(Rng.enrol(0, 0, 1))


def test_what_bkt_learners_keep_is_an_expectation() -> None:
    """Each skill is lost by a coin of each learner's own: on average that is what `kept` says."""
    log, catalog = Sample().load()
    student = SampledStudent(BKT(decays=True)).fit(log, catalog)
    rng = Rng.enrol(1, 0, 4000)
    state = student.enrol(rng)
    expected = student.kept(state, 60.0).mean(0)
    lived = student.mastery(student.elapse(state, torch.full((4000,), 60.0), rng)).mean(0)
    torch.testing.assert_close(expected, lived, atol=0.03, rtol=0)
    assert float((student.mastery(state).mean(0) - expected).max()) > 0.05, "time must matter for this to say anything"
