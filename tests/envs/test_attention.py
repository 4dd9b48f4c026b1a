"""Attention against torch's own and loops over formulas; training passes against online steps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.replay import predictions
from trailmark.envs.rng import Rng
from trailmark.envs.rows import map_tensors
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.akt import AKT, AKTNetwork
from trailmark.envs.tracers.attention import Block, Memory, attend, attend_now
from trailmark.envs.tracers.fading import faded
from trailmark.envs.tracers.neural import SILENT, Network, batches, predicted
from trailmark.envs.tracers.sakt import SAKT, SAKTNetwork
from trailmark.envs.tracers.simplekt import SimpleKT, SimpleKTNetwork

Model = SAKT | SimpleKT | AKT
SMALL = {"width": 8, "heads": 2, "feed": 12, "rate": 0.01, "epochs": 2, "length": 40}
MODELS: dict[str, Model] = {}
for _items in (False, True):
    _end = " with items" if _items else ""
    MODELS[f"SAKT{_end}"] = SAKT(items=_items, **SMALL)
    MODELS[f"simpleKT{_end}"] = SimpleKT(items=_items, **SMALL)
    MODELS[f"AKT{_end}"] = AKT(items=_items, **SMALL)


def network(model: Model) -> Network:
    if isinstance(model, SAKT):
        return SAKTNetwork(model)
    return SimpleKTNetwork(model) if isinstance(model, SimpleKT) else AKTNetwork(model)


@pytest.fixture(scope="module")
def fitted(log: Log, programme: Catalog) -> dict[str, Model]:
    return {name: model.fit(log, programme) for name, model in MODELS.items()}


@pytest.fixture(params=list(MODELS))
def tracer(request: pytest.FixtureRequest, fitted: dict[str, Model]) -> Model:
    return fitted[request.param]


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain(strict: bool) -> tuple[Tensor, Tensor]:
    """What a block takes in, without what follows, beside torch's own attention."""
    b = Block.untrained(8, 0, 0, False, torch.Generator().manual_seed(0))
    x, keys, values = some(3, 6, 8), some(3, 6, 8, seed=1), some(3, 6, 8, seed=2)
    q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in (x @ b.query + b.query_bias, keys, values))
    mask = torch.ones(6, 6, dtype=torch.bool).tril(-1 if strict else 0)
    taken = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).nan_to_num(0.0)
    expected = F.layer_norm(x + taken.transpose(1, 2).flatten(2) @ b.out, (8,))
    return attend(b, 2, x, keys, values, strict, SILENT), expected


@pytest.mark.parametrize("strict", [True, False])
def test_it_is_torchs_attention(strict: bool) -> None:
    ours, expected = plain(strict)
    assert torch.allclose(ours, expected, atol=1e-5)


def test_a_step_with_nothing_before_it_takes_in_nothing() -> None:
    ours, _ = plain(True)
    assert torch.allclose(ours[:, 0], F.layer_norm(some(3, 6, 8)[:, 0], (8,)), atol=1e-6)


def test_fading_is_the_formula() -> None:
    """Row by row: distance sqrt(age * share of attention paid later), score times exp(-slope distance)."""
    scores, slope = some(1, 2, 5, 5), torch.tensor([0.8, 0.3])
    step = torch.arange(5)
    behind = step[:, None] - step.flip(0)  # the newest first
    ours = faded(scores, slope, behind.clamp_min(0).float(), behind < 0).flip(-1)
    for h in range(2):
        for t in range(5):
            row = scores[0, h, t].flip(-1)[: t + 1].double().numpy()
            share = np.exp(row) / np.exp(row).sum()
            shrunk = []
            for i in range(t + 1):
                distance = math.sqrt((t - i) * share[i + 1 :].sum())
                shrunk.append(row[i] * math.exp(-float(slope[h]) * distance))
            expected = np.exp(shrunk) / np.exp(shrunk).sum()
            assert ours[0, h, t, : t + 1].tolist() == pytest.approx(expected, abs=1e-6)
    assert bool((ours.triu(1) == 0).all())


def test_its_gradient_is_that_of_differences_with_the_distance_held() -> None:
    scores, slope = some(2, 3, 4, 4).double(), torch.tensor([0.8, 0.3, 1.5]).double()
    step = torch.arange(4)
    behind = step[:, None] - step.flip(0)
    age, hidden = behind.clamp_min(0).double(), behind < 0
    paid = torch.softmax(scores.masked_fill(hidden, -1e9), -1)
    distance = torch.sqrt(age * F.pad(paid.cumsum(-1)[..., :-1], (1, 0)))

    def plain(scores: Tensor, slope: Tensor) -> Tensor:
        return torch.softmax((scores * torch.exp(-slope[:, None, None] * distance)).masked_fill(hidden, -1e9), -1)

    found = []
    for function in (plain, lambda *x: faded(*x, age, hidden)):
        leaves = [x.clone().requires_grad_(True) for x in (scores, slope)]
        weights = function(*leaves)
        (weights * some(2, 3, 4, 4, seed=1)).sum().backward()
        found.append([weights, *(x.grad for x in leaves)])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_older_answers_weigh_less_where_all_are_alike() -> None:
    weights = faded(
        torch.ones(1, 1, 1, 6), torch.ones(1), torch.arange(1, 7.0)[None], torch.zeros(1, 6, dtype=torch.bool)
    )
    assert bool((torch.diff(weights[0, 0, 0]) < 0).all())


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("fading", [0, 2])
def test_one_step_is_the_last_of_many(own: bool, fading: int) -> None:
    b = Block.untrained(8, 12, fading, True, torch.Generator().manual_seed(3))
    x = some(4, 6, 8)
    keys, values = b.to_query(x), x @ b.value
    whole = attend(b, 2, x, keys, values, not own, SILENT)[:, 5]
    memory, answers = Memory.empty(4, 2, 9, b.value), torch.zeros(4, dtype=torch.int64)
    for t in range(5):
        memory = memory.with_one(keys[:, t], values[:, t])
    now = attend_now(b, 2, x[:, 5:], memory, answers + 5, (keys[:, 5:], values[:, 5:]) if own else None)[:, 0]
    assert torch.allclose(now, whole, atol=1e-5)


def test_a_full_memory_forgets_its_oldest() -> None:
    memory, new = Memory.empty(2, 1, 3, torch.zeros(1, 1)), torch.tensor([[1.0], [2.0]])
    for t in range(5):
        memory = memory.with_one(new * t, -new * t)
    assert memory.keys[0, 0, :, 0].tolist() == [4, 3, 2]
    assert memory.values[1, 0, :, 0].tolist() == [-8, -6, -4]


def test_walking_gives_what_training_saw(tracer: Model, held_out: Log, programme: Catalog) -> None:
    score = held_out.frame["correct"].to_numpy() * np.where(np.arange(len(held_out)) % 5 == 0, 0.4, 1.0)
    for log in (held_out, Log(held_out.frame.assign(correct=score), "partial")):
        logits, scored = predicted(network(tracer), tracer.fitted(), log.sequences(programme), 900, 40)
        assert bool(scored.all())
        assert np.abs(torch.sigmoid(logits).numpy() - predictions(tracer, log, programme)).max() < 1e-5


def test_the_training_pass_does_not_look_ahead(tracer: Model, held_out: Log, programme: Catalog) -> None:
    batch = next(batches(held_out.sequences(programme), 900, 40, None))
    late = torch.arange(batch.correct.shape[1]) >= 10
    other = batch._replace(
        correct=torch.where(late, 1 - batch.correct, batch.correct),
        activity=torch.where(late.roll(1) & late, (batch.activity + 1) % 7, batch.activity),  # from step 11 on
    )
    a, b = (network(tracer).forward(tracer.fitted(), x, SILENT)[0] for x in (batch, other))
    assert torch.allclose(a[:, :11], b[:, :11], atol=1e-6)
    assert not torch.allclose(a[:, 11:], b[:, 11:], atol=1e-3)


def test_filled_places_change_nothing(tracer: Model, held_out: Log, programme: Catalog) -> None:
    batch = next(batches(held_out.sequences(programme), 900, 40, None))
    longer = type(batch)(*(F.pad(x, (0, 5)) for x in batch))
    a, b = (network(tracer).forward(tracer.fitted(), x, SILENT)[0] for x in (batch, longer))
    assert torch.allclose(a, b[:, : a.shape[1]], atol=1e-5)


def test_learners_of_one_answer_can_be_learned_from(tracer: Model, log: Log, programme: Catalog) -> None:
    """They make batches of one step, in which strict attention has nothing to attend to."""
    short = Log(log.frame.drop_duplicates("learner").reset_index(drop=True), "short")
    told = list(replace(tracer, parameters=None, epochs=2).epochs_of(short, programme))
    assert all(math.isfinite(epoch.loss) for epoch in told)
    logits, _ = predicted(network(tracer), tracer.fitted(), short.sequences(programme), 900, 40)
    assert np.abs(torch.sigmoid(logits).numpy() - predictions(tracer, short, programme)).max() < 1e-5


def answered(tracer: Model, steps: range, n: int = 3) -> object:
    belief = tracer.start(n)
    for t in steps:
        activity = (torch.arange(n) + t * t) % 7
        belief = tracer.update(belief, Evidence(activity, ((torch.arange(n) + t) % 3 == 0).float()))
    return belief


def test_sakt_remembers_the_window_and_no_more(fitted: dict[str, Model]) -> None:
    """Its one block sees raw answers: those before the latest 39 leave no trace."""
    long, short = (answered(fitted["SAKT"], steps) for steps in (range(60), range(21, 60)))
    other = answered(fitted["SAKT"], range(22, 60))
    assert torch.allclose(fitted["SAKT"].predict(long), fitted["SAKT"].predict(short), atol=1e-6)
    assert not torch.allclose(fitted["SAKT"].predict(long), fitted["SAKT"].predict(other), atol=1e-6)


def test_long_lives_stay_sound(tracer: Model) -> None:
    belief = answered(tracer, range(150))
    p = tracer.predict(belief)
    assert bool(((p > 0) & (p < 1)).all())
    sizes: list[tuple[int, ...]] = []
    map_tensors(lambda x: (sizes.append(tuple(x.shape)), x)[1], belief)
    assert all(size[2] == 48 for size in sizes if len(size) == 4)


def test_one_skill_alone_is_its_mastery(tracer: Model) -> None:
    """Without items an activity of one skill is answered as the skill is mastered; with them not."""
    belief = answered(tracer, range(8))
    alike = torch.allclose(tracer.predict(belief)[:, 0], tracer.mastery(belief)[:, 0], atol=1e-6)
    assert alike != tracer.items


def test_drawn_learners_are_new_ones(tracer: Model) -> None:
    assert torch.equal(tracer.predict(tracer.draw(Rng.enrol(0, 5, 3))), tracer.predict(tracer.start(3)))


@pytest.mark.parametrize("wrong", [{"length": 1}, {"width": 9}])
@pytest.mark.parametrize("name", ["SAKT", "simpleKT", "AKT"])
def test_settings_that_cannot_be(name: str, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 2 or more"):
        replace(MODELS[name], **wrong)


@pytest.mark.parametrize("which", [slice(0, 1), slice(7, 8), slice(2, 6)])
def test_a_learner_is_the_same_in_any_batch(tracer: Model, which: slice) -> None:
    whole = answered(tracer, range(12), n=9)
    some_of = map_tensors(lambda x: x[which], whole)
    activity = torch.arange(9) % 7
    assert torch.equal(tracer.predict(some_of), tracer.predict(whole)[which])
    assert torch.equal(tracer.predict_at(some_of, activity[which]), tracer.predict_at(whole, activity)[which])
    after = tracer.update(whole, Evidence(activity, torch.ones(9)))
    alone = tracer.update(some_of, Evidence(activity[which], torch.ones(9)[which]))
    assert torch.equal(tracer.mastery(alone), tracer.mastery(after)[which])
