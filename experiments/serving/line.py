"""Line: one connection, on which plain requests to busy doors are answered as they come."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .keys import Caller
from .swift import Door
from .watch import Watch

_MOST = 1 << 20  # bytes of requests that one connection may send ahead of their answers
_AHEAD = 4096  # requests that one connection may send ahead of their answers


class Asked(NamedTuple):
    """A plain request that waits for its answer."""

    data: bytes
    door: Door
    who: Caller
    began: float


class Line(HttpToolsProtocol):
    """Uvicorn's connection, with a way around parser, task and framework.

    A plain request with a known key and a valid body is put to the turn at once, and one write is its answer. All
    others, and those that the desk has no answer to, go uvicorn's way, byte for byte, so that there is one place that
    says what is wrong. Requests of one connection are answered one after the other, in order.
    """

    _watch: Watch
    _asked: Asked | None = None
    _held = b""  # came after the request that waits, or is the first part of one
    _inside = False  # uvicorn's parser is within a message
    _leaving = False  # the server stops

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        assert isinstance(self.app, Watch)  # uvicorn was told to put nothing around it
        self._watch = self.app

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._asked is not None:
            self._held += data
            self.flow.pause_reading()
            if len(self._held) > _MOST:  # every answer resumes reading: who never waits for one would fill the memory
                self.transport.abort()
            return
        if self._held:
            data, self._held = self._held + data, b""
        try:
            taken = self._taken(data)
        except Exception:  # the framework meets it again, and says so
            taken = False
        if not taken:
            self._on(data)

    def on_message_begin(self) -> None:
        """Note that the parser is within a message."""
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that the parser is between messages."""
        self._inside = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close, once what was asked is answered."""
        self._leaving = True
        if self._asked is None and not self._held:
            super().shutdown()

    def _on(self, data: bytes) -> None:
        super().data_received(data)
        if len(self.pipeline) > _AHEAD:
            self.transport.abort()
        if self._leaving:
            super().shutdown()

    def _taken(self, data: bytes) -> bool:
        busy = self._inside or not (self.cycle is None or self.cycle.response_complete)
        end = data.find(b"\r\n\r\n") + 4
        plain = None if busy or end < 4 or self.flow.write_paused else self._watch.swift.plain(data[:end])
        who = plain and self._watch.swift.callers.of(plain.authorization)
        if plain is None or who is None:
            return False
        self._unset_keepalive_if_required()
        whole = end + plain.length
        if len(data) < whole:
            self._held = data
            return True
        ask = self._watch.swift.ask(plain.door, who, data[end:whole])
        if ask is None:
            return False
        self._asked = Asked(data[:whole], plain.door, who, time.perf_counter())
        self._held = data[whole:]
        self._watch.swift.turn.put(ask, self._answer)
        return True

    def _answer(self, said: dict[str, Any] | Exception) -> None:
        assert self._asked is not None
        (data, door, who, began), self._asked = self._asked, None
        if isinstance(said, Exception):
            if not self.transport.is_closing():
                self._on(data)
        else:
            self._say(to_json(said))
            door.told(said)
            self._watch.note("POST", door.path, 200, time.perf_counter() - began, {"caller": who})
        if self._held and not self.transport.is_closing():
            rest, self._held = self._held, b""
            self.data_received(rest)

    def _say(self, text: bytes) -> None:
        if self.transport.is_closing():  # whoever asked has gone away
            return
        head = [b"HTTP/1.1 200 OK\r\n"]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        if self._leaving:
            head.append(b"connection: close\r\n")
        head.append(b"content-length: %d\r\ncontent-type: application/json\r\n\r\n" % len(text))
        self.transport.write(b"".join([*head, text]))
        if self._leaving:
            self.transport.close()
        self.on_response_complete()
