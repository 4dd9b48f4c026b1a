"""Swift: the doors that are asked often, and which requests to them are so plain that no framework is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from .answers import Decide, Happen
from .keys import Caller, Callers
from .turn import Turn

# Less than HTTP allows, so that no two parsers can read such a head in two ways.
_HEAD = re.compile(rb"POST (/[a-z]+) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n)+)\r\n")
_OTHER = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"te", b"trailer"})
_HEADS, _LONG = 1024, 2048  # how many heads are remembered, since a client sends the same ones again, and their bytes


class Door(NamedTuple):
    """A door that is asked often: what a body must look like, what is asked with it, and who counts the answers."""

    path: str
    body: type[BaseModel]
    ask: Callable[[Caller, Any], Decide | Happen]
    told: Callable[[dict[str, Any]], None]


class Plain(NamedTuple):
    """A head that says nothing but to which door, by whom, and how long the body is."""

    door: Door
    authorization: str
    length: int


class Swift:
    """Plain requests, read without the framework; what is not plain is for the framework to judge, in its own words."""

    def __init__(self, doors: list[Door], callers: Callers, turn: Turn, limit: int) -> None:
        """Bodies above `limit` bytes are for the framework to refuse."""
        self.doors, self.callers, self.turn, self.limit = {door.path: door for door in doors}, callers, turn, limit
        self._heads: dict[bytes, Plain] = {}

    def plain(self, head: bytes) -> Plain | None:
        """Return what a head says, the empty line included; None when it says anything else besides."""
        found = self._heads.get(head)
        if found is None and len(head) <= _LONG and (found := self._read(head)) is not None:
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[head] = found
        return found

    def _read(self, head: bytes) -> Plain | None:
        found = _HEAD.fullmatch(head)
        door = self.doors.get(found[1].decode()) if found else None
        if found is None or door is None:
            return None
        pairs = [line.split(b": ", 1) for line in found[2].splitlines()]
        said = {name.lower(): value for name, value in pairs}
        length, kind = said.get(b"content-length", b""), said.get(b"content-type", b"").split(b";")[0]
        if len(said) < len(pairs) or not _OTHER.isdisjoint(said) or kind != b"application/json":
            return None  # said twice, or more than a plain request says
        if said.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        if not length.isdigit() or int(length) > self.limit:
            return None
        return Plain(door, said.get(b"authorization", b"").decode(), int(length))

    def ask(self, door: Door, who: Caller, body: bytes) -> Decide | Happen | None:
        """Return what is asked for, None for a body with faults."""
        try:
            return door.ask(who, door.body.__pydantic_validator__.validate_json(body))
        except (ValidationError, ValueError):
            return None
