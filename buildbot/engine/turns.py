"""A limited number of places, handed out in turn to whoever has something waiting: no one of them can fill the line.

asyncio's semaphore serves in the order of arrival, so a repository with forty requests makes everybody else wait for
all of them. Here each key has a line of its own, and the lines take turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairTurns:
    """At most `places` at once; of the keys that wait, each in turn gets the next that becomes free."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Hold a place while the block lasts."""
        await self._take(key)
        try:
            yield
        finally:
            self._give_back()

    @property
    def places(self) -> int:
        """How many there are."""
        return self._places

    def set_places(self, places: int) -> None:
        """So many from now on; where there are fewer than are held, nobody gets one until enough are given back."""
        self._places = places
        self._hand_out()

    async def _take(self, key: str) -> None:
        if self._taken < self._places:
            self._taken += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give_back()  # the place came in the moment in which nobody wanted it any more
            raise

    def _give_back(self) -> None:
        self._taken -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._taken < self._places:
            first = self._next()
            if not first.done():
                self._taken += 1
                first.set_result(None)

    def _next(self) -> asyncio.Future[None]:
        key, line = next(iter(self._waiting.items()))
        del self._waiting[key]
        first = line.popleft()
        if line:
            self._waiting[key] = line  # at the end: the others come first now
        return first
