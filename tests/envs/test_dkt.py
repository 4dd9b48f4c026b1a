"""DKT against torch's own LSTM, its training pass against its online steps, and DKT+."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.data.sources.gervet import Gervet
from trailmark.envs.replay import predictions, walk
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.dkt import DKT, DKTNetwork
from trailmark.envs.tracers.dkt_cell import unrolled
from trailmark.envs.tracers.neural import SILENT, batches, predicted

SMALL = DKT(hidden=12, width=10, tokens=900, epochs=3, rate=0.02)
FLAVOURS = {
    "plain": SMALL,
    "items": replace(SMALL, items=True),
    "plus": replace(SMALL, again=0.1, jumps=0.1, leaps=1.0),
}


@pytest.fixture(scope="module")
def fitted(log: Log, programme: Catalog) -> dict[str, DKT]:
    return {name: model.fit(log, programme) for name, model in FLAVOURS.items()}


@pytest.fixture(params=list(FLAVOURS))
def tracer(request: pytest.FixtureRequest, fitted: dict[str, DKT]) -> DKT:
    return fitted[request.param]


def torch_lstm(reading: torch.Tensor, recurrent: torch.Tensor, bias: torch.Tensor) -> torch.nn.LSTM:
    """torch's gates lie in the order input, forget, candidate, output."""
    h = recurrent.shape[0]
    order = torch.cat([torch.arange(2 * h), torch.arange(3 * h, 4 * h), torch.arange(2 * h, 3 * h)])
    lstm = torch.nn.LSTM(reading.shape[0], h).to(reading.dtype)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(reading[:, order].t())
        lstm.weight_hh_l0.copy_(recurrent[:, order].t())
        lstm.bias_ih_l0.copy_(bias[order])
        lstm.bias_hh_l0.zero_()
    return lstm


@pytest.mark.parametrize(("steps", "learners"), [(1, 1), (1, 3), (6, 4)])
def test_unrolled_is_torch_lstm(steps: int, learners: int) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(steps, learners, 5, generator=g, dtype=torch.float64)
    reading, recurrent = (torch.randn(n, 12, generator=g, dtype=torch.float64) for n in (5, 3))
    bias = torch.randn(12, generator=g, dtype=torch.float64)
    expected, _ = torch_lstm(reading, recurrent, bias)(x)
    assert torch.allclose(unrolled(x @ reading + bias, recurrent), expected)


@pytest.mark.parametrize(("steps", "learners"), [(1, 2), (5, 3)])
def test_its_gradient_is_that_of_differences(steps: int, learners: int) -> None:
    g = torch.Generator().manual_seed(1)
    inputs = torch.randn(steps, learners, 8, generator=g, dtype=torch.float64, requires_grad=True)
    recurrent = torch.randn(2, 8, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unrolled, (inputs, recurrent))


def test_update_is_torch_lstm(fitted: dict[str, DKT]) -> None:
    p = fitted["plain"].fitted()
    lstm = torch_lstm(p.reading, p.recurrent, p.bias)
    belief, looks = fitted["plain"].start(1), []
    for activity, correct in ((0, 1.0), (1, 0.0), (0, 0.25)):  # of one skill each
        belief = fitted["plain"].update(belief, Evidence(torch.tensor([activity]), torch.tensor([correct])))
        looks.append(torch.lerp(p.answers[0, activity], p.answers[1, activity], correct))
    with torch.no_grad():
        hidden, (_, cell) = lstm(torch.stack(looks)[:, None])
    assert torch.allclose(belief.hidden, hidden[-1], atol=1e-6)
    assert torch.allclose(belief.cell, cell[0], atol=1e-6)
    expected = torch.sigmoid(p.readout @ hidden[-1, 0] + p.levels())
    assert torch.allclose(fitted["plain"].mastery(belief)[0], expected, atol=1e-6)


def partial(log: Log) -> Log:
    """Some scores between 0 and 1."""
    score = log.frame["correct"].to_numpy() * np.where(np.arange(len(log)) % 5 == 0, 0.4, 1.0)
    return Log(log.frame.assign(correct=score), "partial")


def test_walking_gives_what_training_saw(tracer: DKT, held_out: Log, programme: Catalog) -> None:
    for log in (held_out, partial(held_out)):
        sequences = log.sequences(programme)
        logits, scored = predicted(DKTNetwork(tracer), tracer.fitted(), sequences, 900, 200)
        assert bool(scored.all())
        assert np.abs(torch.sigmoid(logits).numpy() - predictions(tracer, log, programme)).max() < 1e-5


def test_the_training_pass_does_not_look_ahead(tracer: DKT, held_out: Log, programme: Catalog) -> None:
    batch = next(batches(held_out.sequences(programme), 900, 200, None))
    late = torch.arange(batch.correct.shape[1]) >= 10
    other = batch._replace(
        correct=torch.where(late, 1 - batch.correct, batch.correct),
        activity=torch.where(late.roll(1) & late, (batch.activity + 1) % 7, batch.activity),  # from step 11 on
    )
    network = DKTNetwork(tracer)
    logits = [network.forward(tracer.fitted(), b, SILENT)[0] for b in (batch, other)]
    assert torch.allclose(logits[0][:, :11], logits[1][:, :11], atol=1e-6)
    assert not torch.allclose(logits[0][:, 11:], logits[1][:, 11:], atol=1e-3)


def test_nothing_but_the_start_is_known_of_a_new_learner(fitted: dict[str, DKT]) -> None:
    p = fitted["plain"].fitted()
    assert torch.allclose(fitted["plain"].mastery(fitted["plain"].start(2))[1], torch.sigmoid(p.levels()))


def test_new_learners_are_known_from_those_before_them() -> None:
    """An easy and a hard skill, each learner asked once: an epoch of Adam at its usual rate is enough."""
    skills, n = ("easy", "hard"), 1500
    catalog = Catalog(
        tuple(Skill(s) for s in skills), tuple(Activity(s, "", "exercise", (s,), 1.0, (), (), False) for s in skills)
    )
    which, rng = np.arange(n) % 2, np.random.default_rng(0)
    right = (rng.random(n) < np.array([0.9, 0.2])[which]).astype(float)
    frame = {"learner": [f"l{i}" for i in range(n)], "activity": np.array(skills)[which], "correct": right}
    log = Log.from_frame(pd.DataFrame(frame), catalog, drop_repeats=False)
    tracer = replace(SMALL, rate=DKT().rate, tokens=3, epochs=1).fit(log, catalog)
    assert np.abs(tracer.mastery(tracer.start(1))[0].numpy() - [0.9, 0.2]).max() < 0.1


def test_dkt_plus_waves_less_and_knows_what_it_was_told(log: Log, held_out: Log, programme: Catalog) -> None:
    def manners(model: DKT) -> tuple[float, float]:
        tracer, moved, hits = model.fit(log, programme), [], []
        for _, belief, seen in walk(tracer, held_out.sequences(programme)):
            after = tracer.update(belief, seen)
            moved.append(float((tracer.mastery(after) - tracer.mastery(belief)).abs().mean()))
            hits.append(((tracer.predict_at(after, seen.activity) > 0.5) == (seen.correct > 0.5)).float().mean())
        return float(np.mean(moved)), float(np.mean(hits))

    model = replace(SMALL, epochs=6, patience=6)
    plain, calm, told = (manners(m) for m in (model, replace(model, leaps=30.0), replace(model, again=1.0)))
    assert calm[0] < 0.7 * plain[0]
    assert told[1] > plain[1] + 0.02


def test_items_know_easy_from_hard() -> None:
    """Eight exercises of one skill, answered right with chances from .1 to .9 whatever came before."""
    catalog = Catalog(
        (Skill("s"),), tuple(Activity(f"e{i}", "", "exercise", ("s",), 1.0, (), (), i == 0) for i in range(8))
    )
    rng = np.random.default_rng(0)
    which = rng.integers(0, 8, (200, 25))
    right = rng.random((200, 25)) < np.linspace(0.1, 0.9, 8)[which]
    frame = {
        "learner": np.repeat([f"l{i}" for i in range(200)], 25),
        "activity": [f"e{i}" for i in which.ravel()],
        "correct": right.ravel().astype(float),
    }
    log = Log.from_frame(pd.DataFrame(frame), catalog, drop_repeats=False)
    split = log.split(0, 0.0, 0.3)
    model = replace(SMALL, epochs=10)
    scores = {}
    for items in (False, True):
        guesses = predictions(replace(model, items=items).fit(split.train, catalog), split.test, catalog)
        scores[items] = roc_auc_score(split.test.frame["correct"], guesses)
    assert scores[False] < 0.55
    assert scores[True] > 0.75


@pytest.mark.slow
def test_assistments_2009(real_data: Path) -> None:
    """Two epochs: far above BKT's .716 on the way to .750."""
    log, catalog = Gervet(str(real_data / "assist2009/gervet")).load()
    split = log.split(0, valid=0.0)
    tracer = DKT(epochs=2, hidden=64, width=32, rate=0.01).fit(split.train, catalog)
    guesses = predictions(tracer, split.test, catalog)
    assert roc_auc_score(split.test.frame["correct"], guesses) > 0.73
