"""What one does with a finished run: evaluate, compare, report, export, and ask the exported bundle."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from trailmark.agents.bundle import PolicyBundle
from trailmark.envs import pack
from trailmark.experiments import evaluation

FEW = ("--learners", "20", "--seeds", "1")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


def test_export_is_the_runs_own_policy(finished, target: Path) -> None:
    done = finished.call("export", "latest", "--to", str(target))
    assert (done.status, done.err) == (0, "")
    assert finished.run.name in done.out
    ours, theirs = PolicyBundle.load(finished.run / "bundle"), PolicyBundle.load(target)
    assert theirs.card == ours.card
    assert torch.equal(theirs.policy.theta, ours.policy.theta)
    assert theirs.recommend(theirs.enrol(), 3) == ours.recommend(ours.enrol(), 3)
    assert {path.suffix for path in target.iterdir()} == {".json", ".safetensors", ".onnx"}


def test_export_replaces_an_older_bundle_only(finished, target: Path) -> None:
    assert finished.call("export", "latest", "--to", str(target), "--no-onnx").status == 0
    assert finished.call("export", finished.run.name[:8], "--to", str(target), "--no-onnx").status == 0
    foreign = target.with_name("foreign")
    foreign.mkdir()
    assert finished.call("export", "latest", "--to", str(foreign), "--no-onnx").status == 0, "an empty folder is free"
    shutil.rmtree(foreign)
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    (foreign / "object.json").write_text("{}")
    done = finished.call("export", "latest", "--to", str(foreign))
    assert done.status == 2
    assert "is no policy bundle; name another folder" in done.err
    assert {path.name for path in foreign.iterdir()} == {"thesis.tex", "object.json"}
    done = finished.call("export", "latest", "--to", str(foreign / "thesis.tex"))
    assert (done.status, "is no policy bundle" in done.err) == (2, True)


def test_export_of_what_is_not_there(finished, desk, target: Path) -> None:
    done = finished.call("export", "zzz", "--to", str(target))
    assert (done.status, "no run 'zzz'" in done.err) == (2, True)
    done = desk.call("export", "latest", "--to", str(target))
    assert (done.status, "no finished run in runs: start one with" in done.err) == (2, True)
    half = desk.folder / "runs" / "half"
    half.mkdir(parents=True)
    shutil.copy(finished.run / "config.yaml", half)
    done = desk.call("export", "half", "--to", str(target))
    assert (done.status, "finish it with `trailmark train resume=half`" in done.err) == (2, True)
    assert not target.exists()


def test_export_of_a_changed_bundle_is_refused(finished, desk, target: Path) -> None:
    shutil.copytree(finished.run, desk.folder / "runs" / "changed")
    card = desk.folder / "runs" / "changed" / "bundle" / "card.json"
    card.write_text(card.read_text().replace("tiny", "huge"))
    done = desk.call("export", "changed", "--to", str(target))
    assert (done.status, "card.json changed since it was saved" in done.err) == (2, True)
    assert not target.exists()


@pytest.fixture(scope="module")
def bundle(finished) -> str:
    return str(finished.run / "bundle")


def test_recommend_says_what_the_bundle_says(finished, bundle: str) -> None:
    done = finished.call("recommend", bundle, "-k", "2", "--minutes", "300")
    assert (done.status, done.err) == (0, "")
    loaded = PolicyBundle.load(Path(bundle))
    suggestions = loaded.recommend(loaded.enrol(None, 300.0), 2)
    assert len(suggestions) == 2
    heads = [line for line in done.out.splitlines() if not line.startswith(" ")]
    assert heads == [
        f"{i}. {s.title} ({s.activity})  p = {s.probability:.3f}" for i, s in enumerate(suggestions, start=1)
    ]
    assert all(f"     {reason}" in done.out.splitlines() for s in suggestions for reason in s.reasons)


def test_recommend_knows_roles_and_answers(finished, bundle: str) -> None:
    loaded = PolicyBundle.load(Path(bundle))
    role = loaded.observer.catalog.roles[-1]
    first = loaded.recommend(loaded.enrol(role), 1)[0].activity
    assert first in finished.call("recommend", bundle, "--role", role).out
    record = loaded.answered(loaded.answered(loaded.enrol(role), first, 1.0), first, 0.5)
    then = loaded.recommend(record, 1)[0]
    done = finished.call("recommend", bundle, "--role", role, "-k", "1", "--answered", f"{first}=1", f"{first}=0.5")
    assert f"1. {then.title} ({then.activity})" in done.out
    assert then.reasons[0] in done.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--role", "astronaut"], "no role 'astronaut'; the catalogue has ["),
        (["--answered", "nothing=1"], "no activity 'nothing'"),
        (["--answered", "nothing"], "'nothing': say ACTIVITY=SCORE with a score from 0 to 1"),
        (["--answered", "x=2"], "'x=2': say ACTIVITY=SCORE"),
        (["--answered", "x=nan"], "'x=nan': say ACTIVITY=SCORE"),
        (["--answered", "x=good"], "'x=good': say ACTIVITY=SCORE"),
        (["-k", "0"], "1 or more"),
        (["--minutes", "-5"], "0 or more"),
    ],
)
def test_recommend_says_what_is_wrong(finished, bundle: str, words: list[str], told: str) -> None:
    done = finished.call("recommend", bundle, *words)
    assert done.status == 2
    assert told in done.err
    assert done.out == ""


def test_recommend_needs_a_bundle(finished) -> None:
    done = finished.call("recommend", "nowhere")
    assert (done.status, "nowhere" in done.err, len(done.err.splitlines())) == (2, True, 1)


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("│")]


def test_evaluate_repeats_itself_on_fresh_learners(finished) -> None:
    first, second = (finished.call("evaluate", "latest", *FEW) for _ in range(2))
    assert (first.status, first.err) == (0, "")
    assert rows(first.out) == rows(second.out)
    assert {row.split("│")[1].strip(" *") for row in rows(first.out)} >= {"linucb", "random", "gap_per_minute"}
    assert re.search(r"linucb minus \w+: ", first.out)
    (saved,) = (finished.run / "evaluations").glob("same-seed1-*.json")
    assert str(saved.relative_to(finished.run)) in first.out
    assert json.loads(saved.read_text())["policies"][0]["name"] == "linucb"
    assert rows(finished.call("evaluate", "latest", *FEW, "--seed", "2").out) != rows(first.out)


def test_evaluate_measures_as_the_run_did_on_learners_it_never_met(finished, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = evaluation.populations, []

    def those_of_the_run(seed: int, n: int) -> list[int]:
        asked.extend(real(seed, n))
        return real(0, n)

    monkeypatch.setattr(evaluation, "populations", those_of_the_run)
    done = finished.call("evaluate", "latest", *FEW, "--seed", "0")
    assert asked
    assert set(asked).isdisjoint(real(0, 100)), "the run itself had seed 0"
    found = json.loads((finished.run / "evaluation.json").read_text())
    for policy in found["policies"]:
        v = policy["values"]["learning_gain"]
        (row,) = (row for row in rows(done.out) if row.split("│")[1].strip(" *") == policy["name"])
        assert f"{v['value']:.4f} [{v['low']:.4f}, {v['high']:.4f}]" in row


def test_evaluate_on_learners_of_another_kind(finished, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    tracer = "{_target_: trailmark.envs.tracers.pfa.PFA}"
    other.write_text(f"_target_: trailmark.envs.students.sampled.SampledStudent\ntracer: {tracer}\nminutes: 360\n")
    home, away = (finished.call("evaluate", "latest", *FEW, *words) for words in ((), ("--student", str(other))))
    assert (away.status, away.err) == (0, "")
    assert rows(away.out) != rows(home.out)
    saved = json.loads(next((finished.run / "evaluations").glob("other-*.json")).read_text())
    trained = json.loads((finished.run / "evaluation.json").read_text())
    assert (saved["student"], saved["seed"]) == ("SampledStudent(PFA)", 1)
    assert saved["student"] != trained["student"]
    assert saved["command"].startswith("trailmark evaluate latest")
    assert "other_students" not in saved  # of the home run
    same = finished.call("evaluate", "latest", *FEW, "--student", "sampled")
    assert rows(same.out) == rows(home.out), "the same kind, fitted to the same learners, is the same"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["zzz"], "no run 'zzz'"),
        (["latest", "--student", "kss"], "another catalogue"),
        (["latest", "--student", "martian"], "no such config; there are"),
        (["latest", "--learners", "0"], "1 or more"),
        (["latest", "--seeds", "0"], "1 or more"),
    ],
)
def test_evaluate_says_what_is_wrong(finished, words: list[str], told: str) -> None:
    done = finished.call("evaluate", *words)
    assert done.status == 2
    assert told in done.err
    assert "Traceback" not in done.err


def test_compare_one_run_and_none(finished, tmp_path: Path) -> None:
    done = finished.call("compare", "latest", "--to", str(tmp_path / "c"))
    assert (done.status, done.err) == (0, "")
    found = json.loads((tmp_path / "c" / "comparison.json").read_text())
    value = json.loads((finished.run / "evaluation.json").read_text())["policies"][0]["values"]["learning_gain"][
        "value"
    ]
    assert [(row["name"], row["scores"]) for row in found["agents"]] == [("linucb", [value])]
    assert "linucb" in (tmp_path / "c" / "comparison.html").read_text()
    done = finished.call("compare", "zzz")
    assert (done.status, "no run 'zzz'" in done.err) == (2, True)
    assert not (finished.folder / "comparison").exists()


def test_report_is_written_again(finished, desk) -> None:
    shutil.copytree(finished.run, desk.folder / "runs" / finished.run.name)
    page = desk.folder / "runs" / finished.run.name / "report.html"
    before = page.read_text()
    page.unlink()
    done = desk.call("report", finished.run.name)
    assert (done.status, done.err) == (0, "")
    assert page.read_text() == before
    done = desk.call("report", "zzz")
    assert (done.status, "no run 'zzz'" in done.err) == (2, True)


def test_the_saved_world_holds_no_pickle(finished) -> None:
    """Only JSON, YAML, HTML and safetensors are on disk; the world comes back from them."""
    files = [path for path in finished.run.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors", ".yaml", ".html"}
    assert set(pack.load(finished.run / "world").outcomes) >= {"learning_gain", "completion"}
