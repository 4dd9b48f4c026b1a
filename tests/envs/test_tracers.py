"""The contract of every tracer: found by walking the package, so a new file is tested by appearing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

import trailmark.envs.tracers
from trailmark.data.catalog import Catalog
from trailmark.data.log import Log, Sequences
from trailmark.envs.pack import load, save
from trailmark.envs.replay import predictions, walk
from trailmark.envs.rng import Rng
from trailmark.envs.rows import map_tensors, take
from trailmark.envs.tracer import Evidence, Tracer
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.dkt import DKT
from trailmark.envs.tracers.dkvmn import DKVMN
from trailmark.envs.tracers.pfa import PFA


def concrete() -> Iterator[type[Tracer]]:
    for module in pkgutil.iter_modules(trailmark.envs.tracers.__path__):
        found = importlib.import_module(f"{trailmark.envs.tracers.__name__}.{module.name}")
        for _, kind in inspect.getmembers(found, inspect.isclass):
            if issubclass(kind, Tracer) and not inspect.isabstract(kind) and kind.__module__ == found.__name__:
                yield kind


MODELS: dict[str, Tracer] = {kind.__name__: kind() for kind in concrete()}  # as they come
NEURAL = ("AKT", "DKT", "DKVMN", "SAKT", "SimpleKT")
for _name in ("AKT", "SAKT", "SimpleKT"):  # small, as the log is
    MODELS[_name] = replace(MODELS[_name], width=16, heads=2, feed=32, rate=0.01, length=40)  # type: ignore[call-arg]
MODELS |= {"DKT": DKT(hidden=16, width=16, rate=0.01), "DKVMN": DKVMN(width=16, slots=8, rate=0.02)}
MODELS |= {"BKT of one class": BKT(classes=1), "BKT that forgets": BKT(forgets=True)}
MODELS |= {"PFA unbounded": PFA(monotone=False)}
MONOTONE = [name for name in MODELS if name not in ("PFA unbounded", *NEURAL)]  # the others may fall


@pytest.fixture(scope="module")
def fitted(log: Log, programme: Catalog) -> dict[str, Tracer]:
    return {name: model.fit(log, programme) for name, model in MODELS.items()}


def test_tracers_are_found() -> None:
    assert {"BKT", "PFA", "Tally"} <= set(MODELS)


@pytest.fixture(params=list(MODELS))
def tracer(request: pytest.FixtureRequest, fitted: dict[str, Tracer]) -> Tracer:
    return fitted[request.param]


def leaves(belief: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(lambda t: (found.append(t), t)[1], belief)
    return found


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def close(a: Any, b: Any, tolerance: float = 1e-6) -> bool:
    return all(torch.allclose(x, y, atol=tolerance, rtol=tolerance) for x, y in zip(leaves(a), leaves(b), strict=True))


def lived(tracer: Tracer, n: int = 9, steps: int = 12, seed: int = 0) -> Any:
    """Beliefs about n learners after some answers and some days, each learner's own."""
    generator = torch.Generator().manual_seed(seed)
    belief = tracer.start(n)
    for _ in range(steps):
        activity = torch.randint(0, 7, (n,), generator=generator)
        correct = torch.randint(0, 2, (n,), generator=generator).float()
        belief = tracer.update(belief, Evidence(activity, correct))
        belief = tracer.elapse(belief, torch.rand(n, generator=generator))
    return belief


def evidence(n: int, seed: int = 1) -> Evidence:
    generator = torch.Generator().manual_seed(seed)
    return Evidence(torch.arange(n) % 7, torch.randint(0, 2, (n,), generator=generator).float())


def test_is_frozen(tracer: Tracer) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(tracer, fields(tracer)[0].name, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_unfitted_use_says_so(model: Tracer) -> None:
    for use in (model.start, partial(model.draw, Rng.enrol(0, 0, 1))):
        with pytest.raises(RuntimeError, match=r"yet: call fit\(log, catalog\)"):
            use(1) if use == model.start else use()


@pytest.mark.parametrize("name", MODELS)
def test_fit_is_pure_and_repeatable(name: str, fitted: dict[str, Tracer], log: Log, programme: Catalog) -> None:
    assert MODELS[name] is not fitted[name]
    with pytest.raises(RuntimeError):
        MODELS[name].start(1)
    again = MODELS[name].fit(log, programme)
    assert torch.equal(again.predict(again.start(1)), fitted[name].predict(fitted[name].start(1)))


def test_shapes_and_ranges(tracer: Tracer, programme: Catalog) -> None:
    for belief in (tracer.start(9), tracer.draw(Rng.enrol(0, 0, 9)), lived(tracer), lived(tracer, steps=200)):
        p, mastery, features = tracer.predict(belief), tracer.mastery(belief), tracer.features(belief)
        assert p.shape == (9, len(programme.activity_ids))
        assert mastery.shape == (9, len(programme.skill_ids))
        assert features.shape == (9, tracer.features(tracer.start(1)).shape[1])
        assert p.dtype == mastery.dtype == features.dtype == torch.float32
        assert bool(((p > 0) & (p < 1)).all())
        assert bool(((mastery >= 0) & (mastery <= 1)).all())
        assert bool(torch.isfinite(features).all())
        assert all(t.shape[0] == 9 for t in leaves(belief))


def test_predict_at_is_predict_at_that_activity(tracer: Tracer) -> None:
    for belief in (lived(tracer, n=7), tracer.draw(Rng.enrol(0, 0, 7))):
        everything = tracer.predict(belief)
        for shift in range(7):
            activity = (torch.arange(7) + shift) % 7
            at = tracer.predict_at(belief, activity)
            assert at.shape == (7,)
            assert torch.allclose(at, everything.gather(1, activity[:, None])[:, 0], atol=1e-6, rtol=0)


def test_no_days_change_nothing(tracer: Tracer) -> None:
    belief = lived(tracer)
    assert same(tracer.elapse(belief, torch.zeros(9)), belief)


@pytest.fixture(scope="module")
def known(fitted: dict[str, Tracer]) -> dict[str, Any]:
    return {name: lived(tracer, n=2) for name, tracer in fitted.items()}


@given(first=st.floats(0, 50), second=st.floats(0, 50))
def test_days_add_up(fitted: dict[str, Tracer], known: dict[str, Any], first: float, second: float) -> None:
    for name, tracer in fitted.items():
        belief = known[name]
        a, b = torch.full((2,), first), torch.full((2,), second)
        assert close(tracer.elapse(tracer.elapse(belief, a), b), tracer.elapse(belief, a + b))


def test_days_never_raise_mastery(tracer: Tracer) -> None:
    belief = lived(tracer)
    later = tracer.elapse(belief, torch.linspace(0, 30, 9))
    assert bool((tracer.mastery(later) <= tracer.mastery(belief)).all())


def test_update_is_pure(tracer: Tracer) -> None:
    belief = lived(tracer)
    before = map_tensors(torch.clone, belief)
    tracer.update(belief, evidence(9))
    tracer.elapse(belief, torch.full((9,), 3.0))
    tracer.predict(belief), tracer.features(belief), tracer.mastery(belief)
    assert same(belief, before)
    assert same(tracer.update(belief, evidence(9)), tracer.update(belief, evidence(9)))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_update_is_pure_where_every_activity_has_one_skill(model: Tracer, log: Log, programme: Catalog) -> None:
    """A catalogue of this kind may take a shorter way through the code."""
    alone = tuple(a for a in programme.activities if len(a.skills) == 1)
    simple = replace(programme, activities=alone)
    rows = log.frame[log.frame["activity"].isin([a.id for a in alone])].reset_index(drop=True)
    tracer = model.fit(Log.from_frame(rows, simple), simple)
    belief = tracer.start(len(alone))
    before = map_tensors(torch.clone, belief)
    after = tracer.update(belief, Evidence(torch.arange(len(alone)), torch.ones(len(alone))))
    assert same(belief, before)
    assert np.array_equal((tracer.mastery(after) != tracer.mastery(before)).sum(1).numpy() > 0, [True] * len(alone))
    predicted = tracer.predict(after)
    at = tracer.predict_at(after, torch.arange(len(alone)))
    assert torch.allclose(at, predicted.diagonal(), atol=1e-6, rtol=0)


def test_update_takes_the_answer_in(tracer: Tracer) -> None:
    belief = lived(tracer, n=7)
    activity = torch.arange(7)
    right = tracer.update(belief, Evidence(activity, torch.ones(7)))
    wrong = tracer.update(belief, Evidence(activity, torch.zeros(7)))
    assert bool((tracer.mastery(right) - tracer.mastery(wrong)).abs().sum(1).gt(1e-4).all())


@pytest.mark.parametrize("index", [torch.tensor([4]), torch.tensor([8, 0, 3]), torch.arange(9).flip(0), slice(2, 7)])
def test_learners_are_independent_bit_for_bit(tracer: Tracer, index: Tensor | slice) -> None:
    """A learner's belief and predictions hang neither on who else is in the batch nor on the place in it."""
    belief, seen, days = lived(tracer), evidence(9), torch.linspace(0, 4, 9)
    some = take(belief, index)
    assert torch.equal(tracer.predict(some), tracer.predict(belief)[index])
    assert torch.equal(tracer.mastery(some), tracer.mastery(belief)[index])
    assert torch.equal(tracer.predict_at(some, seen.activity[index]), tracer.predict_at(belief, seen.activity)[index])
    after = tracer.elapse(tracer.update(belief, seen), days)
    assert same(tracer.elapse(tracer.update(some, take(seen, index)), days[index]), take(after, index))


def test_draw_is_the_same_in_any_batch(tracer: Tracer) -> None:
    whole = tracer.draw(Rng.enrol(3, 0, 80))
    for first, n in ((0, 1), (17, 1), (40, 5), (0, 64), (11, 69)):
        assert same(tracer.draw(Rng.enrol(3, first, n)), take(whole, slice(first, first + n)))


def test_drawn_learners_are_start_on_average(tracer: Tracer) -> None:
    drawn = tracer.mastery(tracer.draw(Rng.enrol(1, 0, 4000)))
    expected = tracer.mastery(tracer.start(1))[0]
    error = drawn.std(0) / 4000**0.5
    bend = 0.02  # of a mean of logistic values against the logistic of a mean, which PFA's start is
    assert bool(((drawn.mean(0) - expected).abs() <= 4 * error + bend).all())


def test_multi_skill_activities_touch_their_skills_alone(tracer: Tracer, programme: Catalog) -> None:
    """In one class of learners: several classes share what an answer says of the learner.

    So do models of one ability, of all answers, or of a hidden state: they move everything by their nature.
    """
    if type(tracer).__name__ in ("BestLR", "Rasch", *NEURAL):
        pytest.skip("this model shares what an answer says across skills")
    belief = tracer.draw(Rng.enrol(0, 0, 7))
    before = tracer.mastery(belief)
    moved = tracer.mastery(tracer.update(belief, Evidence(torch.arange(7), torch.ones(7)))) != before
    assert np.array_equal(moved.numpy(), programme.q_matrix())


def replayed(tracer: Tracer, activity: list[int], correct: list[float], days: list[float]) -> Tensor:
    """The prediction of each activity after one learner's answers."""
    belief = tracer.start(1)
    for a, c, d in zip(activity, correct, days, strict=True):
        belief = tracer.update(belief, Evidence(torch.tensor([a]), torch.tensor([c])))
        belief = tracer.elapse(belief, torch.tensor([d]))
    return tracer.predict(belief)[0]


PASTS = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.floats(0, 5)), min_size=1, max_size=8)


@pytest.mark.parametrize("name", MONOTONE)
@given(past=PASTS, which=st.integers(0, 7), score=st.floats(0, 1))
@settings(max_examples=150)
def test_a_better_past_answer_never_lowers_a_prediction(
    name: str, fitted: dict[str, Tracer], past: list[tuple[int, bool, float]], which: int, score: float
) -> None:
    """Wrong <= partly right <= right, for the activity whose answer it was."""
    activity, correct, days = [a for a, _, _ in past], [float(c) for _, c, _ in past], [d for _, _, d in past]
    which %= len(past)
    p = []
    for value in (0.0, score, 1.0):
        correct[which] = value
        p.append(float(replayed(fitted[name], activity, correct, days)[activity[which]]))
    assert p[0] <= p[1] + 1e-6
    assert p[1] <= p[2] + 1e-6


@pytest.mark.parametrize("name", MONOTONE)
def test_a_right_answer_raises_the_prediction(name: str, fitted: dict[str, Tracer]) -> None:
    """So that the property above is not kept by a model that never moves."""
    right, wrong = (replayed(fitted[name], [0, 0], [c, c], [0.0, 0.0])[0] for c in (1.0, 0.0))
    assert right > wrong + 0.02


def test_predictions_do_not_look_ahead(tracer: Tracer, log: Log, programme: Catalog) -> None:
    """Changing what a learner answers from row 10 on changes no prediction up to and including row 10."""
    sequences = log.subset(log.learners[:20]).sequences(programme)
    place = np.arange(len(sequences.activity)) % 30
    changed = np.where(place >= 10, 1 - sequences.correct, sequences.correct).astype(np.float32)
    other = Sequences(sequences.learners, sequences.start, sequences.activity, changed, sequences.days, sequences.timed)

    def predicted(s: Sequences) -> np.ndarray:
        out = torch.empty(len(s.activity))
        for rows, belief, seen in walk(tracer, s):
            out[rows] = tracer.predict_at(belief, seen.activity)
        return out.numpy()

    a, b = predicted(sequences), predicted(other)
    assert np.array_equal(a[place <= 10], b[place <= 10])
    assert not np.array_equal(a[place > 10], b[place > 10])


def test_beats_the_base_rate_on_learners_never_seen(tracer: Tracer, held_out: Log, programme: Catalog) -> None:
    p = predictions(tracer, held_out, programme)
    truth = held_out.frame["correct"].to_numpy()
    assert roc_auc_score(truth, p) > 0.6
    rate = truth.mean()
    base = -np.mean(truth * np.log(rate) + (1 - truth) * np.log(1 - rate))
    loss = -np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    assert loss < base - 0.01


def test_saved_and_loaded_it_predicts_the_same(tracer: Tracer, tmp_path: Path) -> None:
    save(tracer, tmp_path / "tracer")
    loaded = load(tmp_path / "tracer")
    assert type(loaded) is type(tracer)
    belief = lived(tracer)
    assert same(lived(loaded), belief)
    assert torch.equal(loaded.predict(belief), tracer.predict(belief))
    drawn = Rng.enrol(5, 0, 9)
    assert same(loaded.draw(drawn), tracer.draw(drawn))
