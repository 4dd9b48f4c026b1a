"""The decision log: every decision with what came of it, ready for off-policy evaluation and for xAPI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from trailmark.experiments.decisions import main
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.journal import decisions
from trailmark.experiments.serving.xapi import statements


def lived(activity: str | None, correct: float, **more: Any) -> dict[str, Any]:
    return {"activity": activity, "correct": correct, "minutes": 5.0, "accepted": True, "days": 0.0} | more


@pytest.fixture
def busy(desk: Desk) -> Desk:
    desk.enrol("main", "n", "ada", None, 360.0, [("welcome", 1.0)], None)
    first = desk.decide("main", "d0", "ada", 1, 0.0, None)["activity"]
    desk.event("main", "e0", "ada", lived(first, 1.0))
    desk.decide("main", "d1", "ada", 1, 2.0, None)
    desk.event("main", "w", "ada", lived(None, 0.0, note="a coach's word"))
    other = desk.engine.activities[9]["id"]
    desk.event("main", "e1", "ada", lived(other, 0.0, decision="d1", days=2.0))
    desk.say("main", "o", "ada", "Grace", "override", other, True, "again")
    desk.decide("main", "d2", "ada", 1, 0.0, None)
    desk.say("main", "p", "ada", "Grace", "pause", None, True, "stop")
    desk.event("main", "e2", "ada", lived(other, 1.0))
    desk.decide("main", "d3", "ada", 1, 0.0, None)
    return desk


def test_each_decision_with_what_came_of_it(busy: Desk) -> None:
    rows = decisions(busy.store, "main").rows
    assert [row["decision"] for row in rows] == ["d0", "d1", "d2"]
    assert [row["correct"] for row in rows] == [1.0, 0.0, 1.0]
    assert [row["days"] for row in rows] == [2.0, 0.0, 0.0]
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert (rows[0]["past"], rows[1]["past"]) == (["welcome"], [])
    assert rows[1]["delivered"] == busy.engine.activities[9]["id"]
    assert [row["override"] for row in rows] == [False, False, True]
    assert (rows[2]["override_by"], rows[2]["override_why"], rows[2]["propensity"]) == ("Grace", "again", 1.0)
    assert 0.0 < rows[2]["recommended_propensity"] < 1.0
    for row in rows:
        assert sum(row["probabilities"]) == pytest.approx(1.0, abs=1e-5)
        assert row["activity"] in row["allowed"]
        assert row["probabilities"][row["allowed"].index(row["activity"])] == row["propensity"]


def test_the_command_writes_parquet_and_xapi(busy: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store.db")
    main(["--store", store, "--to", str(tmp_path / "log.parquet")])
    assert "3 decisions of 1 learners" in capsys.readouterr().out
    frame = pd.read_parquet(tmp_path / "log.parquet")
    assert frame["propensity"].between(0, 1, inclusive="right").all()
    main(["--store", store, "--to", str(tmp_path / "log.jsonl")])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["verb"]["display"]["en"] for line in lines] == [
        "recommended", "answered", "recommended", "answered", "recommended", "answered",
    ]  # fmt: skip
    assert lines == list(statements(busy.store, "main"))
    assert len({line["id"] for line in lines}) == 6
    busy.store.connection.execute("UPDATE ledger SET time = 1.5 WHERE seq = 2")
    with pytest.raises(SystemExit):
        main(["--store", store, "--to", str(tmp_path / "other.parquet")])
    assert not (tmp_path / "other.parquet").exists()


def test_propensities_are_exact_with_a_fifth_overridden(desk: Desk) -> None:
    """Chosen activities against logged probabilities, 600 decisions of which 20 % are a person's."""
    rng = np.random.default_rng(0)
    ids = [a["id"] for a in desk.engine.activities]
    names = [f"l{i}" for i in range(60)]
    for name in names:
        desk.enrol("main", f"n{name}", name, None, None, [], None)
    for turn in range(10):
        for name in names:
            if rng.random() < 0.2:
                desk.say("main", f"o{turn}{name}", name, "c", "override", ids[rng.integers(len(ids))], True, "")
            else:
                desk.say("main", f"o{turn}{name}", name, "c", "override", None, False, "")
        desk.decide_many("main", [(f"d{turn}{name}", name, 1, 0.0, None) for name in names])
    rows, awaited = decisions(desk.store, "main")
    assert (len(rows), awaited) == (540, 60)
    assert 0.15 < np.mean([row["override"] for row in rows]) < 0.25
    assert all(row["propensity"] == 1.0 for row in rows if row["override"])
    observed, expected, spread = np.zeros(len(ids)), np.zeros(len(ids)), np.zeros(len(ids))
    for row in rows:
        if not row["override"]:
            observed[ids.index(row["activity"])] += 1
            p = np.array(row["probabilities"])
            places = [ids.index(one) for one in row["allowed"]]
            expected[places] += p
            spread[places] += p * (1 - p)
    used = spread > 5
    z = (observed - expected)[used] / np.sqrt(spread[used])
    assert chi2.sf(float((z**2).sum()), int(used.sum())) > 1e-3


def test_the_first_answer_stands(desk: Desk) -> None:
    """What follows it under the same decision is no answer: a note, the same activity once more."""
    desk.enrol("main", "n", "ada", None, 360.0, [], None)
    given = desk.decide("main", "d1", "ada", 1, 0.0, None)["activity"]
    desk.event("main", "e0", "ada", lived(None, 0.0, minutes=0.0, decision="d1", note="begun", confidence=0.4))
    desk.event("main", "e1", "ada", lived(given, 1.0, decision="d1"))
    desk.event("main", "e2", "ada", lived(None, 0.0, minutes=0.0, decision="d1", note="fine", confidence=0.9))
    desk.event("main", "e3", "ada", lived(given, 0.0, minutes=9.0, decision="d1"))
    (row,) = decisions(desk.store, "main").rows
    assert (row["correct"], row["minutes"], row["accepted"]) == (1.0, 5.0, True)
    assert row["goal_gain"] > 0


def test_answers_find_their_decisions_however_late(desk: Desk) -> None:
    for name in ("ada", "bob"):
        desk.enrol("main", f"n{name}", name, None, 360.0, [], None)
        for i in range(4):
            desk.decide("main", f"{name}{i}", name, 1, 0.0, None)
    open_yet = {row["decision"]: row["activity"] for row in decisions(desk.store, "main").rows}
    given = open_yet["ada1"]
    other = next(one for one in desk.engine.names if one != open_yet["ada2"])
    desk.event("main", "late", "ada", lived(given, 1.0, decision="ada1"))
    desk.event("main", "not bob's", "bob", lived(given, 1.0, decision="ada2"))
    desk.event("main", "own", "ada", lived(other, 1.0))
    rows, awaited = decisions(desk.store, "main")
    said = {row["decision"]: (row["correct"], row["accepted"]) for row in rows}
    assert said == {
        "ada0": (None, False), "ada1": (1.0, True), "ada2": (None, False),
        "bob0": (None, False), "bob1": (None, False), "bob2": (None, False),
    }  # fmt: skip
    assert awaited == 2
    steps = {row["decision"]: row["step"] for row in rows}
    assert [steps[f"bob{i}"] for i in range(3)] == [0, 1, 2]
