"""Performance factors analysis against finite differences, scikit-learn and numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize, sparse, special
from sklearn.linear_model import LogisticRegression

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.rng import Rng
from trailmark.envs.skills import Padded, skills_of
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers import pfa
from trailmark.envs.tracers.pfa import PFA, PFAParameters


def by_hand(skills: np.ndarray) -> PFA:
    weights = (torch.tensor([0.5, -1.0]), torch.tensor([0.8, 0.4]), torch.tensor([-0.3, -0.2]))
    return PFA(parameters=PFAParameters(*weights, Padded.of(skills)))


def test_golden_prediction() -> None:
    """Skill 0: right twice, wrong once, half right once; skill 1: right once of one. Activity 2 needs both."""
    model = by_hand(np.array([[True, False], [False, True], [True, True]]))
    belief = model.start(1)
    for activity, score in ((0, 1.0), (0, 1.0), (0, 0.0), (1, 1.0), (0, 0.5)):
        belief = model.update(belief, Evidence(torch.tensor([activity]), torch.tensor([score])))
    assert (belief.right.tolist(), belief.wrong.tolist()) == ([[2.5, 1.0]], [[1.5, 0.0]])
    x = 0.5 + 0.8 * np.log(3.5) - 0.3 * np.log(2.5)
    y = -1.0 + 0.4 * np.log(2.0)
    expected = special.expit([x, y, (x + y) / 2])
    assert model.predict(belief)[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert model.mastery(belief)[0].tolist() == pytest.approx(expected[:2], abs=1e-6)
    belief = belief._replace(ability=torch.tensor([0.7]))
    abler = special.expit(special.logit(expected) + 0.7)
    assert model.predict(belief)[0].tolist() == pytest.approx(abler, abs=1e-6)


def test_extreme_logits_stay_finite() -> None:
    belief = by_hand(np.eye(2, dtype=bool)).start(2)._replace(ability=torch.tensor([-500.0, 500.0]))
    p = by_hand(np.eye(2, dtype=bool)).predict(belief)
    assert p.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_an_answer_to_two_skills_counts_for_both_and_padding_for_none() -> None:
    model = by_hand(np.array([[False, True], [True, True]]))
    belief = model.update(model.start(2), Evidence(torch.tensor([0, 1]), torch.tensor([1.0, 0.0])))
    assert belief.right.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert belief.wrong.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_abilities_have_the_spread_asked_for() -> None:
    model = by_hand(np.eye(2, dtype=bool))
    ability = PFA(spread=0.8, parameters=model.parameters).draw(Rng.enrol(0, 0, 20_000)).ability
    assert float(ability.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(ability.std()) == pytest.approx(0.8, abs=0.02)


def design_by_loop(log: Log, catalog: Catalog) -> np.ndarray:
    """The design matrix row by row, from the formula."""
    q, k = catalog.q_matrix(), len(catalog.skill_ids)
    rows = []
    for _, life in log.frame.groupby("learner", sort=False):
        right, wrong = np.zeros(k), np.zeros(k)
        for activity, score in zip(life["activity"], life["correct"], strict=True):
            own = q[catalog.activity_index[activity]]
            share = own / own.sum()
            rows.append(np.concatenate([share, share * np.log1p(right), share * np.log1p(wrong)]))
            right, wrong = right + own * score, wrong + own * (1 - score)
    return np.array(rows)


def test_the_design_counts_what_came_before(log: Log, programme: Catalog) -> None:
    few = log.subset(log.learners[:30])
    design = pfa._design(few.sequences(programme), skills_of(programme), len(programme.skill_ids))
    assert np.allclose(design.toarray(), design_by_loop(few, programme), atol=1e-6)


def test_the_gradient_is_the_slope() -> None:
    rng = np.random.default_rng(0)
    design = sparse.csr_matrix(rng.normal(size=(40, 6)) * (rng.random((40, 6)) < 0.6))
    answers, weights = rng.random(40), rng.normal(size=6)
    _, gradient = pfa._loss(weights, design, answers, 0.7)
    slope = optimize.approx_fprime(weights, lambda w: pfa._loss(w, design, answers, 0.7)[0], 1e-6)
    assert np.allclose(gradient, slope, atol=1e-4)
    value, _ = pfa._loss(weights, design, answers, 0.7)
    p = special.expit(design @ weights)
    by_formula = -(answers * np.log(p) + (1 - answers) * np.log(1 - p)).sum() + 0.35 * (weights**2).sum()
    assert value == pytest.approx(by_formula, abs=1e-9)


@pytest.mark.parametrize("ridge", [1.0, 10.0])
def test_agrees_with_scikit_learn(log: Log, programme: Catalog, ridge: float) -> None:
    fitted = PFA(monotone=False, ridge=ridge).fit(log, programme).fitted()
    outside = LogisticRegression(C=1.0 / ridge, fit_intercept=False, tol=1e-8, max_iter=5000)
    outside.fit(design_by_loop(log, programme), log.frame["correct"].to_numpy() > 0.5)
    ours = torch.cat([fitted.easiness, fitted.per_right, fitted.per_wrong]).numpy()
    assert np.allclose(ours, outside.coef_[0], atol=1e-3)


def test_signs_are_kept_where_the_log_is_against_them(log: Log, programme: Catalog) -> None:
    """Everybody answers each activity wrong, right, wrong, right: an unbounded fit breaks both signs."""
    contrary = log.frame.copy()
    contrary["correct"] = contrary.groupby(["learner", "activity"]).cumcount() % 2.0
    against = Log.from_frame(contrary, programme)
    bounded, free = (PFA(monotone=monotone).fit(against, programme).fitted() for monotone in (True, False))
    assert bool((free.per_right < -0.01).any())
    assert bool((free.per_wrong > 0.01).any())
    assert bool((bounded.per_right >= 0).all())
    assert bool((bounded.per_wrong <= 0).all())


def test_a_fit_reaches_the_least_loss(log: Log, programme: Catalog) -> None:
    """With the signs kept: no step inside the bounds goes down."""
    fitted = PFA().fit(log, programme).fitted()
    design = pfa._design(log.sequences(programme), skills_of(programme), len(programme.skill_ids))
    weights = torch.cat([fitted.easiness, fitted.per_right, fitted.per_wrong]).double().numpy()
    _, gradient = pfa._loss(weights, design, log.frame["correct"].to_numpy(), 1.0)
    k = len(programme.skill_ids)
    free = np.r_[np.ones(k, bool), weights[k:] != 0]
    assert np.abs(gradient[free]).max() < 0.05  # of losses that sum over 9,000 answers
    assert (gradient[k : 2 * k][~free[k : 2 * k]] >= -0.05).all()
    assert (gradient[2 * k :][~free[2 * k :]] <= 0.05).all()
