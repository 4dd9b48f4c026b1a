"""Gather and offline training end to end: a log written, learnt from, beside the policy that wrote it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def gathered(desks):
    desk = desks()
    words = [*desk.tiny, "agent=gap_per_minute", "--to", "log", "--learners", "24", "--explore", "0.5"]
    done = desk.call("gather", *words)
    assert (done.status, done.err) == (0, "")
    assert "24 learners" in done.out
    return desk


def test_an_agent_learns_from_the_log_beside_its_policy(gathered) -> None:
    run = gathered.train("agent=iql", "offline.log=log", "offline.epochs=3", "offline.sessions=12")
    found = json.loads((run / "evaluation.json").read_text())
    kinds = {policy["name"]: policy["kind"] for policy in found["policies"]}
    assert kinds["iql"] == "trained"
    assert kinds["logged"] == "baseline"
    curve = found["learning_curve"]["steps"]
    assert len(curve) == 3
    assert curve[0] == 24 * 12, "an epoch sees every logged step once"
    assert any("too few to trust" in text for text in found["warnings"])
    assert found["goodhart"] is None


def test_the_experiments_own_answers_can_be_learnt_from(gathered) -> None:
    run = gathered.train("agent=bc", "offline.log=source", "offline.epochs=1", "offline.learners=20")
    found = json.loads((run / "evaluation.json").read_text())
    assert "logged" not in {policy["name"] for policy in found["policies"]}
    assert any("what the tracer believes" in text for text in found["warnings"])


def test_a_decision_log_is_learnt_from(gathered) -> None:
    run = gathered.train("agent=gap_per_minute")
    words = ["--to", "log.parquet", "--learners", "30", "--explore", "0.5", "--overrides", "0.1"]
    assert gathered.call("simulate-log", run.name, *words).status == 0
    run = gathered.train("agent=cql", "offline.log=log.parquet", "offline.epochs=2", "offline.sessions=12")
    found = json.loads((run / "evaluation.json").read_text())
    assert found["learning_curve"]["steps"] == [30 * 12, 2 * 30 * 12]
    assert any("a session's reward averages" in text for text in found["warnings"])
    done = gathered.call("train", *gathered.tiny, "agent=cql", "offline.log=log.parquet", "offline.reward=gain")
    assert done.status == 2
    assert "no column 'gain' for the reward" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "bc learns from a log: say offline.log=FOLDER"),
        (["offline.log=nowhere"], "nowhere"),
        (["offline.log=log", "horizon=10"], "written with other horizon"),
        (["offline.log=log", "offline.epoch=2"], "did you mean 'offline.epochs'"),
    ],
)
def test_without_a_fitting_log_nothing_is_learnt(gathered, words: list[str], said: str) -> None:
    done = gathered.call("train", *gathered.tiny, "agent=bc", *words)
    assert done.status == 2
    assert said in done.err


def test_gather_wants_sensible_numbers(desk) -> None:
    for words in (["--learners", "0"], ["--explore", "1.5"], ["--cohorts", "-1"]):
        assert desk.call("gather", "--to", "log", *words).status == 2
    assert not (desk.folder / "log").exists()
