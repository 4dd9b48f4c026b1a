"""HLR: the published formula, the gradient of its fit, and parameters found again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.envs.replay import predictions
from trailmark.envs.skills import skills_of
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.hlr import HLR, HLRParameters, _Data, _loss
from trailmark.envs.tracers.readiness import Readiness


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    skills = tuple(Skill(f"s{k}") for k in range(3))
    return Catalog(skills, tuple(Activity(s.id, "", "card", (s.id,), 1.0, (), (), s.id == "s0") for s in skills))


def known(catalog: Catalog) -> HLR:
    """A model with chosen weights."""
    easiness = torch.tensor([0.0, 1.0, -1.0])
    weights = torch.tensor([0.9]), torch.tensor([-0.4])
    return HLR(parameters=HLRParameters(*weights, easiness, Readiness.certain(3), skills_of(catalog)))


def test_the_published_formula(catalog: Catalog) -> None:
    model = known(catalog)
    belief = model.start(1)
    assert model.predict(belief).tolist() == [[0.5, 0.5, 0.5]]  # never met
    for score in (1.0, 0.0, 1.0, 1.0):
        belief = model.update(belief, Evidence(torch.tensor([1]), torch.tensor([score])))
        belief = model.elapse(belief, torch.tensor([2.5]))
    life = 2 ** (0.9 * np.sqrt(1 + 3) - 0.4 * np.sqrt(1 + 1) + 1)
    assert model.half_life(belief)[0, 1].item() == pytest.approx(life, rel=1e-5)
    assert model.predict(belief)[0, 1].item() == pytest.approx(2 ** (-2.5 / life), rel=1e-5)
    assert belief.seen.tolist() == [[-1, 1, -1]]


def test_half_lives_stay_within_a_quarter_of_an_hour_and_274_days(catalog: Catalog) -> None:
    model = known(catalog)
    belief = model.start(2)
    for _ in range(500):
        belief = model.update(belief, Evidence(torch.tensor([0, 0]), torch.tensor([1.0, 0.0])))
    assert model.half_life(belief)[:, 0].tolist() == pytest.approx([274.0, 15 / 1440], rel=1e-6)


@given(first=st.floats(0, 300), second=st.floats(0, 300), right=st.integers(0, 9), wrong=st.integers(0, 9))
def test_days_add_up_and_never_help(first: float, second: float, right: int, wrong: int) -> None:
    catalog = Catalog((Skill("s"),), (Activity("s", "", "card", ("s",), 1.0, (), (), True),))
    weights = torch.tensor([0.9]), torch.tensor([-0.4]), torch.tensor([0.2])
    model = HLR(parameters=HLRParameters(*weights, Readiness.certain(1), skills_of(catalog)))
    belief = model.start(1)
    for score in [1.0] * right + [0.0] * wrong:
        belief = model.update(belief, Evidence(torch.zeros(1, dtype=torch.int64), torch.tensor([score])))
    a, b = (torch.tensor([days], dtype=torch.float64) for days in (first, second))
    twice, once = model.elapse(model.elapse(belief, a), b), model.elapse(belief, a + b)
    assert twice.age.item() == pytest.approx(once.age.item(), rel=1e-12)
    assert 0 < model.mastery(once) <= model.mastery(model.elapse(belief, a)) < 1


@pytest.mark.parametrize("half_life_weight", [0.0, 0.01])
def test_gradient(half_life_weight: float) -> None:
    generator = np.random.default_rng(0)
    n = 60
    data = _Data(
        np.sqrt(1.0 + generator.integers(0, 5, (n, 2))),
        generator.integers(0, 4, n),
        generator.uniform(0.1, 20, n),
        generator.integers(0, 2, n).astype(float),
        generator.uniform(0.5, 1, n),
    )
    theta = generator.normal(0, 0.3, 7)
    error = optimize.check_grad(
        lambda x: _loss(x, data, 0.1, half_life_weight)[0], lambda x: _loss(x, data, 0.1, half_life_weight)[1], theta
    )
    assert error < 1e-4 * np.linalg.norm(_loss(theta, data, 0.1, half_life_weight)[1])


def made_up(model: HLR, catalog: Catalog, n: int, seed: int) -> Log:
    """A log of n learners who answer as `model` says; the first answer is right half the time."""
    generator = torch.Generator().manual_seed(seed)
    belief, now, rows = model.start(n), torch.zeros(n, dtype=torch.float64), []
    for _ in range(24):
        days = 6 * torch.rand(n, generator=generator, dtype=torch.float64)
        belief, now = model.elapse(belief, days), now + days
        activity = torch.randint(0, 3, (n,), generator=generator)
        correct = (torch.rand(n, generator=generator) < model.predict_at(belief, activity)).float()
        belief = model.update(belief, Evidence(activity, correct))
        rows += [
            (f"l{i}", f"s{a}", c, 1e9 + 86400 * t)
            for i, (a, c, t) in enumerate(zip(activity, correct, now, strict=True))
        ]
    frame = pd.DataFrame(
        [(a, b, float(c), float(t)) for a, b, c, t in rows], columns=["learner", "activity", "correct", "timestamp"]
    )
    return Log.from_frame(frame, catalog)


def test_known_weights_are_found_again(catalog: Catalog) -> None:
    truth = known(catalog)
    model = HLR(curve_alone=True, ridge=0.01).fit(made_up(truth, catalog, 1500, 0), catalog)
    p, expected = model.fitted(), truth.fitted()
    assert p.per_right.item() == pytest.approx(expected.per_right.item(), abs=0.12)
    assert p.per_wrong.item() == pytest.approx(expected.per_wrong.item(), abs=0.12)
    assert (p.easiness - expected.easiness).abs().max() < 0.3
    held_out = made_up(truth, catalog, 200, 1)
    assert np.abs(predictions(model, held_out, catalog) - predictions(truth, held_out, catalog)).mean() < 0.02


def test_signs_are_kept_where_the_data_say_otherwise(catalog: Catalog) -> None:
    """Made-up people who forget what they got right."""
    weights = torch.tensor([-0.5]), torch.tensor([0.5]), torch.tensor([3.0, 3.0, 3.0])
    odd = HLR(parameters=HLRParameters(*weights, Readiness.certain(3), skills_of(catalog)))
    log = made_up(odd, catalog, 400, 2)
    free = HLR(monotone=False, curve_alone=True).fit(log, catalog).fitted()
    assert free.per_right.item() < -0.1 < 0.1 < free.per_wrong.item()
    kept = HLR(curve_alone=True).fit(log, catalog).fitted()
    assert kept.per_right.item() >= 0 == kept.per_wrong.item()
