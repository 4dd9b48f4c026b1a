"""Forgetting: Bayes by hand, and that it finds out how fast a card is forgotten."""

from __future__ import annotations

import math

import pytest
import torch

from trailmark.envs.rng import Rng
from trailmark.envs.students.efc import EFC
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.forgetting import Forgetting


def test_one_answer_by_hand() -> None:
    catalog = EFC(items=2).catalog
    tracer = Forgetting(rate=0.1, spread=1.0, known=2.0, grid=3).fit(None, catalog)
    belief = tracer.elapse(tracer.start(1), torch.tensor([3.0]))
    rates = [0.1 * math.exp(z) for z in (-2.5, 0.0, 2.5)]
    prior = [math.exp(-0.5 * z * z) for z in (-2.5, 0.0, 2.5)]
    recall = [max(1e-4, math.exp(-r * 5.0)) for r in rates]
    expected = sum(w * p for w, p in zip(prior, recall, strict=True)) / sum(prior)
    assert float(tracer.predict(belief)[0, 1]) == pytest.approx(expected, rel=1e-5)
    for score in (0.0, 0.3, 1.0):
        likely = [w * (score * p + (1 - score) * (1 - p)) for w, p in zip(prior, recall, strict=True)]
        after = tracer.update(belief, Evidence(torch.tensor([1]), torch.tensor([score])))
        later = tracer.elapse(after, torch.tensor([4.0]))
        expected = sum(w * math.exp(-r * 4.0 / 2.0) for w, r in zip(likely, rates, strict=True)) / sum(likely)
        assert float(tracer.predict(later)[0, 1]) == pytest.approx(expected, rel=1e-4)
        assert torch.equal(after.weight[:, 0], belief.weight[:, 0]), "the other card is as it was"


def test_strength_grows_as_told() -> None:
    catalog = EFC(items=1).catalog
    tracer = Forgetting(rate=1.0, spread=0.0, linear=0.0, per_right=2.0, per_wrong=1.0, known=1.0).fit(None, catalog)
    belief = tracer.start(1)
    for score in (1.0, 0.0):
        belief = tracer.update(belief, Evidence(torch.tensor([0]), torch.tensor([score])))
    later = tracer.elapse(belief, torch.tensor([7.0]))
    assert float(tracer.predict(later)) == pytest.approx(math.exp(-7.0 / math.exp(3.0)), rel=1e-5)


def test_it_tells_quick_cards_from_slow_ones() -> None:
    student, steps = EFC(items=6), 40
    tracer = Forgetting(known=1.0).fit(None, student.catalog)
    rng = Rng.enrol(0, 0, 300)
    state, belief = student.enrol(rng), tracer.start(300)
    before = tracer.features(belief)[:, :6]
    for t in range(steps):
        action = torch.full((300,), t % 6)
        state, response = student.answer(state, action, rng.at(t))
        belief = tracer.update(belief, Evidence(action, response.correct))
        days = torch.full((300,), 5.0)
        state, belief = student.elapse(state, days, rng.at(t)), tracer.elapse(belief, days)
    truth = torch.log(state.rate).flatten()
    found = tracer.features(belief)[:, :6].flatten()
    assert float(torch.corrcoef(torch.stack([truth, found]))[0, 1]) > 0.6
    assert float((truth - found).square().mean()) < 0.7 * float((truth - before.flatten()).square().mean())
    assert float(found.mean()) == pytest.approx(float(truth.mean()), abs=0.08), "no bias where the law is known"


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="grid of 2"):
        Forgetting(grid=1)
    with pytest.raises(ValueError, match="right answer"):
        Forgetting(per_wrong=1.0)
