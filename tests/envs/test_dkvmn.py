"""DKVMN: its memory against loops over the formulas, its gradient, its training pass against its online steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.replay import predictions
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.dkvmn import DKVMN, DKVMNNetwork
from trailmark.envs.tracers.dkvmn_cell import written
from trailmark.envs.tracers.neural import SILENT, batches, predicted

SMALL = DKVMN(width=8, slots=5, rate=0.02, epochs=3, tokens=900)


@pytest.fixture(scope="module", params=[False, True], ids=["skills", "items"])
def tracer(request: pytest.FixtureRequest, log: Log, programme: Catalog) -> DKVMN:
    return replace(SMALL, items=request.param).fit(log, programme)


def parts(steps: int, learners: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(steps)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    weights = torch.softmax(some(steps, learners, 3), -1)
    return weights, torch.sigmoid(some(steps, learners, 2)), torch.tanh(some(steps, learners, 2)), some(3, 2)


@pytest.mark.parametrize(("steps", "learners"), [(1, 1), (2, 1), (5, 3)])
def test_it_reads_then_erases_and_adds(steps: int, learners: int) -> None:
    """Zhang et al., equations 3, 5 and 6, number by number."""
    weights, erase, add, start = parts(steps, learners)
    read = written(weights, erase, add, start)
    for b in range(learners):
        slots = start.clone().numpy()
        for t in range(steps):
            w, e, a = (x[t, b].numpy() for x in (weights, erase, add))
            assert read[t, b].tolist() == pytest.approx((w @ slots).tolist())
            for i in range(3):
                slots[i] = slots[i] * (1 - w[i] * e) + w[i] * a


@pytest.mark.parametrize(("steps", "learners"), [(1, 2), (2, 1), (4, 3)])
def test_its_gradient_is_that_of_differences(steps: int, learners: int) -> None:
    assert torch.autograd.gradcheck(written, [x.requires_grad_(True) for x in parts(steps, learners)])


def test_walking_gives_what_training_saw(tracer: DKVMN, held_out: Log, programme: Catalog) -> None:
    score = held_out.frame["correct"].to_numpy() * np.where(np.arange(len(held_out)) % 5 == 0, 0.4, 1.0)
    for log in (held_out, Log(held_out.frame.assign(correct=score), "partial")):
        logits, scored = predicted(DKVMNNetwork(tracer), tracer.fitted(), log.sequences(programme), 900, 200)
        assert bool(scored.all())
        assert np.abs(torch.sigmoid(logits).numpy() - predictions(tracer, log, programme)).max() < 1e-5


def test_the_training_pass_does_not_look_ahead(tracer: DKVMN, held_out: Log, programme: Catalog) -> None:
    batch = next(batches(held_out.sequences(programme), 900, 200, None))
    late = torch.arange(batch.correct.shape[1]) >= 10
    other = batch._replace(
        correct=torch.where(late, 1 - batch.correct, batch.correct),
        activity=torch.where(late.roll(1) & late, (batch.activity + 1) % 7, batch.activity),  # from step 11 on
    )
    a, b = (DKVMNNetwork(tracer).forward(tracer.fitted(), x, SILENT)[0] for x in (batch, other))
    assert torch.allclose(a[:, :11], b[:, :11], atol=1e-6)
    assert not torch.allclose(a[:, 11:], b[:, 11:], atol=1e-3)


def test_one_skill_alone_is_its_mastery(tracer: DKVMN) -> None:
    """Without items an activity of one skill is answered as the skill is mastered; with them not."""
    belief = tracer.update(tracer.start(1), Evidence(torch.tensor([0]), torch.tensor([1.0])))
    alike = torch.allclose(tracer.predict(belief)[:, 0], tracer.mastery(belief)[:, 0], atol=1e-6)
    assert alike != tracer.items


def test_a_slot_that_does_not_matter_is_left_alone(tracer: DKVMN) -> None:
    p = tracer.fitted()
    wall = p.keys.clone()
    wall[:, 1] = 0.0
    wall[:, 0] = -1e4 * p.looks.question(torch.tensor([0]))[0]
    deaf = replace(tracer, parameters=replace(p, keys=wall))
    after = deaf.update(deaf.start(1), Evidence(torch.tensor([0]), torch.tensor([1.0]))).slots[0]
    assert torch.equal(after[0], p.start[0])
    assert float((after[1] - p.start[1]).abs().max()) > 1e-3
