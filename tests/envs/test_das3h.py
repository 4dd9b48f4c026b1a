"""DAS3H against numbers made by hand, counts made by a loop, scikit-learn and real learners."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log, Sequences
from trailmark.data.sources.gervet import Gervet
from trailmark.envs.replay import predictions, walk
from trailmark.envs.rng import Rng
from trailmark.envs.skills import Padded, skills_of
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.das3h import DAS3H, WINDOWS, DAS3HBelief, DAS3HParameters, _design
from trailmark.envs.tracers.logistic import design_of

EDGES = np.array([*WINDOWS, np.inf])


def by_hand(memory: int = 64) -> DAS3H:
    g = torch.Generator().manual_seed(0)
    skills = Padded.of(np.array([[True, False], [False, True], [True, True]]))
    easiness, average = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.2, 0.05])
    right, tries = torch.rand(2, 5, generator=g), torch.rand(2, 5, generator=g) - 0.5
    return DAS3H(parameters=DAS3HParameters(easiness, torch.tensor([0.5, -1.0]), right, tries, average, skills, memory))


def lived(model: DAS3H, life: list[tuple[int, float, float]]) -> DAS3HBelief:
    """(activity, score, days afterwards) of one learner."""
    belief = model.start(1)
    for activity, score, days in life:
        belief = model.update(belief, Evidence(torch.tensor([activity]), torch.tensor([score])))
        belief = model.elapse(belief, torch.tensor([days]))
    return belief


def counts_by_loop(model: DAS3H, life: list[tuple[int, float, float]]) -> np.ndarray:
    """(2, K, 5), right answers and tries."""
    skills = model.fitted().skills
    age = np.cumsum([days for _, _, days in life][::-1])[::-1]
    out = np.zeros((2, 2, 5))
    for (activity, score, _), old in zip(life, age, strict=True):
        for skill in skills.index[activity][skills.real[activity]].tolist():
            out[:, skill] += np.array([score, 1.0])[:, None] * (old < EDGES)
    return out


def test_golden_prediction() -> None:
    model = by_hand()
    life = [(0, 1.0, 20.0), (2, 0.5, 5.0), (1, 0.0, 0.5), (0, 1.0, 0.02), (2, 1.0, 0.01)]
    belief = lived(model, life)
    counts = counts_by_loop(model, life)
    assert counts[1].tolist() == [[2, 2, 3, 4, 4], [1, 2, 3, 3, 3]]
    assert np.allclose(torch.stack([belief.right[0], belief.tries[0]]).numpy(), counts, atol=1e-6)
    p = model.fitted()
    history = (np.stack([p.right.numpy(), p.tries.numpy()]) * np.log1p(counts)).sum((0, 2)) + np.array([0.5, -1.0])
    logits = np.array([0.1 + history[0], -0.2 + history[1], 0.3 + history.sum()])
    assert model.predict(belief)[0].tolist() == pytest.approx(special.expit(logits), abs=1e-6)
    assert model.mastery(belief)[0].tolist() == pytest.approx(special.expit(history + np.array([0.2, 0.05])), abs=1e-6)
    able = belief._replace(ability=torch.tensor([0.7]))
    assert model.predict(able)[0].tolist() == pytest.approx(special.expit(logits + 0.7), abs=1e-6)
    for activity in range(3):
        assert float(model.predict_at(able, torch.tensor([activity]))) == pytest.approx(
            special.expit(logits[activity] + 0.7), abs=1e-6
        )


@pytest.mark.parametrize("window", range(4))
def test_an_answer_as_old_as_the_window_is_outside(window: int) -> None:
    model, second = by_hand(), 1.0 / 86400.0
    just = [lived(model, [(0, 1.0, days)]).tries[0, 0, window] for days in (WINDOWS[window] - second, WINDOWS[window])]
    assert just == [1.0, 0.0]


def test_many_short_waits_are_one_long_wait() -> None:
    model = by_hand()
    belief = lived(model, [(0, 1.0, 0.0)])
    for _ in range(2 * 3600 - 1):  # half seconds
        belief = model.elapse(belief, torch.tensor([0.5 / 86400.0]))
    assert belief.tries[0, 0].tolist() == [1.0] * 5
    assert model.elapse(belief, torch.tensor([0.5 / 86400.0])).tries[0, 0].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_counts_are_those_of_a_loop_and_a_full_memory_lets_the_oldest_go() -> None:
    rng = np.random.default_rng(2)
    life = [(int(rng.integers(3)), float(rng.integers(3)) / 2, float(rng.exponential(0.7))) for _ in range(60)]
    model = by_hand()
    belief = lived(model, life)
    assert np.allclose(torch.stack([belief.right[0], belief.tries[0]]).numpy(), counts_by_loop(model, life), atol=1e-5)
    small = lived(by_hand(memory=7), life)
    expected = counts_by_loop(model, life[-7:])  # what the windows still know
    expected[:, :, 4] = counts_by_loop(model, life)[:, :, 4]
    assert np.allclose(torch.stack([small.right[0], small.tries[0]]).numpy(), expected, atol=1e-5)
    assert expected[1, 0, 3] < counts_by_loop(model, life)[1, 0, 3]


def test_abilities_have_the_spread_asked_for() -> None:
    ability = replace(by_hand(), spread=0.8).draw(Rng.enrol(0, 0, 20_000)).ability
    assert float(ability.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(ability.std()) == pytest.approx(0.8, abs=0.02)


def design_by_loop(sequences: Sequences, catalog: Catalog) -> np.ndarray:
    """The design matrix row by row, from the formula; without the population's mean."""
    q, a = catalog.q_matrix(), len(catalog.activities)
    rows = []
    for start, end in zip(sequences.start[:-1], sequences.start[1:], strict=True):
        item, days, score = (x[start:end] for x in (sequences.activity, sequences.days, sequences.correct))
        for t, i in enumerate(item):
            young = days[t] - days[:t, None] < EDGES - 1e-5  # (t, 5)
            of_skill = q[item[:t]].astype(float)  # (t, K)
            right, tries = (np.log1p(of_skill.T @ (young * s)) * q[i][:, None] for s in (score[:t, None], 1.0))
            rows.append(np.r_[np.eye(a)[i], q[i], np.stack([right.T, tries.T], 1).ravel()])
    return np.array(rows)


def test_the_design_counts_what_came_before(log: Log, programme: Catalog) -> None:
    few = log.subset(log.learners[:30]).sequences(programme)
    design = design_of(_design(DAS3H(), few, skills_of(programme), 6), len(few.activity)).toarray()
    assert (design[:, 0] == 1).all()
    assert np.allclose(design[:, 1:], design_by_loop(few, programme), atol=1e-9)
    by_window = design[:, 14:].reshape(-1, 5, 2, 6)[:, :, 1].sum((0, 2))
    assert (np.diff(by_window)[:3] > 0).all()  # so that each window says something of its own here


def test_agrees_with_scikit_learn(log: Log, programme: Catalog) -> None:
    p = DAS3H(monotone=False, ridge=5.0).fit(log, programme).fitted()
    design = design_by_loop(log.sequences(programme), programme)
    outside = LogisticRegression(C=0.2, tol=1e-9, max_iter=10_000).fit(design, log.frame["correct"] > 0.5)
    by_window = torch.stack([p.right.T, p.tries.T], 1).flatten()
    ours = torch.cat([p.easiness - float(outside.intercept_[0]), p.skill_easiness, by_window]).numpy()
    assert np.allclose(ours, outside.coef_[0], atol=1e-3)


def test_signs_are_kept_where_the_log_is_against_them(log: Log, programme: Catalog) -> None:
    contrary = log.frame.copy()
    contrary["correct"] = contrary.groupby(["learner", "activity"]).cumcount() % 2.0
    against = Log.from_frame(contrary, programme)
    bounded, free = (DAS3H(monotone=monotone).fit(against, programme).fitted() for monotone in (True, False))
    assert bool((bounded.right >= 0).all())
    assert bool((bounded.tries[:, :4] >= 0).all())
    assert float(free.right.min()) < -0.1
    assert float(free.tries[:, :4].min()) < -0.1


def test_a_log_without_times_teaches_no_forgetting(log: Log, programme: Catalog) -> None:
    model = DAS3H().fit(Log.from_frame(log.frame.assign(timestamp=0.0), programme, drop_repeats=False), programme)
    p = model.fitted()
    assert not bool(p.right[:, :4].any() | p.tries[:, :4].any())
    assert bool((p.right[:5, 4] > 0).any())
    belief = model.update(model.start(1), Evidence(torch.tensor([0]), torch.ones(1)))
    assert torch.equal(model.predict(model.elapse(belief, torch.tensor([99.0]))), model.predict(belief))


def test_walking_gives_the_designs_predictions(log: Log, programme: Catalog) -> None:
    """With a memory just as long as the busiest learner's 30 days."""
    model = DAS3H(memory=1).fit(log, programme)
    p, sequences = model.fitted(), log.sequences(programme)
    lives = [sequences.days[a:b] for a, b in zip(sequences.start[:-1], sequences.start[1:], strict=True)]
    busiest = max(((days > day - 30.0) & (days <= day)).sum() for days in lives for day in days)
    assert p.memory == busiest > 20
    assert DAS3H(memory=99).fit(log, programme).fitted().memory == 99
    weights = torch.cat([p.easiness, p.skill_easiness, torch.stack([p.right.T, p.tries.T], 1).flatten()])
    logits = design_by_loop(sequences, programme) @ weights.double().numpy()
    assert np.allclose(predictions(model, log, programme), special.expit(logits), atol=1e-6)


@pytest.mark.slow
def test_real_learners(real_data: Path) -> None:
    """The walk's counts are those of the design on every held-out row, and the bars are reached."""
    log, catalog = Gervet(str(real_data / "algebra05_time"), granularity="problem").load()
    split = log.split(0, valid=0.0)
    model = DAS3H().fit(split.train, catalog)
    sequences, skills, k = split.test.sequences(catalog), skills_of(catalog), len(catalog.skill_ids)
    design = design_of(_design(model, sequences, skills, k), len(split.test))
    counts = design[:, [*range(1 + len(catalog.activities) + k, design.shape[1])]].toarray().reshape(-1, 5, 2, k)
    p = np.empty(len(split.test))
    for rows, belief, seen in walk(model, sequences):
        index = skills.index[seen.activity]
        at = torch.arange(len(rows))[:, None]
        real = skills.real[seen.activity].numpy()
        for place, kept in enumerate((belief.right, belief.tries)):
            offline = counts[rows.numpy()[:, None], :, place, index.numpy()][real]
            assert np.abs(torch.log1p(kept[at, index]).numpy()[real] - offline).max() < 1e-6
        p[rows.numpy()] = model.predict_at(belief, seen.activity).numpy()
    f = model.fitted()
    by_window = torch.stack([f.right.T, f.tries.T], 1).flatten()
    weights = torch.cat([torch.zeros(1), f.easiness, f.skill_easiness, by_window]).double().numpy()
    assert np.abs(p - special.expit(design @ weights)).max() < 1e-6
    assert np.array_equal(p.astype(np.float32), predictions(model, split.test, catalog))
    truth = split.test.frame["correct"]
    assert roc_auc_score(truth, p) >= 0.8280
    assert log_loss(truth, p) <= 0.4202
