"""Rounds: requests that come together are answered as if each were alone, with one write to disk."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import numpy as np
import pytest
from prometheus_client import Counter
from starlette.testclient import TestClient

from trailmark.experiments.serving.answers import Decide, Happen
from trailmark.experiments.serving.app import application
from trailmark.experiments.serving.desk import ClashError, Desk, MissingError
from trailmark.experiments.serving.engine import Engine
from trailmark.experiments.serving.keys import issue
from trailmark.experiments.serving.turn import Turn
from trailmark.experiments.serving.watch import Log

T = "main"


def lived(activity: str | None, correct: float = 1.0) -> dict[str, Any]:
    return {"activity": activity, "correct": correct, "minutes": 5.0, "accepted": True, "days": 0.5, "time": None}


@pytest.fixture
def desk_of_four(desk: Desk) -> Desk:
    for name in ("ada", "bob", "cyd", "dan"):
        desk.enrol(T, f"enrol-{name}", name, None, 360.0, [], None)
    return desk


def test_together_is_as_alone(desk_of_four: Desk) -> None:
    """One lap of mixed asks says and leaves what the same asks say and leave one by one."""
    desk, first = desk_of_four, desk_of_four.engine.names[0]
    desk.say(T, "pin", "cyd", "coach", "override", desk.engine.names[4], True, "first this")
    before = {one.id: one for one in desk.store.roster(T)}
    asks = [Decide(T, "d1", "ada", 3, 1.0), Happen(T, "e1", "bob", lived(first, 0.0)), Decide(T, "d2", "cyd", 2, 0.0)]
    together = desk.take(asks)
    after = {one.id: one for one in desk.store.roster(T)}
    desk.store.connection.execute("DELETE FROM ledger WHERE request IN ('d1', 'e1', 'd2')")
    for one in before.values():
        desk.store.put(T, one)
    alone = [desk.take([ask])[0] for ask in asks]
    for a, b in zip(together, alone, strict=True):
        assert json.loads(json.dumps(a), parse_float=lambda x: round(float(x), 5)) == json.loads(
            json.dumps(b), parse_float=lambda x: round(float(x), 5)
        )
    assert together[2]["activity"] == desk.engine.names[4]  # type: ignore[index]
    for one in desk.store.roster(T):
        x, y = desk.engine.unpack([one.record]), desk.engine.unpack([after[one.id].record])
        for name, column in x.items():
            np.testing.assert_allclose(column, y[name], atol=1e-5)


def test_what_fails_takes_nobody_with_it(desk_of_four: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, step = desk_of_four, Engine.step

    def breaks(self: Engine, record: Any, happenings: Any) -> Any:
        if any(one.days == 7.0 for one in happenings):
            raise ArithmeticError
        return step(self, record, happenings)

    monkeypatch.setattr(Engine, "step", breaks)
    said = desk.take(
        [
            Decide(T, "a", "ada"),
            Decide(T, "b", "nobody"),
            Decide(T, "c", "bob", days=7.0),
            Happen(T, "enrol-ada", "cyd", lived(None)),
            Decide(T, "a", "ada"),
            Happen(T, "e", "dan", lived("no such thing")),
            Happen(T, "f", "ada", lived(None)),
        ]
    )
    kinds = [type(one) for one in said]
    assert kinds == [dict, MissingError, ArithmeticError, ClashError, dict, ValueError, dict]
    assert said[4] == said[0]
    assert desk.store.request(T, "c") is None
    assert desk.store.verify() is None


def test_the_first_fault_stops_a_batch_of_events(desk_of_four: Desk) -> None:
    desk = desk_of_four
    asks = [Happen(T, f"e{i}", name, lived(None)) for i, name in enumerate(("ada", "bob", "nobody", "cyd"))]
    with pytest.raises(MissingError):
        desk.events(asks)
    assert [desk.store.request(T, f"e{i}") is not None for i in range(4)] == [True, True, False, False]


def test_a_batch_of_decisions_is_whole_or_nothing(desk_of_four: Desk) -> None:
    desk = desk_of_four
    with pytest.raises(MissingError):
        desk.decide_many(T, [("x", "ada", 1, None, None), ("y", "nobody", 1, None, None)])
    assert desk.store.request(T, "x") is None
    assert desk.store.verify() is None


def test_one_write_for_all_who_came_together(desk_of_four: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, rounds = desk_of_four, Counter("rounds", "", registry=None)
    turn, runs, step = Turn(desk, rounds), [], Engine.step
    monkeypatch.setattr(Engine, "step", lambda *given: runs.append(len(given[2])) or step(*given))

    async def crowd() -> list[Any]:
        asks = [turn.take(Decide(T, f"d-{name}", name)) for name in ("ada", "bob", "cyd", "nobody")]
        return await asyncio.gather(
            *asks, turn.write(lambda: desk.stop(T, "s", "head", False, "")), return_exceptions=True
        )

    said = asyncio.run(crowd())
    assert [type(one) for one in said] == [dict, dict, dict, MissingError, dict]
    assert rounds.collect()[0].samples[0].value == 1
    assert runs == [3]


def test_a_failed_write_acknowledges_nothing(desk_of_four: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_of_four
    turn = Turn(desk, Counter("rounds", "", registry=None))

    def full() -> None:
        raise OSError("disk is full")

    monkeypatch.setattr(desk.store, "commit", full)
    with pytest.raises(OSError, match="full"):
        asyncio.run(turn.take(Decide(T, "d", "ada")))


def test_each_request_leaves_one_line_that_says_who_read_whom(desk_of_four: Desk) -> None:
    out = io.StringIO()
    headers = {"Authorization": f"Bearer {issue(desk_of_four.store, T, 'coach', 'Grace')}"}
    with TestClient(application(desk_of_four, log=Log(out))) as client:
        for i in range(3):
            client.post("/decisions", json={"request": f"d{i}", "learner": "ada"}, headers=headers)
        client.get("/learners/ada/trail", headers=headers)
        client.post("/decisions", json={})
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        *[("/decisions", 200)] * 3,
        ("/learners/{learner}/trail", 200),
        ("/decisions", 401),
    ]
    assert [line.get("who") for line in lines] == ["Grace"] * 4 + [None]
    assert [line.get("learner") for line in lines] == [None] * 3 + ["ada", None]
    assert all(line["ms"] > 0 for line in lines)
