"""Turn: requests take turns at the store, and those that come together share one write to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from .store import Store

T = TypeVar("T")


class Turn:
    """One request at a time works on the store; nothing is acknowledged before it is on disk (group commit).

    While the disk works in a thread, new requests queue up and then share the next write.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        store.grouped = True
        self._lock = asyncio.Lock()
        self._waiting: list[asyncio.Future[None]] = []

    async def read(self, work: Callable[[], T]) -> T:
        """Return what `work` reads."""
        async with self._lock:
            return work()

    async def write(self, work: Callable[[], T]) -> T:
        """Return what `work` did, once it is on disk."""
        async with self._lock:
            said = work()
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(done)
            first = len(self._waiting) == 1
        if first:
            await self._flush()
        await done
        return said

    async def _flush(self) -> None:
        async with self._lock:  # in turn: after all requests that were already here
            waiting, self._waiting = self._waiting, []
            try:
                await asyncio.get_running_loop().run_in_executor(None, self.store.commit)
            except Exception as error:
                for one in waiting:
                    one.set_exception(error)
                return
        for one in waiting:
            if not one.done():
                one.set_result(None)
