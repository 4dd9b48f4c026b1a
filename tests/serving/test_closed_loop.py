"""The closed loop: served, exported, replayed exactly, judged, and learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trailmark.agents.bundle import PolicyBundle
from trailmark.data.decisions import Decisions
from trailmark.experiments.decisions import main as export
from trailmark.experiments.evidence.replay import replay
from trailmark.experiments.ope import main as ope
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.train import main as train

LEARNERS, TURNS = 8, 7


def live(desk: Desk) -> None:
    """Learners who wait, do more than they are told, say things, answer late or not at all, and people's words."""
    rng = np.random.default_rng(0)
    ids = desk.engine.names
    for i in range(LEARNERS):
        past = [(ids[int(rng.integers(len(ids)))], float(rng.random())) for _ in range(i % 3)]
        desk.enrol("main", f"n{i}", f"l{i}", None, 900.0 if i % 2 else None, past, None)
    late: dict[int, tuple[str, str]] = {}
    for t in range(TURNS):
        for i in range(LEARNERS):
            name, days = f"l{i}", float(rng.choice([0.0, 0.3, 2.0, 9.0]))
            if rng.random() < 0.3:
                word, which = ("veto", "override")[int(rng.random() < 0.4)], ids[int(rng.integers(len(ids)))]
                desk.say("main", f"w{t}-{i}", name, "Grace", word, which, bool(rng.random() < 0.8), "to try")
            given = desk.decide("main", f"d{t}-{i}", name, 1, days, None)["activity"]
            if given is None:
                continue
            wait = float(rng.choice([0.0, 1.5]))
            if i in late and rng.random() < 0.5:
                decision, activity = late.pop(i)
                happen(desk, f"late{t}-{i}", name, activity, rng, wait, decision)
            if rng.random() < 0.2:
                late[i] = (f"d{t}-{i}", given)
                continue
            if rng.random() < 0.3:
                happen(desk, f"note{t}-{i}", name, None, rng, wait, None)
            other = given if rng.random() < 0.8 else ids[int(rng.integers(len(ids)))]
            happen(desk, f"e{t}-{i}", name, other, rng, wait, f"d{t}-{i}")
            for k in range(int(rng.integers(3))):
                happen(desk, f"x{k}-{t}-{i}", name, ids[int(rng.integers(len(ids)))], rng, 0.1 * k, None)


def happen(
    desk: Desk,
    request: str,
    name: str,
    activity: str | None,
    rng: np.random.Generator,
    days: float,
    decision: str | None,
) -> None:
    said: dict[str, Any] = {"activity": activity, "correct": float(rng.random()), "minutes": float(rng.integers(1, 9))}
    said |= {"accepted": bool(rng.random() < 0.8), "days": days, "decision": decision}
    desk.event("main", request, name, said)


@pytest.fixture
def log(desk: Desk, tmp_path: Path) -> Path:
    live(desk)
    path = tmp_path / "log.parquet"
    export(["--store", str(tmp_path / "store.db"), "--to", str(path)])
    return path


def test_replay_sees_what_was_served(log: Path, bundle: PolicyBundle) -> None:
    found = Decisions.load(log, bundle.observer.catalog)
    assert found.frame["override"].any()
    assert (found.frame["delivered"] != "").any()
    assert found.frame["correct"].isna().any()
    assert (found.frame["vetoed"].str.len() > 0).mean() > 0.3
    assert (found.frame["since"].str.len() > 1).mean() > 0.3
    assert (found.frame["waited"] > 1).mean() > 0.3
    seen = replay(bundle.observer, bundle.policy, found)
    assert found.allowed is not None
    assert found.probabilities is not None
    assert np.array_equal(seen.mask, found.allowed)
    np.testing.assert_allclose(seen.policy, found.probabilities, atol=1e-5)
    for blank in ({"waited": 0.0}, {"vetoed": [[]] * len(found)}, first_only(found)):
        less = replay(bundle.observer, bundle.policy, replace(found, frame=found.frame.assign(**blank)))
        assert np.abs(less.policy - found.probabilities).max() > 1e-3, blank.keys()


def first_only(log: Decisions) -> dict[str, Any]:
    """The first event between two decisions alone."""
    return {name: log.frame[name].str[:1] for name in log.frame if name.startswith("since")}


def test_the_served_log_is_judged_and_learned_from(
    log: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(["--store", str(tmp_path / "store.db"), "--to", str(log)])
    assert "latest decisions whose answers are awaited" in capsys.readouterr().out
    ope([f"policy={folder}", f"log={log}", "reward=goal_gain", "replicates=10", "folds=2", "cells=5"])
    assert f"{LEARNERS} sessions; reward `goal_gain`" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    words = ["experiment=tiny", "horizon=12", "evaluation.learners=8", "evaluation.seeds=1", "evaluation.also=null"]
    train([*words, "agent=bc", f"offline.log={log}", "offline.reward=goal_gain", "offline.epochs=1"])
    (run,) = (tmp_path / "runs").glob("*/evaluation.json")
    assert "a session's goal_gain averages" in run.read_text()
