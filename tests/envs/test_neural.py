"""The training loop: batches, Adam, early stopping, repeatability, going on after a kill."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log, Sequences
from trailmark.envs.pack import load
from trailmark.envs.tracers import neural
from trailmark.envs.tracers.dkt import DKT, DKTNetwork, DKTParameters
from trailmark.envs.tracers.neural import Noise, auc, batches, leaves, predicted
from trailmark.envs.tracers.rowwise import each_times, rows_times

SMALL = DKT(hidden=8, width=6, tokens=600, length=20, epochs=4, rate=0.01)


def sequences(lives: list[int]) -> Sequences:
    start = np.cumsum([0, *lives])
    n = int(start[-1])
    names = np.array([f"l{i}" for i in range(len(lives))])
    correct = (np.arange(n) % 3 == 0).astype(np.float32)
    return Sequences(names, start, np.arange(n) % 7, correct, np.zeros(n), False)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=9), st.integers(1, 12), st.integers(1, 60), st.integers(0, 9))
@settings(max_examples=50)
def test_every_row_is_in_one_batch(lives: list[int], length: int, tokens: int, seed: int) -> None:
    log = sequences(lives)
    rows, firsts = [], 0
    for batch in batches(log, tokens, length, seed):
        assert batch.activity.shape[1] <= length
        assert batch.activity.shape[0] == 1 or batch.activity.numel() <= tokens
        assert bool(batch.real[:, 0].all())
        row = batch.row[batch.real].numpy()
        rows += row.tolist()
        assert np.array_equal(batch.activity[batch.real], log.activity[row])
        assert np.array_equal(batch.correct[batch.real], log.correct[row])
        assert bool((torch.diff(batch.row, dim=1)[batch.real[:, 1:]] == 1).all())
        assert not bool((batch.scored & ~batch.real).any())
        firsts += int((batch.real & ~batch.scored).sum())
    assert sorted(rows) == list(range(sum(lives)))
    assert firsts == sum(max(-(-n // length) - 1, 0) for n in lives)  # where a piece begins in mid-life


def test_pieces_of_like_length_are_together() -> None:
    lives = np.random.default_rng(0).geometric(0.05, 400).tolist()
    parts = list(batches(sequences(lives), 500, 1000, 0))
    assert sum(int(b.real.sum()) for b in parts) / sum(b.real.numel() for b in parts) > 0.85


def test_the_seed_decides_the_order() -> None:
    log = sequences([5, 9, 9, 9, 3, 30, 12, 12])

    def order(seed: int | None) -> list[int]:
        return [int(row) for batch in batches(log, 30, 10, seed) for row in batch.row[:, 0]]

    assert order(3) == order(3)
    assert order(3) != order(4)
    assert order(None) == order(None)


def test_adam_is_torch_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(4, 3, generator=generator, requires_grad=True), torch.randn(2, generator=generator)]
    ours[1].requires_grad_(True)
    theirs = [w.detach().clone().requires_grad_(True) for w in ours]
    slots = [(w, torch.zeros_like(w), torch.zeros_like(w), torch.zeros_like(w)) for w in ours]
    adam = torch.optim.Adam(theirs, lr=0.05)
    for step in range(1, 8):
        scale = torch.randn(4, 3, generator=generator)
        for weights in (ours, theirs):
            (step * (weights[0] * scale).sin().sum() + (weights[1] ** 2).sum()).backward()  # clipped later on
        torch.nn.utils.clip_grad_norm_(theirs, 5.0)
        neural._adam(slots, 0.05, step)
        adam.step()
        adam.zero_grad()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, theirs, strict=True))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
def test_auc_is_sklearns(rows: list[tuple[bool, int]]) -> None:
    right, scores = np.array([r for r, _ in rows]), np.array([s for _, s in rows], float)
    if right.all() or not right.any():
        assert np.isnan(auc(right, scores))
    else:
        assert auc(right, scores) == pytest.approx(roc_auc_score(right, scores))


def test_dropout_keeps_the_mean() -> None:
    noise = Noise(0.3, torch.Generator().manual_seed(0))
    dropped = noise.drop(torch.ones(40_000))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)
    assert bool((neural.SILENT.drop(torch.ones(9)) == 1).all())


def same(a: DKTParameters, b: DKTParameters) -> bool:
    return all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def test_a_fit_can_be_repeated_bit_for_bit(log: Log, programme: Catalog) -> None:
    one = SMALL.fit(log, programme).fitted()
    torch.rand(7)  # the global generator does not matter
    assert same(one, SMALL.fit(log, programme).fitted())
    assert not same(one, replace(SMALL, seed=1).fit(log, programme).fitted())


def test_the_best_epoch_wins_and_patience_ends_it(log: Log, programme: Catalog) -> None:
    model = replace(SMALL, epochs=60, rate=0.1, patience=2)
    told = list(model.epochs_of(log, programme))
    scores = [epoch.score for epoch in told]
    assert [epoch.number for epoch in told] == list(range(1, len(told) + 1))
    assert told[-1].stale == 2
    assert len(told) < 60
    top = int(np.argmax(scores))
    assert top == len(told) - 3
    assert same(told[-1].best, told[top].best)
    held = log.split(model.seed, model.valid, 0.0).valid.sequences(programme)
    logits, scored = predicted(DKTNetwork(model), told[-1].best, held, 600, 20)
    assert bool(scored.logical_not().any())  # lives of 30 in pieces of 20
    assert auc(held.correct[scored.numpy()] > 0.5, logits[scored].numpy()) == pytest.approx(scores[top])


def test_weights_are_averaged_over_an_epoch(log: Log, programme: Catalog, tmp_path: Path) -> None:
    """With one batch an epoch the average is the latest; with several it is smoother, and begins at the first."""
    for tokens, alone in ((10**6, True), (600, False)):
        model = replace(SMALL, tokens=tokens, checkpoint=str(tmp_path / str(tokens)))
        for _ in model.epochs_of(log, programme):
            state = load(Path(str(model.checkpoint)))
            assert same(state.average, state.weights) == alone
            off = state.average.readout - state.weights.readout
            assert float(off.abs().max()) < 0.5


def test_training_lowers_the_loss(log: Log, programme: Catalog) -> None:
    losses = [epoch.loss for epoch in SMALL.epochs_of(log, programme)]
    assert losses[-1] < losses[0] - 0.01


@pytest.mark.parametrize("done", [1, 3])
def test_a_killed_fit_goes_on_as_if_nothing_had_been(done: int, log: Log, programme: Catalog, tmp_path: Path) -> None:
    whole = list(SMALL.epochs_of(log, programme))
    model = replace(SMALL, checkpoint=str(tmp_path / "half"))
    assert len(list(islice(model.epochs_of(log, programme), done))) == done
    rest = list(model.epochs_of(log, programme))
    assert [epoch.number for epoch in rest] == list(range(done, 5))
    assert [e.score for e in rest] == [e.score for e in whole[done - 1 :]]
    assert same(rest[-1].best, whole[-1].best)
    again = model.fit(log, programme)  # all done: nothing is trained
    assert same(again.fitted(), whole[-1].best)
    assert again.checkpoint is None


def test_the_training_of_something_else_is_refused(log: Log, programme: Catalog, tmp_path: Path) -> None:
    model = replace(SMALL, epochs=1, checkpoint=str(tmp_path / "fit"))
    model.fit(log, programme)
    for other, data in ((replace(model, rate=0.02), log), (model, log.subset(log.learners[:50]))):
        with pytest.raises(ValueError, match="other data or settings; delete it or name another folder"):
            other.fit(data, programme)


def test_published_validation_learners_choose(log: Log, programme: Catalog) -> None:
    """Their answers are trained on by nobody: turned round, they change the score and not the loss."""
    named = log.frame.assign(split=np.where(log.frame["learner"].isin(log.learners[:40]), "valid", "train"))
    turned = named.assign(correct=np.where(named["split"] == "valid", 1 - named["correct"], named["correct"]))
    first, second = (next(iter(SMALL.epochs_of(Log(frame, "log"), programme))) for frame in (named, turned))
    assert first.loss == second.loss
    assert abs(first.score - second.score) > 0.01


def test_small_and_one_sided_logs(log: Log, programme: Catalog) -> None:
    alone = log.subset(log.learners[:1])
    assert SMALL.fit(alone, programme).parameters is not None
    right = Log(log.frame.assign(correct=1.0), "right")
    told = list(SMALL.epochs_of(right, programme))
    assert told[-1].score == max(e.score for e in told) < 0  # less the log loss
    tracer = replace(SMALL, parameters=told[-1].best)
    assert bool((tracer.predict(tracer.start(1)) > 0.5).all())
    with pytest.raises(ValueError, match="no rows"):
        SMALL.fit(log.subset([]), programme)


@pytest.mark.parametrize("wide", [1, 3, 5, 50, 64])
@pytest.mark.parametrize("width", [1, 10, 41, 64, 200])
def test_a_row_times_a_matrix_is_the_same_in_any_batch(width: int, wide: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, matrix = torch.randn(100, width, generator=generator), torch.randn(width, wide, generator=generator)
    whole = rows_times(x, matrix)
    assert torch.allclose(whole, x @ matrix, atol=1e-4)
    for first, n in ((0, 1), (37, 1), (3, 16), (50, 17), (99, 1)):
        assert torch.equal(rows_times(x[first : first + n], matrix), whole[first : first + n])
    order = torch.randperm(100, generator=generator)
    assert torch.equal(rows_times(x[order], matrix), whole[order])


@pytest.mark.parametrize(("n", "k", "m"), [(1, 52, 26), (7, 64, 7), (30, 45, 5), (2, 142, 35), (16, 32, 48)])
def test_products_are_the_same_in_any_batch(n: int, k: int, m: int) -> None:
    """Where in memory a matrix begins changes how it is rounded, were nothing done about it."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(60, n, k, generator=generator), torch.randn(60, k, m, generator=generator)
    whole = each_times(a, b)
    assert torch.allclose(whole, a @ b, atol=1e-4)
    for first, some in ((0, 1), (37, 1), (3, 16), (50, 10), (59, 1)):
        part = slice(first, first + some)
        assert torch.equal(each_times(a[part], b[part]), whole[part])
    turned = each_times(a, b.transpose(1, 2).contiguous().transpose(1, 2))
    assert torch.equal(turned, whole)
