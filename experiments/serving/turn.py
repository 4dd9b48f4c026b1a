"""Turn: requests that come together share a round - one run of the graph, one write to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from prometheus_client import Counter

from .answers import Decide, Happen
from .desk import Desk

T = TypeVar("T")
Done = Callable[[Any], None]
FULL = 128  # a round that is this large waits for nobody


class Turn:
    """Rounds at the desk, in the event loop itself; nothing is acknowledged before it is on disk (group commit).

    A round takes whatever has come in by the time it begins. While it works and the disk writes, new requests wait in
    their sockets and make up the next round, so a slow disk costs latency, not processor time. A thread of its own for
    the disk would only add switches between threads: the next round needs the same connection.
    """

    def __init__(self, desk: Desk, rounds: Counter) -> None:
        self.desk, self.rounds = desk, rounds
        desk.store.grouped = True
        self._works: list[tuple[Done, Callable[[], Any]]] = []
        self._asks: list[tuple[Done, Decide | Happen]] = []

    def put(self, ask: Decide | Happen, done: Done) -> None:
        """Take an ask into the next round; `done` is told the answer, once it is on disk, or why there is none."""
        self._soon()
        self._asks.append((done, ask))

    async def take(self, ask: Decide | Happen) -> dict[str, Any]:
        """Return the answer to one ask, once it is on disk."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.put(ask, _into(answer))
        return await answer

    async def write(self, work: Callable[[], T]) -> T:
        """Return what `work` did, once it is on disk."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._soon()
        self._works.append((_into(answer), work))
        return await answer

    def _soon(self) -> None:
        if not self._asks and not self._works:
            asyncio.get_running_loop().call_soon(self._round, 0)

    def _round(self, heard: int) -> None:
        coming = len(self._asks) + len(self._works)
        if heard < coming < FULL:  # they are still coming in: listen once more
            asyncio.get_running_loop().call_soon(self._round, coming)
            return
        self.rounds.inc()
        works, self._works = self._works, []
        asks, self._asks = self._asks, []
        waiting = [done for done, _ in [*works, *asks]]
        try:
            said = [_tried(work) for _, work in works]
            said += self.desk.take([ask for _, ask in asks])
            self.desk.store.commit()
        except Exception as error:
            said = [error] * len(waiting)
        for done, one in zip(waiting, said, strict=True):
            asyncio.get_running_loop().call_soon(done, one)  # what fails there takes nobody with it


def _into(answer: asyncio.Future[Any]) -> Done:
    def done(said: Any) -> None:
        if answer.done():  # whoever asked has gone away
            return
        if isinstance(said, Exception):
            answer.set_exception(said)
        else:
            answer.set_result(said)

    return done


def _tried(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return error
