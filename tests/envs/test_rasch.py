"""Rasch against scikit-learn, integrals done numerically, made-up learners and real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, special, stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.data.sources.gervet import Gervet
from trailmark.envs.replay import predictions
from trailmark.envs.rng import Rng
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.rasch import Rasch, RaschBelief, RaschParameters


def by_hand(easiness: list[float], slope: list[float], variance: float = 1.0, drift: float = 0.0) -> Rasch:
    e, a = torch.tensor(easiness), torch.tensor(slope)
    return Rasch(drift=drift, parameters=RaschParameters(e, a, e[:1], a[:1], torch.tensor([variance])))


def one(mean: float, variance: float) -> RaschBelief:
    return RaschBelief(torch.tensor([mean]), torch.tensor([variance]))


def answered(activity: int, correct: float) -> Evidence:
    return Evidence(torch.tensor([activity]), torch.tensor([correct]))


def test_golden_update() -> None:
    model = by_hand([0.5, -1.0], [1.0, 1.5], drift=0.02)
    after = model.update(one(0.2, 0.8), answered(1, 1.0))
    p = special.expit(-1.0 + 1.5 * 0.2)
    variance = 1.0 / (1.0 / 0.8 + 1.5**2 * p * (1.0 - p))
    assert float(after.mean) == pytest.approx(0.2 + variance * 1.5 * (1.0 - p), abs=1e-6)
    assert float(after.variance) == pytest.approx(variance + 0.02, abs=1e-6)


@pytest.mark.parametrize("variance", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("easiness", [-2.0, 0.5])
def test_predictions_average_over_the_ability(variance: float, easiness: float) -> None:
    model = by_hand([easiness], [1.3])

    def weighed(x: float) -> float:
        return float(special.expit(easiness + 1.3 * (0.4 + x * variance**0.5)) * stats.norm.pdf(x))

    assert float(model.predict(one(0.4, variance))) == pytest.approx(integrate.quad(weighed, -8, 8)[0], abs=0.01)
    assert float(model.predict_at(one(0.4, variance), torch.tensor([0]))) == float(model.predict(one(0.4, variance)))
    assert float(model.mastery(one(0.4, variance))) == float(model.predict(one(0.4, variance)))


def test_the_posterior_is_near_the_exact_one() -> None:
    """Twelve answers, against Bayes' rule on a grid; without drift."""
    model, belief = by_hand([0.5, -1.0, 0.0], [1.0, 1.0, 1.0]), one(0.0, 1.0)
    grid = np.linspace(-6, 6, 4001)
    density = stats.norm.pdf(grid)
    rng = np.random.default_rng(3)
    for _ in range(12):
        activity, correct = int(rng.integers(3)), float(rng.random() < 0.7)
        belief = model.update(belief, answered(activity, correct))
        p = special.expit(grid + [0.5, -1.0, 0.0][activity])
        density = density * (p if correct else 1.0 - p)
    density = density / density.sum()
    mean = (grid * density).sum()
    assert float(belief.mean) == pytest.approx(mean, abs=0.05)
    assert float(belief.variance) == pytest.approx((grid**2 * density).sum() - mean**2, abs=0.03)


def test_a_drawn_ability_is_known_and_stays() -> None:
    model = by_hand([0.5], [1.0], variance=0.49, drift=0.02)
    drawn = model.draw(Rng.enrol(0, 0, 20_000))
    assert float(drawn.mean.std()) == pytest.approx(0.7, abs=0.01)
    after = model.update(drawn, Evidence(torch.zeros(20_000, dtype=torch.int64), torch.ones(20_000)))
    assert torch.equal(after.mean, drawn.mean)
    assert not bool(after.variance.any())


def made_up(
    learners: int = 400, items: int = 30, steps: int = 40, slopes: bool = False
) -> tuple[Log, Catalog, tuple[np.ndarray, ...]]:
    """Easiness, slope and ability are known; two skills, a third without items, and an item that nobody meets."""
    rng = np.random.default_rng(7)
    activities = [Activity(f"i{i}", "", "exercise", (f"s{i % 2}",), 1.0) for i in range(items + 1)]
    catalog = Catalog((Skill("s0"), Skill("s1"), Skill("s2")), tuple(activities))
    easiness, slope = rng.normal(1.2, 1.0, items), rng.choice([0.5, 1.8], items) if slopes else np.ones(items)
    ability = rng.normal(0.0, 0.9, learners)
    item = rng.integers(0, items, (learners, steps))
    p = special.expit(easiness[item] + slope[item] * ability[:, None])
    names = np.repeat([f"l{i:03d}" for i in range(learners)], steps)
    frame = {
        "learner": names,
        "activity": [f"i{i}" for i in item.ravel()],
        "correct": 1.0 * (rng.random(p.shape) < p).ravel(),
    }
    return Log.from_frame(pd.DataFrame(frame), catalog), catalog, (easiness, slope, ability)


def test_recovers_what_made_the_answers() -> None:
    log, catalog, truth = made_up()
    p = Rasch(ridge=0.1).fit(log, catalog).fitted()
    assert np.abs(p.easiness[:-1].numpy() - truth[0]).mean() < 0.12
    assert float(p.variance) == pytest.approx(float(truth[2].var()), rel=0.15)
    assert bool((p.slope == 1.0).all())


def test_slopes_are_found_when_asked_for() -> None:
    log, catalog, truth = made_up(learners=800, slopes=True)
    p = Rasch(discrimination=True).fit(log, catalog).fitted()
    assert np.corrcoef(p.slope[:-1].numpy(), truth[1])[0, 1] > 0.85
    assert float(p.slope[-1]) == 1.0
    assert bool(((p.slope >= 0.25) & (p.slope <= 4.0)).all())


def test_what_the_log_does_not_show_has_the_mean_of_its_skill() -> None:
    """The last item is of skill 0; skill 2 has no item."""
    log, catalog, _ = made_up(learners=60)
    for model in (Rasch(), Rasch(online=False)):
        p = model.fit(log, catalog).fitted()
        same_skill = p.easiness[0:30:2]
        assert float(p.easiness[30]) == pytest.approx(float(same_skill.mean()), abs=0.15)
        assert float(p.skill_easiness[0]) == pytest.approx(float(p.easiness[::2].mean()), abs=1e-5)
        assert float(p.skill_easiness[2]) == pytest.approx(float(p.easiness.mean()), abs=0.2)  # far from 0
        assert float(p.skill_slope[2]) == 1.0


@pytest.mark.parametrize("learners", [4, 300])
def test_item_only_agrees_with_scikit_learn(log: Log, programme: Catalog, learners: int) -> None:
    log = log.subset(log.learners[:learners])
    model = Rasch(online=False).fit(log, programme)
    q, item = programme.q_matrix().astype(float), log.sequences(programme).activity
    design = np.concatenate([np.eye(len(q)), q / q.sum(1, keepdims=True)], 1)[item]
    outside = LogisticRegression(C=1.0, tol=1e-9, max_iter=5000).fit(design, log.frame["correct"] > 0.5)
    easiness = np.concatenate([np.eye(len(q)), q / q.sum(1, keepdims=True)], 1) @ outside.coef_[0] + outside.intercept_
    assert np.allclose(model.fitted().easiness.numpy(), easiness, atol=1e-3)
    belief = model.update(model.start(1), answered(0, 1.0))
    assert torch.equal(model.predict(belief), model.predict(model.start(1)))
    assert torch.allclose(model.predict(belief)[0], torch.from_numpy(special.expit(easiness)).float(), atol=1e-3)


def test_following_the_ability_pays(log: Log, held_out: Log, programme: Catalog) -> None:
    truth = held_out.frame["correct"]
    online, alone = (
        roc_auc_score(truth, predictions(m.fit(log, programme), held_out, programme))
        for m in (Rasch(), Rasch(online=False))
    )
    assert online > alone + 0.01


@pytest.mark.slow
def test_real_learners(real_data: Path) -> None:
    log, catalog = Gervet(str(real_data / "assist2009/gervet"), granularity="problem").load()
    split = log.split(0, valid=0.0)
    truth = split.test.frame["correct"]
    model = Rasch(online=False).fit(split.train, catalog)
    assert roc_auc_score(truth, predictions(model, split.test, catalog)) >= 0.6856  # without the skills' means: .6866
    followed = Rasch().fit(split.train, catalog)
    assert roc_auc_score(truth, predictions(followed, split.test, catalog)) >= 0.762
    still = replace(followed, drift=0.0)
    assert roc_auc_score(truth, predictions(still, split.test, catalog)) == pytest.approx(0.758, abs=0.002)
