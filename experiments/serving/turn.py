"""Turn: requests that come together share a round - one run of the graph, one write to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from prometheus_client import Counter

from .answers import Decide, Happen
from .desk import Desk

T = TypeVar("T")
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
        self._works: list[tuple[asyncio.Future[Any], Callable[[], Any]]] = []
        self._asks: list[tuple[asyncio.Future[Any], Decide | Happen]] = []

    async def take(self, ask: Decide | Happen) -> dict[str, Any]:
        """Return the answer to one ask, once it is on disk."""
        answer = self._soon()
        self._asks.append((answer, ask))
        said: dict[str, Any] = await answer
        return said

    async def write(self, work: Callable[[], T]) -> T:
        """Return what `work` did, once it is on disk."""
        answer = self._soon()
        self._works.append((answer, work))
        said: T = await answer
        return said

    def _soon(self) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if not self._asks and not self._works:
            loop.call_soon(self._round, 0)
        return loop.create_future()

    def _round(self, heard: int) -> None:
        coming = len(self._asks) + len(self._works)
        if heard < coming < FULL:  # they are still coming in: listen once more
            asyncio.get_running_loop().call_soon(self._round, coming)
            return
        self.rounds.inc()
        works, self._works = self._works, []
        asks, self._asks = self._asks, []
        waiting = [future for future, _ in [*works, *asks]]
        try:
            said = [_tried(work) for _, work in works]
            said += self.desk.take([ask for _, ask in asks])
            self.desk.store.commit()
        except Exception as error:
            said = [error] * len(waiting)
        for future, one in zip(waiting, said, strict=True):
            if future.done():  # whoever asked has gone away
                continue
            if isinstance(one, Exception):
                future.set_exception(one)
            else:
                future.set_result(one)


def _tried(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return error
