"""The doors: keys, roles, tenants, limits, and words instead of tracebacks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from trailmark.experiments.serving.app import application
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.keys import caller, issue, revoke


@pytest.fixture
def keys(desk: Desk) -> dict[str, str]:
    found = {role: issue(desk.store, "main", role, role) for role in ("app", "coach", "admin")}
    return found | {"stranger": issue(desk.store, "elsewhere", "admin", "stranger")}


@pytest.fixture
def client(desk: Desk, keys: dict[str, str]) -> Iterator[TestClient]:
    with TestClient(application(desk, limit=20_000), raise_server_exceptions=False) as client:
        client.post("/learners", json={"request": "e", "learner": "ada", "minutes": 300}, headers=bearer(keys["app"]))
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


CALLS: list[tuple[str, str, str, Any]] = [
    ("app", "GET", "/bundle", None),
    ("app", "POST", "/decisions", {"request": "d", "learner": "ada"}),
    ("app", "POST", "/events", {"request": "v", "learner": "ada", "confidence": 0.9}),
    ("app", "POST", "/decisions/batch", {"decisions": [{"request": "b", "learner": "ada", "k": 2}]}),
    ("app", "POST", "/events/batch", {"events": [{"request": "w", "learner": "ada", "note": "fine"}]}),
    ("coach", "GET", "/learners", None),
    ("coach", "GET", "/learners/ada", None),
    ("coach", "GET", "/learners/ada/trail", None),
    ("coach", "GET", "/queue", None),
    ("coach", "POST", "/learners/ada/pause", {"request": "p", "why": "test"}),
    ("coach", "POST", "/stop", {"request": "s", "why": "test"}),
    ("admin", "POST", "/keys", {"role": "app", "name": "new"}),
    ("admin", "GET", "/verify", None),
]
LADDER = ("app", "coach", "admin")


@pytest.mark.parametrize(("role", "method", "path", "body"), CALLS)
def test_who_may_what(client: TestClient, keys: dict[str, str], role: str, method: str, path: str, body: Any) -> None:
    assert client.request(method, path, json=body).status_code == 401
    assert client.request(method, path, json=body, headers=bearer("made up")).status_code == 401
    for lower in LADDER[: LADDER.index(role)]:
        assert client.request(method, path, json=body, headers=bearer(keys[lower])).status_code == 403
    assert client.request(method, path, json=body, headers=bearer(keys[role])).status_code in (200, 201)
    if "ada" in path or (body and "ada" in str(body)):
        assert client.request(method, path, json=body, headers=bearer(keys["stranger"])).status_code in (404, 200)
        if "trail" not in path:
            assert client.request(method, path, json=body, headers=bearer(keys["stranger"])).status_code == 404


def test_another_tenants_trail_is_empty(client: TestClient, keys: dict[str, str]) -> None:
    assert client.get("/learners/ada/trail", headers=bearer(keys["stranger"])).json() == {"lines": []}
    assert len(client.get("/learners/ada/trail", headers=bearer(keys["coach"])).json()["lines"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"request": "1", "learner": "nobody"}, 404),
        ({"request": "1", "learner": "ada", "activity": "nothing"}, 422),
        ({"request": "1", "learner": "ada", "correct": 2}, 422),
        ({"request": "1", "learner": "ada", "minutes": -1}, 422),
        ({"request": "1", "learner": "ada", "corect": 1}, 422),
        ({"request": "e", "learner": "ada"}, 409),
        ({"request": "", "learner": "ada"}, 422),
        ({"request": "1", "learner": "a\u0000"}, 422),
    ],
)
def test_bad_asks_are_answered_in_words(client: TestClient, keys: dict[str, str], body: Any, status: int) -> None:
    said = client.post("/events", json=body, headers=bearer(keys["app"]))
    assert said.status_code == status
    assert said.json()["detail"]
    assert "Traceback" not in said.text


def test_large_bodies_are_refused(client: TestClient, keys: dict[str, str]) -> None:
    body = {"request": "1", "learner": "ada", "note": "x" * 30_000}
    assert client.post("/events", json=body, headers=bearer(keys["app"])).status_code == 413

    def pieces() -> Iterator[bytes]:
        yield b"{"

    assert client.post("/events", content=pieces(), headers=bearer(keys["app"])).status_code == 411


def test_a_fault_is_logged_and_not_told(client: TestClient, keys: dict[str, str], desk: Desk) -> None:
    desk.store.run("DROP TABLE learners")
    said = client.post("/decisions", json={"request": "d", "learner": "ada"}, headers=bearer(keys["app"]))
    assert said.status_code == 500
    assert "learners" not in said.text


def test_health_metrics_and_docs(client: TestClient, desk: Desk) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["bundle"] == desk.engine.digest
    assert 'trailmark_requests_total{method="POST",path="/learners",status="201"} 1.0' in client.get("/metrics").text
    assert "/decisions" in client.get("/openapi.json").json()["paths"]
    assert "console" in client.get("/console").text.lower()


def test_the_server_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, trailmark.experiments.serving.app, trailmark.experiments.serving.desk\n"
        "print([m for m in ('torch', 'pandas', 'mlflow', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_strangers_body_is_not_read(desk: Desk, keys: dict[str, str]) -> None:
    app = application(desk)

    async def ask(key: str, path: str, length: int) -> tuple[int, int]:
        """Return the status and how many bytes were taken of a body."""
        taken, status = 0, 0

        async def receive() -> dict[str, Any]:
            nonlocal taken
            taken += 1000
            return {"type": "http.request", "body": b"x" * 1000, "more_body": taken < length}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        headers = [(b"content-length", b"%d" % length), (b"content-type", b"application/json")]
        headers += [(b"authorization", f"Bearer {key}".encode())] if key else []
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        await app(scope | {"http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)  # type: ignore[arg-type]
        return status, taken

    for path in ("/events/batch", "/events", "/decisions/batch", "/learners", "/nowhere"):
        for key in ("", "made up"):
            status, taken = asyncio.run(ask(key, path, 50_000))
            assert (status, taken) == (404 if path == "/nowhere" else 401, 0)
    assert asyncio.run(ask(keys["app"], "/events/batch", 200_000))[0] == 422
    assert asyncio.run(ask(keys["app"], "/events", 200_000)) == (413, 0)


@pytest.mark.parametrize("name", ["a/b", "/", "..", "."])
def test_names_that_no_address_can_hold_are_refused(client: TestClient, keys: dict[str, str], name: str) -> None:
    said = client.post("/learners", json={"request": "n", "learner": name}, headers=bearer(keys["app"]))
    assert said.status_code == 422
    assert "a learner's name" in said.text


def test_a_request_id_stands_for_one_body(client: TestClient, keys: dict[str, str], desk: Desk) -> None:
    first, second = desk.engine.names[:2]
    body = {"request": "x1", "learner": "ada", "activity": first, "correct": 1, "minutes": 3}
    said = client.post("/events", json=body, headers=bearer(keys["app"]))
    assert client.post("/events", json=body, headers=bearer(keys["app"])).json() == said.json()
    other = body | {"activity": second, "correct": 0}
    assert client.post("/events", json=other, headers=bearer(keys["app"])).status_code == 409
    many = {"events": [other]}
    assert client.post("/events/batch", json=many, headers=bearer(keys["app"])).status_code == 409


def test_a_revoked_key_opens_nothing(client: TestClient, keys: dict[str, str], desk: Desk) -> None:
    asked = {"request": "d", "learner": "ada"}
    assert client.post("/decisions", json=asked, headers=bearer(keys["app"])).status_code == 200
    assert revoke(desk.store, "main", "app")
    time.sleep(0.6)
    assert client.post("/decisions", json=asked, headers=bearer(keys["app"])).status_code == 401
    admin = bearer(keys["admin"])
    assert client.post("/keys/revoke", json={"key": "nobody"}, headers=admin).status_code == 404
    assert client.post("/keys/revoke", json={"key": "stranger"}, headers=admin).status_code == 404
    assert client.post("/keys/revoke", json={"key": "coach"}, headers=admin).status_code == 200
    assert caller(desk.store, keys["coach"]) is None
    assert caller(desk.store, keys["stranger"]) is not None
    lines = [(line.kind, line.body["name"], line.body["by"]) for line in desk.store.every("main", ("key", "revoke"))]
    assert lines[:3] == [("key", role, "the command line") for role in LADDER]
    assert lines[3:] == [("revoke", "app", "the command line"), ("revoke", "coach", "admin")]


def test_verify_against_an_anchor(client: TestClient, keys: dict[str, str], desk: Desk) -> None:
    admin = bearer(keys["admin"])
    anchor = client.get("/verify", headers=admin).json()
    assert anchor["fault"] is None
    assert (anchor["lines"], anchor["head"]) == desk.store.head()
    client.post("/keys", json={"role": "app", "name": "new"}, headers=admin)
    assert client.get(f"/verify?head={anchor['head']}", headers=admin).json()["fault"] is None
    assert "cut off" in client.get(f"/verify?head={'1' * 64}", headers=admin).json()["fault"]
