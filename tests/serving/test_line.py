"""The line: plain requests are answered around the framework, and say and do what they would within it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from trailmark.experiments.serving import line
from trailmark.experiments.serving.app import application
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.keys import issue
from trailmark.experiments.serving.line import Line
from trailmark.experiments.serving.watch import Log

T = "main"
Answer = tuple[int, dict[str, str], Any]


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.got, self.closed, self.aborted = b"", False, False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.got += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def answers(self) -> list[Answer]:
        """Return (status, headers, body) of each answer that is whole."""
        found, rest = list[Answer](), self.got
        while b"\r\n\r\n" in rest:
            head, rest = rest.split(b"\r\n\r\n", 1)
            first, *lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            length = int(headers["content-length"])
            if len(rest) < length:
                break
            plain = headers["content-type"].startswith("text/")
            found.append((int(first.split()[1]), headers, (str if plain else json.loads)(rest[:length].decode())))
            rest = rest[length:]
        return found


class Ends:
    """Both ends of one connection to a server on `desk`."""

    def __init__(self, desk: Desk, log: Log | None = None) -> None:
        config = uvicorn.Config(
            application(desk, log=log), http=Line, log_config=None, access_log=False, proxy_headers=False
        )
        config.load()
        self.wire, self.line = Wire(), Line(config, ServerState(), {})
        self.line.connection_made(self.wire)

    async def settled(self, answers: int) -> list[Answer]:
        """Return the answers once there are so many, or after a while without more."""
        for _ in range(400):
            if len(self.wire.answers()) >= answers:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        return self.wire.answers()


def said(desk: Desk, pieces: list[bytes], answers: int = 1, log: Log | None = None) -> tuple[list[Answer], bool]:
    """Return what is answered to bytes that come in pieces, and whether the framework was asked."""

    async def talk() -> tuple[list[Answer], bool]:
        ends = Ends(desk, log)
        for piece in pieces:
            ends.line.data_received(piece)
            await asyncio.sleep(0)
        told = await ends.settled(answers)
        if log is not None:
            log.flush()
        return told, ends.line.cycle is not None

    return asyncio.run(talk())


@pytest.fixture
def head(desk: Desk) -> Callable[..., bytes]:
    """A function that returns a head."""
    for name in ("ada", "bob"):
        desk.enrol(T, f"enrol-{name}", name, None, 360.0, [], None)
    key = issue(desk.store, T, "app", "app")

    def written(path: str, length: int, more: str = "", kind: str = "application/json") -> bytes:
        text = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nAuthorization: Bearer {key}\r\n{more}"
        return f"{text}Content-Length: {length}\r\n\r\n".encode()

    return written


BODY = b'{"request":"1","learner":"ada","k":3}'
CASES = [
    ("/decisions", BODY, "application/json", True),
    ("/decisions", b'{"request":"1","learner":"ada","k":3', "application/json", False),
    ("/decisions", b'{"request":"1","learner":"ada","k":1e999}', "application/json", False),
    ("/decisions", b'{"request":"1","learner":"ada","days":NaN}', "application/json", False),
    ("/decisions", b'{"request":"1","learner":"\\ud800"}', "application/json", False),
    ("/decisions", BODY, "text/plain", False),
    ("/decisions", b"", "application/json", False),
    ("/decisions", b"\xff\xfe", "application/json", False),
    ("/decisions", b"[1]", "application/json", False),
    ("/decisions", BODY, "application/json; charset=utf-8", True),
    ("/events", b'{"request":"1","learner":"ada","confidence":0.5}', "application/json", True),
    ("/events", b'{"request":"1","learner":"nobody"}', "application/json", False),
    ("/events", b'{"request":"1","learner":"ada","activity":"nothing"}', "application/json", False),
    ("/events", b'{"request":"1","learner":"ada","correct":true,"accepted":"no"}', "application/json", True),
    ("/events", b'{"request":"enrol-ada","learner":"ada"}', "application/json", False),
    ("/nowhere", BODY, "application/json", False),
]


@pytest.mark.parametrize(("path", "body", "kind", "quick"), CASES)
def test_the_line_says_what_the_framework_says(
    desk: Desk, head: Callable[..., bytes], path: str, body: bytes, kind: str, quick: bool
) -> None:
    (short,), asked = said(desk, [head(path, len(body), kind=kind) + body])
    (long,), framework = said(desk, [head(path, len(body), "Te: trailers\r\n", kind) + body])
    assert (short[0], short[2]) == (long[0], long[2])
    assert {k: v for k, v in short[1].items() if k != "date"} == {k: v for k, v in long[1].items() if k != "date"}
    assert short[0] in (200, 404, 409, 422)
    assert (asked, framework) == (not quick, True)


def test_pieces_make_no_difference(desk: Desk, head: Callable[..., bytes]) -> None:
    whole = head("/decisions", len(BODY)) + BODY
    (told,), _ = said(desk, [whole])
    for at in range(1, len(whole), 7):
        ((status, _, body),), _ = said(desk, [whole[:at], whole[at:]])
        assert (status, body) == (200, told[2])
    cuts = [whole[i : i + 40] for i in range(0, len(whole), 40)]
    assert said(desk, cuts)[0][0][2] == told[2]
    assert len(desk.store.ledger(T, "ada")) == 2


def test_answers_come_in_the_order_of_requests(desk: Desk, head: Callable[..., bytes]) -> None:
    bodies = [b'{"request":"%d","learner":"%s"}' % (i, name) for i, name in enumerate((b"ada", b"bob", b"no", b"ada"))]
    asks = [head("/decisions", len(body)) + body for body in bodies]
    asks[1:1] = [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"]
    told, _ = said(desk, [b"".join(asks)], 5)
    assert [status for status, _, _ in told] == [200, 200, 200, 404, 200]
    assert [body.get("request") for _, _, body in told] == ["0", None, "1", None, "3"]
    told, _ = said(desk, asks, 5)
    assert [status for status, _, _ in told] == [200, 200, 200, 404, 200]


@pytest.mark.parametrize(
    "harm",
    [
        (b"POST ", b"post "),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b" /decisions ", b" http://x/decisions "),
        (b" /decisions ", b" /decisions?k=1 "),
        (b"Host: x\r\n", b"Host: x\n"),
        (b"Host: x\r\n", b"Host:x\r\n"),
        (b"Host: x\r\n", b"Host : x\r\n"),
        (b"Host: x\r\n", b"Host: x\r\n folded\r\n"),
        (b"Host: x\r\n", b"Host: \x01\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nContent-Length: 5\r\n"),
        (b"Host: x\r\n", b"Host: x\r\ncontent-length: %d\r\n" % len(BODY)),
        (b"Host: x\r\n", b"Host: x\r\nTransfer-Encoding: chunked\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nUpgrade: websocket\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"),
        (b"Host: x\r\n", b"Host: x\r\nAuthorization: Bearer other\r\n"),
        (b"Content-Length: ", b"Content-Length: +"),
        (b"Content-Length: ", b"Content-Length: 9999999"),
        (b"Content-Length: ", b"Content: "),
        (b"Bearer ", b"Bearer not"),
        (b"Host: x\r\n", b"Host: x\r\nCookie: " + b"x" * 3000 + b"\r\n"),
    ],
)
def test_what_is_not_plain_is_uvicorns(desk: Desk, head: Callable[..., bytes], harm: tuple[bytes, bytes]) -> None:
    whole = head("/decisions", len(BODY))
    assert harm[0] in whole

    async def talk() -> None:
        ends, given = Ends(desk), list[bytes]()
        ends.line._on = given.append  # type: ignore[method-assign]
        ends.line.data_received(whole.replace(*harm) + BODY)
        assert given == [whole.replace(*harm) + BODY]

    asyncio.run(talk())


def test_a_request_within_a_body_is_no_request(desk: Desk, head: Callable[..., bytes]) -> None:
    inner = head("/decisions", len(BODY)) + BODY
    assert said(desk, [inner])[0][0][0] == 200  # its head is known from now on
    desk.store.connection.execute("DELETE FROM ledger WHERE request = '1'")
    for outer in (
        head("/learners", len(inner)),
        head("/decisions", len(inner)),
        head("/events", len(inner), "Te: x\r\n"),
    ):
        for pieces in ([outer, inner], [outer[:-9], outer[-9:] + inner], [outer + inner]):
            told, _ = said(desk, pieces)
            assert [status for status, _, _ in told] == [422]
    told, _ = said(desk, [b"GET /health HTTP/1.1\r\nX: ", inner], 1)
    assert [status for status, _, _ in told] != [200, 200]
    assert desk.store.request(T, "1") is None


def test_who_asked_before_the_end_is_answered(desk: Desk, head: Callable[..., bytes]) -> None:
    async def talk(at: int | None) -> None:
        ends, whole = Ends(desk), head("/decisions", len(BODY)) + BODY
        ends.line.data_received(whole[:at])
        ends.line.shutdown()
        assert not ends.wire.closed
        if at is not None:
            ends.line.data_received(whole[at:])
        ((status, headers, _),) = await ends.settled(1)
        assert (status, headers["connection"], ends.wire.closed) == (200, "close", True)
        idle = Ends(desk)
        idle.line.shutdown()
        assert idle.wire.closed

    asyncio.run(talk(None))
    asyncio.run(talk(-5))


def test_who_has_gone_away_is_kept_in_the_ledger(desk: Desk, head: Callable[..., bytes]) -> None:
    async def talk() -> None:
        faults = list[Any]()
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        for name in (b"ada", b"nobody"):
            ends, body = Ends(desk), b'{"request":"%s","learner":"%s"}' % (name, name)
            ends.line.data_received(head("/decisions", len(body)) + body)
            ends.wire.close()
            ends.line.connection_lost(None)
            assert await ends.settled(0) == []
            assert faults == []

    asyncio.run(talk())
    assert desk.store.request(T, "ada") is not None


def test_a_connection_sends_only_so_much_ahead(
    desk: Desk, head: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_MOST", 2000)
    monkeypatch.setattr(line, "_AHEAD", 3)
    plain = head("/decisions", len(BODY)) + BODY
    framework = head("/decisions", len(BODY), "Te: trailers\r\n") + BODY

    async def talk() -> None:
        ends = Ends(desk)
        ends.line.data_received(plain + plain)
        assert ends.wire.reading
        ends.line.data_received(plain)
        assert not ends.wire.reading, "one waits for its answer"
        assert [status for status, _, _ in await ends.settled(3)] == [200] * 3
        assert ends.wire.reading
        for whole in (plain, framework):
            ends = Ends(desk)
            ends.line.data_received(whole)
            ends.line.data_received(whole * 2)
            assert not ends.wire.aborted
            ends.line.data_received(whole * 20)
            assert ends.wire.aborted

    asyncio.run(talk())


def test_a_store_that_fails_when_a_key_is_looked_up_is_told(desk: Desk, head: Callable[..., bytes]) -> None:
    whole = head("/decisions", len(BODY)) + BODY
    desk.store.connection.execute("ALTER TABLE keys RENAME TO lost")
    ((status, _, _),), asked = said(desk, [whole])
    assert (status, asked) == (500, True)


def test_a_connection_that_is_silent_is_closed_and_one_that_waits_is_not(
    desk: Desk, head: Callable[..., bytes]
) -> None:
    whole = head("/decisions", len(BODY)) + BODY

    async def talk() -> None:
        ends = Ends(desk)
        ends.line.timeout_keep_alive = 0.05
        ends.line.data_received(whole)
        assert len(await ends.settled(1)) == 1
        ends.line.data_received(whole[:-3])  # the head is whole and known: it has begun
        await asyncio.sleep(0.15)
        assert not ends.wire.closed
        ends.line.data_received(whole[-3:])
        assert len(await ends.settled(2)) == 2
        await asyncio.sleep(0.15)
        assert ends.wire.closed

    asyncio.run(talk())


def test_each_answer_is_counted_and_logged(desk: Desk, head: Callable[..., bytes]) -> None:
    """Twenty decisions, every second one by way of the framework."""
    asks, more = [], ("", "Te: x\r\n")
    for i in range(20):
        body = b'{"request":"m%d","learner":"ada"}' % i
        asks.append(head("/decisions", len(body), more[i % 2]) + body)
    out = io.StringIO()
    told, _ = said(desk, [*asks, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"], 21, Log(out))
    assert [status for status, _, _ in told] == [200] * 21
    assert 'trailmark_requests_total{method="POST",path="/decisions",status="200"} 20.0' in told[20][2]
    assert 'trailmark_seconds_count{path="/decisions"} 20.0' in told[20][2]
    assert 'trailmark_decisions_total{kind="automatic"} 20.0' in told[20][2]
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 21
    assert {tuple((k, v) for k, v in line.items() if k not in ("time", "ms")) for line in lines[:20]} == {
        (("method", "POST"), ("path", "/decisions"), ("status", 200), ("tenant", T), ("who", "app"))
    }
