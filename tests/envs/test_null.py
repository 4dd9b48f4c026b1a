"""The null test: sound rows give chance, rows that repeat an answer give it away."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.envs.tracers.dkt import DKT
from trailmark.envs.tracers.tally import Tally
from trailmark.envs.validity.null import null_auc

CATALOG = Catalog(
    tuple(Skill(f"s{i}") for i in range(4)),
    tuple(Activity(f"s{i}", "", "exercise", (f"s{i}",), 1.0, (), (), i == 0) for i in range(4)),
)


def made_up(repeats: int, timed: bool) -> Log:
    """400 learners with 40 exercises; every exercise has `repeats` rows."""
    rng = np.random.default_rng(0)
    which, right = rng.integers(0, 4, 16_000), rng.random(16_000) < 0.8
    rows = {
        "learner": np.repeat([f"l{i}" for i in range(400)], 40),
        "activity": [f"s{i}" for i in which],
        "correct": right.astype(float),
        "timestamp": np.tile(np.arange(1.0, 41.0), 400) * timed,
    }
    frame = pd.DataFrame({name: np.repeat(np.asarray(values), repeats) for name, values in rows.items()})
    return Log.from_frame(frame, CATALOG, drop_repeats=False)


@pytest.mark.parametrize("tracer", [Tally(), DKT(hidden=8, width=8, epochs=3, rate=0.01)], ids=["Tally", "DKT"])
def test_sound_rows_give_chance(tracer: Tally | DKT) -> None:
    assert null_auc(tracer, made_up(1, True), CATALOG, seed=0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("tracer", [Tally(), DKT(hidden=8, width=8, epochs=3, rate=0.01)], ids=["Tally", "DKT"])
def test_a_leak_is_seen(tracer: Tally | DKT) -> None:
    assert null_auc(tracer, made_up(2, True), CATALOG, seed=0) > 0.6


def test_without_times_the_answers_must_be_told() -> None:
    log = made_up(2, False)
    assert null_auc(Tally(), log, CATALOG, seed=0) == pytest.approx(0.5, abs=0.02)
    assert null_auc(Tally(), log, CATALOG, seed=0, answers=np.arange(len(log)) // 2) > 0.6


def test_the_seed_decides() -> None:
    log = made_up(1, True)
    assert null_auc(Tally(), log, CATALOG, seed=0) == null_auc(Tally(), log, CATALOG, seed=0)
    assert null_auc(Tally(), log, CATALOG, seed=0) != null_auc(Tally(), log, CATALOG, seed=1)
