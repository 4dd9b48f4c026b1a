"""What is judged and how: one row per answer, first attempts, floors by hand, intervals that hold the estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.experiments import held_out
from trailmark.experiments import prediction_metrics as metrics

CATALOG = Catalog(
    (Skill("s"), Skill("t"), Skill("u")),
    (
        Activity("a", "", "quiz", ("s",), 1.0),
        Activity("b", "", "quiz", ("t", "s"), 1.0),
        Activity("c", "", "quiz", ("u",), 1.0),
    ),
)


def log_of(rows: list[tuple[str, str, float]]) -> Log:
    return Log.from_frame(pd.DataFrame(rows, columns=["learner", "activity", "correct"]), CATALOG)


@settings(max_examples=50)
@given(some.lists(some.tuples(some.sampled_from("xyz"), some.sampled_from("abc"), some.just(1.0)), min_size=1))
def test_first_attempts_are_those_on_skills_never_met(rows: list[tuple[str, str, float]]) -> None:
    log = log_of(rows)
    judged = held_out.Judged.of(log, CATALOG)
    met: dict[str, set[str]] = {}
    expected, later = [], []
    for learner, activity in log.frame[["learner", "activity"]].itertuples(index=False):
        skills = set(CATALOG.activities[CATALOG.activity_index[activity]].skills)
        later.append(learner in met)
        expected.append(not skills & met.setdefault(learner, set()))
        met[learner] |= skills
    assert judged.first.tolist() == expected
    assert judged.later.tolist() == later


def test_floors_by_hand() -> None:
    seen = log_of([("x", "a", 1.0), ("x", "b", 0.0), ("y", "a", 1.0), ("y", "a", 0.5)])
    asked = log_of([("z", "a", 1.0), ("z", "b", 0.0), ("z", "c", 0.0)])
    found = held_out.floors(seen, asked, CATALOG)
    base = 2.5 / 4
    s, t, u = (2.5 + base) / 5, (0.0 + base) / 2, base
    assert found["constant"].tolist() == [base] * 3
    assert found["skill mean"] == pytest.approx([s, (s + t) / 2, u])
    assert found["activity mean"] == pytest.approx([(2.5 + base) / 4, base / 2, base])


def test_floors_do_not_hang_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    log = log_of([(f"l{i % 7}", "abc"[rng.integers(3)], float(rng.integers(2))) for i in range(100)])
    whole = held_out.floors(log, log, CATALOG)
    monkeypatch.setattr(held_out, "_BLOCK", 7)
    for name, p in held_out.floors(log, log, CATALOG).items():
        assert p == pytest.approx(whole[name], abs=1e-12)


def test_calibration_has_an_interval_around_it() -> None:
    rng = np.random.default_rng(1)
    learners = np.repeat(np.arange(200), 20)
    p = rng.random(4000)
    sound = metrics.ece_interval((rng.random(4000) < p).astype(float), p, learners)
    assert sound.low <= sound.value <= sound.high < 0.05
    labels = (rng.random(4000) < 0.5 * p).astype(float)
    off = metrics.ece_interval(labels, p, learners)
    assert off.value == pytest.approx(metrics.expected_calibration_error(labels, p), abs=1e-12)
    assert off.value == pytest.approx(0.25, abs=0.02)
    rows = np.arange(4000).reshape(200, 20)
    drawn = [
        metrics.expected_calibration_error(labels[index], p[index])
        for index in (rows[rng.integers(0, 200, 200)].ravel() for _ in range(400))
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]) - np.mean(drawn) + off.value
    assert (off.low, off.high) == pytest.approx((low, high), abs=0.003)


def test_metrics_without_both_labels_are_left_out() -> None:
    log = log_of([("x", "a", 1.0), ("x", "a", 0.0), ("y", "a", 1.0), ("y", "a", 0.0), ("y", "a", 1.0)])
    judged = held_out.Judged.of(log, CATALOG)
    found = held_out.scores(judged, np.array([0.6, 0.5, 0.6, 0.5, 0.4]))
    assert "first_auc" not in found, "first attempts were all right"
    assert found["auc"].value == pytest.approx(4 / 6)
    assert set(found) == {"auc", "later_auc", "log_loss", "accuracy", "ece"}
    assert not held_out.Judged.of(log_of([("x", "a", 1.0)]), CATALOG).mixed
