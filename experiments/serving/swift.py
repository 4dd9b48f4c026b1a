"""Swift: the two busy doors, straight to the desk; whatever is not plain goes to the framework, in its own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .keys import Caller, Callers

Head = list[tuple[bytes, bytes]]


class Door(NamedTuple):
    """A door that is asked often: what a body must look like, and who answers it."""

    path: str
    body: type[BaseModel]
    answer: Callable[[Caller, Any], Awaitable[dict[str, Any]]]


class Swift:
    """Plain ASGI: a known key, a valid body and a desk that has an answer need nothing else.

    All others (no key, whose body is not read; a body with faults, an unknown learner, another path) are passed on with
    what was read, so that there is one place that says what is wrong.
    """

    def __init__(self, app: ASGIApp, doors: list[Door], callers: Callers) -> None:
        self.app, self.callers = app, callers
        self.doors = {door.path: door for door in doors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        key, plain = _headers(scope["headers"])
        who = self.callers.of(key)
        if who is None:  # the body of a stranger is not even read
            await self.app(scope, _again(b"", receive), send)
            return
        door = self.doors.get(scope["path"]) if plain and scope["method"] == "POST" else None
        if door is None:
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":  # gone away
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            said = await door.answer(who, door.body.__pydantic_validator__.validate_json(body))
        except (ValidationError, ValueError, LookupError):
            await self.app(scope, _again(body, receive), send)
            return
        scope["route"], scope["caller"] = door, who
        text = to_json(said)
        head: Head = [(b"content-length", b"%d" % len(text)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": text})


def _headers(headers: Head) -> tuple[str, bool]:
    """Return what is said for authorization, and whether the body is plain JSON."""
    key, plain = b"", False
    for name, value in headers:
        if name == b"authorization":
            key = value
        elif name == b"content-type":
            plain = value.split(b";")[0] == b"application/json"
    return key.decode("latin-1"), plain


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with a body that was already read."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def messages() -> Message:
        return first.pop() if first else await receive()

    return messages
