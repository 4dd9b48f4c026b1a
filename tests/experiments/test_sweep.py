"""Many jobs, one parent: children, comparison, failures, and two workers at once."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from trailmark.experiments import statistics as st
from trailmark.experiments import sweep


def family(desk) -> tuple[str, list[Path]]:
    """Return the id of the one parent run, and the folders of its children by agent and seed."""
    ((parent,),) = desk.query("select distinct value from tags where key = 'mlflow.parentRunId'")
    return parent, [run for run in desk.runs() if desk.tags(run).get("mlflow.parentRunId") == parent]


def assert_compared(desk, seeds: list[int]) -> None:
    """Assert that two agents on each seed became one family whose comparison repeats the children's own numbers."""
    parent, children = family(desk)
    assert len(children) == len(desk.runs()) == 2 * len(seeds)
    assert desk.status(parent) == "FINISHED"
    assert {desk.status(child) for child in children} == {"FINISHED"}
    homes = desk.query("select distinct experiment_id from runs")
    assert len(homes) == 1
    assert desk.query("select name from experiments where experiment_id = ?", str(homes[0][0])) == [("tiny",)]
    found = json.loads((desk.folder / "runs" / parent / "comparison.json").read_text())
    assert (desk.folder / "runs" / parent / "comparison.html").exists()
    assert {artifact.name for artifact in (desk.folder / "mlartifacts" / parent / "artifacts").iterdir()} == {
        *("comparison.json", "comparison.html")
    }
    scores: dict[str, dict[int, float]] = {}
    for child in children:
        evaluation = json.loads((child / "evaluation.json").read_text())
        assert evaluation["parent_run_id"] == parent
        for policy in evaluation["policies"]:
            value = policy["values"]["learning_gain"]["value"]
            scores.setdefault(policy["name"], {})[evaluation["seed"]] = value
    assert {row["name"] for row in found["agents"]} == {"linucb", "ppo"}
    assert {row["name"] for row in found["baselines"]} == scores.keys() - {"linucb", "ppo"}
    for row in found["agents"] + found["baselines"]:
        assert row["seeds"] == seeds
        assert row["scores"] == [scores[row["name"]][seed] for seed in seeds]
        interval = st.stratified_bootstrap(np.array(row["scores"])[:, None], st.iqm, seed=0)
        assert row["iqm"] == {"value": interval.value, "low": interval.low, "high": interval.high}
        logged = [value for key, _, value in desk.metrics(parent) if key == f"{row['name']}/learning_gain/iqm"]
        assert logged == [row["iqm"]["value"]]
    pairs = {(pair["x"], pair["y"]): pair["probability"]["value"] for pair in found["improvement"]}
    mine, theirs = (np.array([scores[name][seed] for seed in seeds]) for name in ("linucb", "ppo"))
    assert pairs["linucb", "ppo"] == pytest.approx(np.mean(mine[:, None] > theirs))


def test_two_agents_on_two_seeds(desk) -> None:
    done = desk.call("train", *desk.tiny, "-m", "agent=linucb,ppo", "seed=0,1")
    assert (done.status, done.err) == (0, "")
    assert_compared(desk, [0, 1])
    assert "interquartile mean over seeds" in done.out
    parent, children = family(desk)
    assert sorted(desk.tags(child)["seed"] for child in children) == ["0", "0", "1", "1"]
    again = desk.call("compare", parent, "--to", "again")
    assert again.status == 0
    first, second = (
        json.loads((desk.folder / place / "comparison.json").read_text()) for place in (f"runs/{parent}", "again")
    )
    assert first["agents"] == second["agents"]
    assert first["improvement"] == second["improvement"]
    named = desk.call("compare", *(child.name for child in children), "--to", "named")
    assert named.status == 0
    assert json.loads((desk.folder / "named" / "comparison.json").read_text())["improvement"] == first["improvement"]
    refused = desk.call("train", f"resume={parent}")
    assert (refused.status, "is the parent of a multirun" in refused.err) == (2, True)


@pytest.mark.slow
def test_two_workers_at_once(desk) -> None:
    """Workers are processes of their own: they must find their parent run, and share one store."""
    done = subprocess.run(
        [
            desk.script,
            "train",
            *desk.tiny,
            "-m",
            "agent=linucb,ppo",
            "hydra/launcher=joblib",
            "hydra.launcher.n_jobs=2",
        ],
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_compared(desk, [0])


def test_one_bad_job_leaves_the_others(desk) -> None:
    done = desk.call("train", "-m", *desk.tiny, "agent=ppo", "agent.rate=1e-3,bad,1e-2")
    assert done.status == 1
    assert "agent.rate=bad: it takes float, not str" in done.err
    assert "Traceback" not in done.err
    parent, children = family(desk)
    assert desk.status(parent) == "FAILED"
    assert [desk.status(child) for child in children] == ["FINISHED"] * 2
    assert "agent.rate=bad" in desk.tags(parent)["trailmark.failed.1"]
    found = json.loads((desk.folder / "runs" / parent / "comparison.json").read_text())
    # Both have seed 0: what tells them apart is said, and neither hides the other.
    assert sorted(row["name"] for row in found["agents"]) == ["ppo rate 0.001", "ppo rate 0.01"]
    assert sum(row["name"] == "random" for row in found["baselines"]) == 1


def test_a_job_that_crashes_leaves_the_others(desk) -> None:
    def fall(patch: pytest.MonkeyPatch) -> None:
        import trailmark.agents.linucb as linucb

        patch.setattr(linucb.LinUCB, "learn", lambda *_: 1 / 0)

    done = desk.doomed(fall, "train", "-m", *desk.tiny, "agent=linucb,random_legal")
    assert done.status == 1
    assert "ZeroDivisionError" in done.err
    parent, children = family(desk)
    assert desk.status(parent) == "FAILED"
    assert sorted(desk.status(child) for child in children) == ["FAILED", "FINISHED"]


def test_ctrl_c_stops_the_whole_sweep(desk) -> None:
    def interrupt(patch: pytest.MonkeyPatch) -> None:
        import trailmark.agents.linucb as linucb

        patch.setattr(linucb.LinUCB, "learn", lambda *_: os.kill(os.getpid(), 2))

    done = desk.doomed(interrupt, "train", "-m", *desk.tiny, "agent=random_legal,linucb,ppo")
    assert done.status == 130
    parent, children = family(desk)
    assert desk.status(parent) == "KILLED"
    assert sorted(desk.status(child) for child in children) == ["FINISHED", "KILLED"]


def test_the_parent_stands_where_its_children_stand(desk) -> None:
    """The experiment's name comes from the composed job, whatever word on the command line gave it."""
    done = desk.call("train", "-m", *desk.tiny, "name=mine", "output=results", "agent=mastery_learning", "seed=0,1")
    assert done.status == 0, done.err
    assert [name for (name,) in desk.query("select name from experiments")] == ["Default", "mine"]
    assert len(desk.query("select distinct experiment_id from runs")) == 1
    ((parent,),) = desk.query("select distinct value from tags where key = 'mlflow.parentRunId'")
    assert (desk.folder / "results" / parent / "comparison.html").exists()
    assert not (desk.folder / "runs").exists()


def test_showing_a_sweeps_config_starts_none(desk) -> None:
    done = desk.call("train", *desk.tiny, "-m", "--cfg", "job")
    assert done.status == 0, done.err
    assert "name: tiny" in done.out
    assert desk.query("select * from runs") == []


def result(agent: str, seed: int, value: float, *, name: str = "tiny", **config) -> dict:
    policies = [
        {"name": agent, "kind": "trained", "values": {"gain": {"value": value}}},
        {"name": "random", "kind": "floor", "values": {"gain": {"value": seed / 10}}},
    ]
    plain = {"seed": seed, "agent": {"_target_": f"trailmark.{agent}", "seed": seed, **config}, "horizon": 40}
    return {
        "experiment": name,
        "primary": "gain",
        "policies": policies,
        "run_id": f"{agent}{seed}",
        "seed": seed,
        "outcomes": [{"name": "gain", "higher_is_better": True}],
        "commit": "c",
        "config": json.dumps(plain),  # JSON is YAML
    }


def test_comparison_pairs_every_agent_and_the_best_baseline() -> None:
    found = sweep.compare([result(a, s, v + s) for a, v in (("a", 1.0), ("b", 0.5)) for s in range(4)], "p", "words")
    rows = {row["name"]: row for row in found["agents"]}
    assert rows["a"]["scores"] == [1.0, 2.0, 3.0, 4.0]
    assert rows["a"]["iqm"]["value"] == 2.5
    assert [row["scores"] for row in found["baselines"]] == [[0.0, 0.1, 0.2, 0.3]]
    chance = {(pair["x"], pair["y"]): pair["probability"]["value"] for pair in found["improvement"]}
    assert chance == {("a", "b"): 0.625, ("a", "random"): 1.0, ("b", "random"): 1.0}


def test_variants_of_one_agent_stay_apart() -> None:
    runs = [result("a", s, x, alpha=x) for x in (0.1, 0.2) for s in (0, 1)]
    found = sweep.compare(runs, "p", "words")
    assert {row["name"]: row["scores"] for row in found["agents"]} == {
        "a alpha 0.1": [0.1, 0.1],
        "a alpha 0.2": [0.2, 0.2],
    }
    assert [row["name"] for row in found["baselines"]] == ["random"]
    assert sweep.metric("a hidden [64, 64]/gain/iqm") == "a hidden _64_ 64_/gain/iqm"


def test_runs_of_different_tasks_are_not_compared() -> None:
    with pytest.raises(sweep.TaskError, match="different tasks"):
        sweep.compare([result("a", 0, 1.0), result("a", 0, 1.0, name="kss")], "p", "words")


def test_a_sweep_over_tasks_ends_without_a_comparison(desk) -> None:
    done = desk.call("train", "-m", *desk.tiny, "agent=mastery_learning", "name=one,two")
    assert done.status == 0
    assert "no comparison: runs of different tasks" in done.err
    ((parent,),) = desk.query("select distinct value from tags where key = 'mlflow.parentRunId'")
    assert desk.status(parent) == "FINISHED"
