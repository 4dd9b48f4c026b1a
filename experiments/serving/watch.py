"""Watch: every request counted, timed and logged; bodies that are too large and faults stopped at the door."""

from __future__ import annotations

import json
import logging
import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("trailmark.serve")


class Watch:
    """Plain ASGI middleware; a body must say its length, and have at most `limit` bytes."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry, limit: int) -> None:
        self.app, self.limit = app, limit
        self.requests = Counter("trailmark_requests", "Requests", ["method", "path", "status"], registry=registry)
        self.seconds = Histogram("trailmark_seconds", "Seconds per request", ["path"], registry=registry)

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

        refused = self._refused(scope)
        try:
            if refused is None:
                await self.app(scope, receive, sent)
            else:
                await refused(scope, receive, sent)
        except Exception:
            log.exception("failed: %s", scope["path"])
            if status == 0:  # nothing was said yet
                await JSONResponse({"detail": "something failed here; it was logged"}, 500)(scope, receive, sent)
        finally:
            spent = time.perf_counter() - began
            path = getattr(scope.get("route"), "path", "unknown")
            self.requests.labels(scope["method"], path, status).inc()
            self.seconds.labels(path).observe(spent)
            if log.isEnabledFor(logging.INFO):
                line = {"method": scope["method"], "path": path, "status": status, "ms": round(1000 * spent, 3)}
                log.info(json.dumps(line))

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = dict(scope["headers"])
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            return JSONResponse({"detail": "a body must say how many bytes it has (Content-Length)"}, 411)
        said = headers.get(b"content-length", b"0")
        if not said.isdigit() or int(said) > self.limit:
            return JSONResponse({"detail": f"a body may have at most {self.limit} bytes"}, 413)
        return None
