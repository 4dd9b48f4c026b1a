"""Event standards: what is an answer is found, what is none is counted, and what is broken is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trailmark.data.errors import DataError
from trailmark.data.sources.caliper import Caliper
from trailmark.data.sources.openedx import OpenEdX
from trailmark.data.sources.xapi import XAPI


def lines(path: Path, *events: Any) -> str:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return str(path)


def statement(**more: Any) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": "https://a.example", "name": "ada"}},
        "verb": {"id": "https://a.example/answered"},
        "object": {"id": "https://a.example/items/quiz-1", "definition": {"name": {"en": "First quiz"}}},
        "result": {"score": {"scaled": 0.75}, "duration": "PT1M30S"},
        "timestamp": "2026-01-31T09:30:00Z",
    } | more


def test_xapi(tmp_path: Path) -> None:
    category = {"contextActivities": {"category": [{"id": "https://a.example/skills/sums"}]}}
    path = lines(
        tmp_path / "s.jsonl",
        statement(),
        statement(actor={"mbox": "mailto:bob@a.example"}, result={"success": False}, context=category),
        statement(result={"score": {"raw": 3, "min": 1, "max": 5}}, timestamp="2026-01-31T10:30:00+00:00"),
        statement(result={"completion": True}),
        {"verb": {"id": "voided"}},
    )
    log, catalog = XAPI(path).load()
    frame = log.frame
    assert sorted(zip(frame["learner"], frame["correct"], strict=True)) == [
        ("ada", 0.5),
        ("ada", 0.75),
        ("mailto:bob@a.example", 0.0),
    ]
    assert catalog.activities[0].title == "First quiz"
    assert catalog.activities[0].minutes == 1.5
    assert "2 events that are no answers" in " ".join(log.notes)
    assert frame["timestamp"].max() - frame["timestamp"].min() == 3600.0


def test_xapi_reads_what_we_write(tmp_path: Path) -> None:
    from trailmark.experiments.serving.store import Store
    from trailmark.experiments.serving.xapi import statements

    store = Store.open(str(tmp_path / "s.db"))
    body = {"activity": "quiz", "correct": 0.5, "minutes": 2.0, "accepted": True, "decision": None}
    with store.transaction():
        store.append("t", "ada", "event", "r1", 1_000.0, body)
        store.append("t", "ada", "event", "r2", 1_060.5, body | {"correct": 1.0, "minutes": 4.0})
    log, catalog = XAPI(lines(tmp_path / "s.jsonl", *statements(store, "t"))).load()
    assert log.frame["correct"].tolist() == [0.5, 1.0]
    assert log.frame["timestamp"].tolist() == [1_000.0, 1_060.5]
    assert catalog.activities[0].minutes == 3.0
    store.close()


def test_caliper(tmp_path: Path) -> None:
    attempt = {
        "assignee": "https://a.example/users/7",
        "assignable": {"id": "https://a.example/q/1", "name": "One", "learningObjectives": [{"id": "urn/goal-a"}]},
        "endedAtTime": "2026-01-31T09:30:00.000Z",
        "duration": "PT60S",
    }
    grade = {"type": "GradeEvent", "object": attempt, "generated": {"scoreGiven": 4, "maxScore": 5}}
    log, catalog = Caliper(lines(tmp_path / "c.json", grade, {"type": "NavigationEvent"})).load()
    assert log.frame[["learner", "activity", "correct"]].values.tolist() == [["7", "1", 0.8]]
    assert catalog.activities[0].skills == ("goal-a",)
    whole = tmp_path / "list.json"
    whole.write_text(json.dumps([grade]))
    assert len(Caliper(str(whole)).load()[0]) == 1


def test_openedx(tmp_path: Path) -> None:
    check = {
        "event_type": "problem_check",
        "event_source": "server",
        "time": "2026-01-31T09:30:00.5+00:00",
        "context": {"user_id": 12, "module": {"display_name": "Ohm's law"}},
        "event": {"problem_id": "block-v1:X+Y+Z+type@problem+block@abc", "grade": 1, "max_grade": 2},
    }
    browser = check | {"event_source": "browser", "event": "input_abc=1"}
    log, catalog = OpenEdX(lines(tmp_path / "tracking.log", check, browser)).load()
    assert log.frame[["learner", "activity", "correct"]].values.tolist() == [["12", "abc", 0.5]]
    assert catalog.activities[0].title == "Ohm's law"


def test_faults_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "b.jsonl"
    broken.write_text(json.dumps(statement()) + "\n{oops\n")
    with pytest.raises(DataError, match=r"b\.jsonl.*2"):
        XAPI(str(broken)).load()
    with pytest.raises(DataError, match=r"f\.jsonl.*1"):
        XAPI(lines(tmp_path / "f.jsonl", statement(result={"score": {"raw": 1, "max": 0}}))).load()
    with pytest.raises(DataError, match="none of its 1 events"):
        XAPI(lines(tmp_path / "n.jsonl", {"verb": {}})).load()
    with pytest.raises(DataError, match="no such file"):
        OpenEdX(str(tmp_path / "nothing")).load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no events"):
        Caliper(str(tmp_path / "empty")).load()
