"""Watch: every request counted, timed and logged; bodies that are too large and faults stopped at the door."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic_core import to_json
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from .swift import Swift

FAILED = "something failed here; it was logged"
SMALL = 64 << 10  # bytes of a body that holds no list
LISTS = frozenset({"/events/batch", "/decisions/batch", "/learners"})  # paths whose bodies do
METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
faults = logging.getLogger("trailmark.serve")


class Log:
    """One JSON line per request, written twice a second: who asked for what, and of which learner who was looked at.

    What was done is in the ledger, which loses nothing; this tells who read.
    """

    def __init__(self, out: TextIO) -> None:
        self.out, self.lines = out, list[bytes]()

    def write(self, said: dict[str, Any]) -> None:
        """Take one line; it is written soon."""
        if not self.lines:
            asyncio.get_running_loop().call_later(0.5, self.flush)
        self.lines.append(to_json(said))

    def flush(self) -> None:
        """Write what was taken."""
        if self.lines:
            lines, self.lines = self.lines, []
            self.out.write(b"\n".join([*lines, b""]).decode())
            self.out.flush()


class Watch:
    """Plain ASGI, outermost; a body must say its length, and have at most `limit` bytes, SMALL where it is no list.

    The body of a stranger is not even read.
    """

    def __init__(
        self, app: ASGIApp, swift: Swift, registry: CollectorRegistry, limit: int, log: Log | None = None
    ) -> None:
        self.app, self.swift, self.limit, self.log = app, swift, limit, log
        requests = Counter("trailmark_requests", "Requests", ["method", "path", "status"], registry=registry)
        seconds = Histogram("trailmark_seconds", "Seconds per request", ["path"], registry=registry)
        self.requests, self.seconds = cache(requests.labels), cache(seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            known = self.swift.callers.of(_said(scope, b"authorization"))
            await (self._refused(scope) or self.app)(scope, receive if known else _without_body(receive), sent)
        except Exception:
            faults.exception("failed: %s", scope["path"])
            if status == 0:  # nothing was said yet
                await JSONResponse({"detail": FAILED}, 500)(scope, receive, sent)
        finally:
            path = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in METHODS else "other"  # clients make no labels
            self.note(method, path, status, time.perf_counter() - began, scope)

    def note(self, method: str, path: str, status: int, spent: float, scope: Scope) -> None:
        """Count, time (in seconds) and log one request; `scope` says who asked and which learner the path names."""
        self.requests(method, path, status).inc()
        self.seconds(path).observe(spent)
        if self.log is not None:
            line = {"time": time.time(), "method": method, "path": path, "status": status}
            self.log.write(line | _asked(scope) | {"ms": round(1000 * spent, 3)})

    def _refused(self, scope: Scope) -> JSONResponse | None:
        said = b"0"
        for name, value in scope["headers"]:
            if name == b"content-length":
                said = value
            elif name == b"transfer-encoding" and b"chunked" in value:
                return JSONResponse({"detail": "a body must say how many bytes it has (Content-Length)"}, 411)
        limit = self.limit if scope["path"] in LISTS else min(self.limit, SMALL)
        if not said.isdigit() or int(said) > limit:
            return JSONResponse({"detail": f"a body may have at most {limit} bytes here"}, 413)
        return None


def _asked(scope: Scope) -> dict[str, Any]:
    """Return who asked, and for which learner where the path names one."""
    who, named = scope.get("caller"), scope.get("path_params", {})
    said = {} if who is None else {"tenant": who.tenant, "who": who.name}
    return said | ({"learner": named["learner"]} if "learner" in named else {})


def _said(scope: Scope, header: bytes) -> str:
    return next((value.decode("latin-1") for name, value in reversed(scope["headers"]) if name == header), "")


def _without_body(receive: Receive) -> Receive:
    """Return a `receive` that begins with an empty body."""
    first: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def messages() -> Message:
        return first.pop() if first else await receive()

    return messages
