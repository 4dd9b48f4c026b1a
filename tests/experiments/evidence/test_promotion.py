"""From an exported bundle to the champion: what MLflow holds afterwards, read with plain SQL; the page of it all."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("onnxruntime")

ALONE = ("--robustness", "none")


@pytest.fixture(scope="module")
def registered(finished, desks):
    """A desk with the finished run, a registered challenger, and evidence about it."""
    import shutil

    desk = desks()
    shutil.copytree(finished.folder / "runs", desk.folder / "runs")
    done = desk.call("export", "latest", "--to", "candidate", "--explore", "0.9", "--register", "demo")
    assert done.status == 0, done.err
    words = ("simulate-log", "latest", "--to", "log.parquet", "--policy", "random_legal", "--learners", "150")
    assert desk.call(*words).status == 0
    words = ("policy=candidate", "log=log.parquet", "replicates=20", "cells=3", "outcomes=time_to_mastery")
    done = desk.call("ope", *words, "to=ope.json", "page=ope.html")
    assert done.status == 0, done.err
    return desk


def better(desk, **change) -> None:
    """Write evidence on the same bundle that is beyond doubt."""
    found = json.loads((desk.folder / "ope.json").read_text())
    for line in found["session"]["estimates"]:
        if line["name"] == found["gain"]:
            line["bounds"] |= {"value": 0.2, "error": 0.01}
    bounds = {"value": 0.2, "error": 0.01, "low": 0.18, "high": 0.22}
    found["groups"] = [
        {"name": "all", "sessions": 99, "clusters": 99, "logged": bounds, "value": bounds, "gain": bounds}
    ]
    (desk.folder / "better.json").write_text(json.dumps(found | {"verdict": "trust"} | change))


def aliases(desk) -> dict[str, int]:
    return dict(desk.query("select alias, version from registered_model_aliases where name = 'demo'"))


def test_alias_moves_with_a_named_approver_only(registered) -> None:
    better(registered)
    assert aliases(registered) == {"challenger": 1}
    for words in (("ope.json", "--approver", "A. Person"), ("better.json",)):
        done = registered.call("promote", *words, *ALONE, "--model", "demo")
        assert done.status == 1, done.err
        assert aliases(registered) == {"challenger": 1}
    done = registered.call(
        "promote", "better.json", *ALONE, "--model", "demo", "--approver", "A. Person", "--to", "ruling.json"
    )
    assert done.status == 0, done.err
    assert aliases(registered) == {"challenger": 1, "champion": 1}
    tags = dict(registered.query("select key, value from model_version_tags where name = 'demo'"))
    ruling = json.loads((registered.folder / "ruling.json").read_text())
    assert (tags["trailmark.approver"], tags["trailmark.ruling"]) == ("A. Person", ruling["mlflow_run"])
    rulings = registered.query(
        "select t.value from tags t join runs r on r.run_uuid = t.run_uuid join experiments e "
        "on e.experiment_id = r.experiment_id where e.name = 'promotion' and t.key = 'answer'"
    )
    assert sorted(answer for (answer,) in rulings) == sorted(["promote", *["not enough evidence"] * 2]) or (
        ("reject",) in rulings
    )
    told = registered.tags(ruling["mlflow_run"])
    assert "approved by A. Person" in told["reasons"]
    assert registered.status(ruling["mlflow_run"]) == "FINISHED"
    # A second version, of another bundle.
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{registered.folder / 'mlflow.db'}")
    client.create_model_version("demo", "nowhere", tags={"trailmark.bundle": "f" * 64})
    client.set_registered_model_alias("demo", "challenger", "2")
    done = registered.call("promote", "better.json", "--model", "demo", "--approver", "A. Person")
    assert done.status == 2
    assert "not about models:/demo/2" in done.err
    found = json.loads((registered.folder / "better.json").read_text())
    (registered.folder / "second.json").write_text(json.dumps(found | {"digest": "f" * 64}))
    done = registered.call("promote", "second.json", *ALONE, "--model", "demo", "--approver", "B. Person")
    assert done.status == 0, done.err
    assert aliases(registered) == {"challenger": 2, "champion": 2, "previous": 1}


@pytest.mark.parametrize(
    ("change", "words", "complaint"),
    [
        ({"explore": 0.5}, ("--model", "demo"), "export what you judge"),
        ({"digest": "0"}, ("--model", "demo"), "is not about models:/demo"),
        ({}, ("--model", "nothing"), "has no model 'nothing'"),
        ({}, ("--model", "demo", "--alias", "absent"), "with the alias 'absent'"),
    ],
)
def test_evidence_on_something_else_promotes_nothing(registered, change, words, complaint) -> None:
    better(registered, **change)
    before = aliases(registered)
    done = registered.call("promote", "better.json", *words, "--approver", "A. Person")
    assert done.status == 2
    assert complaint in done.err
    assert aliases(registered) == before


def test_rollout_and_the_page_of_all_evidence(registered) -> None:
    words = ("pilot", "rollout", "latest", "--harm", "1", "--shares", "0.3", "0.5", "1", "--against", "candidate")
    done = registered.call(*words, "--candidate", "candidate", "--to", "rollout.json")
    assert done.status == 0, done.err
    assert "learners took part" in done.out
    steps = json.loads((registered.folder / "rollout.json").read_text())
    assert next(one["share"] for one in steps["looks"]) == 0.3
    done = registered.call("pilot", "plan", "--effect", "0.8", "--looks", "2", "--to", "plan.json")
    words = ("pilot", "simulate", "latest", "--plan", "plan.json", "--candidate", "candidate", "--to", "pilot.json")
    done = registered.call(*words)
    assert done.status == 0, done.err
    words = ("robustness", "latest", "--also", "pfa", "--learners", "10", "--candidate", "candidate")
    done = registered.call(*words, "--to", "matrix.json")
    assert done.status == 0, done.err
    words = ("--robustness", "matrix.json", "--pilot", "pilot.json", "--rollout", "rollout.json", "--to", "all.html")
    done = registered.call("dossier", "ope.json", *words)
    assert done.status == 0, done.err
    for name in ("ope.html", "all.html"):
        text = (registered.folder / name).read_text()
        assert "<script" not in text
        assert "http" not in text.replace("http-equiv", "")
        for part in text.split("<svg")[1:]:
            ElementTree.fromstring("<svg" + part.split("</svg>")[0] + "</svg>")
    assert "The staged rollout" in text
    assert "candidate" in text
    assert "time_to_mastery" in text
    done = registered.call("dossier", "plan.json", "--to", "none.html")
    assert done.status == 2
    assert "it is not what this version's `trailmark ope` writes" in done.err
    assert not Path(registered.folder / "none.html").exists()
    part = json.loads((registered.folder / "ope.json").read_text()) | {"session": {}}
    (registered.folder / "part.json").write_text(json.dumps(part))
    done = registered.call("dossier", "part.json", "--to", "none.html")
    assert (done.status, "part.json: a part is missing" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("rollout", "--harm", "0"), "harm is above 0"),
        (("rollout", "--harm", "1", "--shares", "0.5", "0.1"), "shares rise"),
        (("rollout", "latest", "--harm", "1", "--guardrail", "learning_gian"), "Did you mean 'learning_gain'?"),
    ],
)
def test_faults_of_a_rollout_are_told(registered, words, complaint) -> None:
    done = registered.call("pilot", *words)
    assert done.status == 2
    assert complaint in done.err
