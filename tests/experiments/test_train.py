"""The main job end to end: what it leaves behind, that it repeats itself, and what other agents and sources do."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from trailmark.agents import loop
from trailmark.agents.bundle import PolicyBundle
from trailmark.envs.classroom import Classroom
from trailmark.envs.rng import derive
from trailmark.experiments.evaluation import populations

STEPS = (
    "load catalogue and log",
    "fit the learners' model to the log's training learners",
    "check the tracer on learners never seen",
    "train: 3 of 3",
    "evaluate: 7 of 7",
    "save bundle, evaluation and report",
)


def leaves(node, prefix=""):
    if not isinstance(node, dict):
        return {prefix: str(node)}
    pairs = [leaves(value, f"{prefix}.{key}" if prefix else key) for key, value in node.items()]
    return {key: value for pair in pairs for key, value in pair.items()}


def test_every_step_is_shown_and_every_file_written(desk, numbers) -> None:
    done = desk.call("train", *desk.tiny)
    assert (done.status, done.err) == (0, "")
    places = [done.out.index(step) for step in STEPS]
    assert places == sorted(places)
    assert re.search(r"ppo +│ trained", done.out)
    assert {path.name for path in desk.run.iterdir()} == {
        *("config.yaml", "world", "checkpoint", "bundle", "evaluation.json", "report.html")
    }
    found = numbers(desk.run)
    assert found["command"] == " ".join(["trailmark train", *desk.tiny])
    assert found["learning_curve"]["steps"] == sorted(found["learning_curve"]["steps"])
    assert len(found["learning_curve"]["return"]) == 3
    assert len(found["learning_curve"]["heldout"]) == 1
    assert "ppo" in (desk.run / "report.html").read_text()
    assert PolicyBundle.load(desk.run / "bundle").card["run_id"] == desk.run.name


def test_mlflow_holds_config_tags_metrics_and_artifacts(finished) -> None:
    run_id, config = finished.run.name, yaml.safe_load((finished.run / "config.yaml").read_text())
    client = MlflowClient(f"sqlite:///{finished.folder / 'mlflow.db'}")
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "tiny"
    assert run.data.params == leaves(config)
    found = yaml.safe_load((finished.run / "evaluation.json").read_text())
    assert run.data.tags["seed"] == "0"
    assert run.data.tags["data"] == found["data"]["digest"]
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", run.data.tags["commit"])
    curve = [(m.step, m.value) for m in client.get_metric_history(run_id, "return")]
    assert curve == list(enumerate(found["learning_curve"]["return"], 1))
    steps = [m.value for m in client.get_metric_history(run_id, "learner_steps")]
    assert steps == found["learning_curve"]["steps"]
    held_out = [(m.step, m.value) for m in client.get_metric_history(run_id, "heldout_learning_gain")]
    assert held_out == [(2, found["learning_curve"]["heldout"][0]["value"])]
    for policy in found["policies"]:
        for outcome, estimate in policy["values"].items():
            assert run.data.metrics[f"{policy['name']}/{outcome}"] == estimate["value"]
    assert run.data.metrics["tracer_auc"] == found["tracer"]["auc"]["value"]
    assert {a.path for a in client.list_artifacts(run_id)} == {
        *("config.yaml", "bundle", "evaluation.json", "report.html")
    }
    place = Path(run.info.artifact_uri.removeprefix("file://"))
    assert place == finished.folder / "mlartifacts" / run_id / "artifacts"
    for name in ("config.yaml", "evaluation.json", "report.html", "bundle/card.json", "bundle/checksums.json"):
        assert (place / name).read_bytes() == (finished.run / name).read_bytes()


def test_same_seed_gives_the_same_numbers_and_another_does_not(desk, numbers) -> None:
    first, second = desk.train(), desk.train()
    assert numbers(first) == numbers(second)
    assert desk.metrics(first) == desk.metrics(second) != []
    arrays = "checkpoint/arrays.safetensors", "bundle/arrays.safetensors", "world/arrays.safetensors"
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in arrays)
    other = numbers(desk.train("seed=1"))
    assert other["policies"] != numbers(first)["policies"]
    assert other["learning_curve"]["return"][0] != numbers(first)["learning_curve"]["return"][0]


def test_every_population_is_another_one() -> None:
    """Training, held-out and evaluation learners of one seed never meet, nor do those of two seeds."""
    seeds = [seed for i in range(3) for seed in (*populations(i, 5), derive(i, "train"), derive(i, "heldout"))]
    assert len(set(seeds)) == 3 * 7
    assert populations(1, 5)[:2] == populations(1, 2)


def test_every_cohort_is_of_fresh_learners(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    enrolled = []

    def room(world, seed, first, n, **fields):
        enrolled.append((seed, first, n))
        return Classroom(world, seed, first, n, **fields)

    monkeypatch.setattr(loop, "Classroom", room)
    desk.train("agent=linucb")
    assert [cohort for cohort in enrolled if cohort[0] == derive(0, "train")] == [
        (derive(0, "train"), first, 16) for first in (0, 16, 32)
    ]


def test_a_heuristic_as_agent_is_only_evaluated(desk, numbers) -> None:
    run = desk.train("agent=mastery_learning")
    found = numbers(run)
    names = [policy["name"] for policy in found["policies"]]
    assert names[0] == "mastery_learning"
    assert len(names) == len(set(names)) == 6, "the agent is one of the six baselines, not a seventh policy"
    assert {p["kind"] for p in found["policies"]} == {"floor", "baseline"}
    assert found["learning_curve"] == {"steps": [], "return": [], "heldout": []}
    assert not (run / "checkpoint").exists()
    bundle = PolicyBundle.load(run / "bundle")
    assert type(bundle.policy).__name__ == "MasteryLearning"


def test_kss_works_without_a_log(desk) -> None:
    done = desk.call(
        *("train", "experiment=kss", "training.learners=16", "training.cohorts=2", "training.evaluate_every=0"),
        *("evaluation.learners=30", "evaluation.seeds=1"),
    )
    assert (done.status, done.err) == (0, "")
    assert re.search(r"cyclic +│ floor", done.out)
    assert desk.tags(desk.run)["data"] == "none"


def answers(learner: int, items: int) -> list[tuple[int, int, int, int, int]]:
    chance = random.Random(learner)
    return [(learner, 10 + i % 6, i * 60, int(chance.random() < 0.3 + 0.05 * i), i % 3) for i in range(items)]


def test_a_log_in_gervets_format(desk) -> None:
    folder = desk.folder / "gervet"
    folder.mkdir()
    for name, learners in (("train", range(30)), ("test", range(30, 40))):
        rows = ["\t".join(map(str, row)) for learner in learners for row in answers(learner, 12)]
        text = "\n".join(["user_id\titem_id\ttimestamp\tcorrect\tskill_id", *rows])
        (folder / f"{name}.tsv").write_text(text + "\n")
    run = desk.train(
        "experiment=assistments", "source.path=gervet", "agent=linucb", "tracer.iterations=5", "horizon=10"
    )
    found = yaml.safe_load((run / "evaluation.json").read_text())
    assert (found["data"]["learners"], found["data"]["rows"], found["data"]["activities"]) == (40, 480, 3)
    assert (found["tracer"]["learners"], found["tracer"]["rows"]) == (10, 120)


def write_log(path: Path, change=lambda rows: rows) -> None:
    rows = [("learner", "activity", "skill", "correct", "timestamp")]
    rows += [(f"u{u}", f"a{a}", f"s{k}", str(c), str(t)) for u in range(20) for u, a, t, c, k in answers(u, 10)]
    path.write_text("\n".join(",".join(row) for row in change(rows)) + "\n")


def test_anybodys_table(desk) -> None:
    write_log(desk.folder / "mine.csv")
    run = desk.train("source=table", "source.path=mine.csv", "agent=linucb", "horizon=10")
    found = yaml.safe_load((run / "evaluation.json").read_text())
    assert (found["data"]["name"], found["data"]["rows"], found["data"]["skills"]) == ("mine", 200, 3)


CATALOG = "id,skills,minutes\n" + "".join(f"a{i},s{i % 3},5\n" for i in range(10, 16))
SKILLS = "id,prerequisites\ns0,\ns1,s0\ns2,s1\n"


def with_cell(rows, row: int, column: int, text: str):
    changed = [list(cells) for cells in rows]
    changed[row - 1][column] = text
    return changed


FAULTS = {
    "missing column": (
        lambda rows: [row[:3] + row[4:] for row in rows],
        {},
        ["mine.csv", "'correct'", "missing column"],
    ),
    "score": (lambda rows: with_cell(rows, 7, 3, "nan!"), {}, ["mine.csv", "row 7", "'correct'", "nan!"]),
    "NaN score": (lambda rows: with_cell(rows, 7, 3, "2"), {}, ["mine.csv", "row 7", "'correct'", "from 0 to 1"]),
    "unknown activity": (
        lambda rows: with_cell(rows, 5, 1, "a99"),
        {"activities.csv": CATALOG},
        ["mine.csv", "row 5", "'activity'", "a99"],
    ),
    "cycle": (
        lambda rows: rows,
        {"activities.csv": CATALOG, "skills.csv": SKILLS.replace("s0,\n", "s0,s2\n")},
        ["skills.csv", "row 2", "'prerequisites'", "cyclic"],
    ),
    "duplicate": (
        lambda rows: rows,
        {"activities.csv": CATALOG + "a10,s0,5\n"},
        ["activities.csv", "row 8", "'id'", "duplicate id 'a10'"],
    ),
    "minutes": (
        lambda rows: rows,
        {"activities.csv": CATALOG.replace("a12,s0,5", "a12,s0,-5")},
        ["activities.csv", "row 4", "'minutes'", "negative"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_data_is_told_in_one_line_and_leaves_nothing(desk, fault: str) -> None:
    change, catalog, told = FAULTS[fault]
    write_log(desk.folder / "mine.csv", change)
    words = ["source=table", "source.path=mine.csv"]
    if catalog:
        (desk.folder / "mine").mkdir()
        for name, text in catalog.items():
            (desk.folder / "mine" / name).write_text(text)
        words.append("source.catalog=mine")
    done = desk.call("train", *desk.tiny, *words)
    assert done.status == 2
    assert all(part in done.err for part in told), done.err
    assert done.err.startswith("trailmark: ")
    assert len(done.err.splitlines()) == 1, done.err
    assert not (desk.folder / "runs").exists()
    assert desk.query("select * from runs") == []


def test_a_missing_file_is_told(desk) -> None:
    done = desk.call("train", *desk.tiny, "source=table", "source.path=nowhere.csv")
    assert done.status == 2
    assert "nowhere.csv: no such file" in done.err
    assert not (desk.folder / "runs").exists()


def test_a_log_too_many_is_told(desk) -> None:
    done = desk.call("train", *desk.tiny, "source=none")
    assert done.status == 2
    assert "choose a source" in done.err


def test_another_store_is_respected(desk, desks, monkeypatch) -> None:
    elsewhere = desks().folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{os.path.relpath(elsewhere, desk.folder)}/mlflow.db")
    done = desk.call("train", *desk.tiny, "agent=mastery_learning")
    assert done.status == 0, done.err
    assert desk.query("select * from runs") == []
    assert type(desk)(elsewhere).status(desk.run) == "FINISHED"
    assert not (desk.folder / "mlartifacts").exists()
    assert (elsewhere / "mlartifacts" / desk.run.name / "artifacts" / "report.html").exists()


def test_an_error_marks_the_run_failed(desk) -> None:
    def fall(patch: pytest.MonkeyPatch) -> None:
        import trailmark.agents.ppo as ppo

        patch.setattr(ppo.PPO, "learn", lambda *_: 1 / 0)

    done = desk.doomed(fall, "train", *desk.tiny)
    assert done.status == 1
    assert "ZeroDivisionError" in done.err
    assert desk.status(desk.run) == "FAILED"
    assert not (desk.run / "report.html").exists()
