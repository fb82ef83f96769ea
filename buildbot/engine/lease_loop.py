"""What both loops are: claim what is due, work on each in a task of its own, keep its lease alive, stop in order.

Level-triggered: nothing is remembered that the rows do not say, so a missed beat delays by half a second and loses
nothing. A database that is away is waited for; what goes wrong in one task is that task's own affair.

The end of a task is reason to look again only where there may be something to find: news that came in meanwhile, which
may be about what the task held, or more that was due than there was room for.
"""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

import structlog

from buildbot.engine.pulse import Pulse
from buildbot.engine.rush import FEW, Rush
from buildbot.ports import StoreUnavailable

log = structlog.get_logger(__name__)

Leased = TypeVar("Leased")
GRACE_SECONDS = 5.0
AWAY_SECONDS = 1.0


class LeaseLoop(ABC, Generic[Leased]):
    """Works on at most `most` leased things at once, and may have no room for one more from `crowded` on. `pulse` makes
    it look; while a `rush` is on it waits with that."""

    def __init__(self, most: int, lease: timedelta, rush: Rush | None = None, *, crowded: int | None = None) -> None:
        self.pulse = Pulse()
        self._most = most
        self._crowded = most if crowded is None else crowded
        self._lease = lease
        self._rush = rush or Rush()
        self._tasks: dict[asyncio.Task[None], Leased] = {}
        self._taking = asyncio.Lock()
        self._is_stopping = False

    @abstractmethod
    async def _claim(self, room: int) -> Sequence[Leased]:
        """Lease what is due, at most so many. Raises StoreUnavailable."""

    @abstractmethod
    async def _work(self, leased: Leased) -> None:
        """Do it, and give it back. Raises nothing."""

    @abstractmethod
    async def _renew(self, leased: Sequence[Leased]) -> None:
        """Lengthen the leases of what is being worked on. Raises StoreUnavailable."""

    async def run(self) -> None:
        """Until `stop`: take what is due."""
        renewing = asyncio.create_task(self._keep_leases())
        try:
            while not self._is_stopping:
                await self._take(sys.maxsize if await self._rush.over() else FEW)
                await self.pulse.nap()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def stop(self) -> None:
        """Take nothing new, give calls in flight some seconds, drop the rest."""
        self._is_stopping = True
        self.pulse.beat()
        async with self._taking:
            pass  # what is being claimed this moment becomes tasks that can be waited for
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, limit: int = sys.maxsize) -> bool:
        try:
            async with self._taking:
                return await self._take_due(limit)
        except StoreUnavailable as error:
            log.error("nothing can be claimed", loop=type(self).__name__, because=str(error))
            await asyncio.sleep(AWAY_SECONDS)
            return False

    async def _take_due(self, limit: int) -> bool:
        room = min(limit, self._most - len(self._tasks))
        if room <= 0 or self._is_stopping:
            return False
        taken = await self._claim(room)
        for leased in taken:
            task = asyncio.create_task(self._work(leased))
            self._tasks[task] = leased
            task.add_done_callback(partial(self._ended, self.pulse.news))
        return bool(taken)

    def _ended(self, news_before: int, task: asyncio.Task[None]) -> None:
        was_crowded = len(self._tasks) >= self._crowded
        self._tasks.pop(task, None)
        if was_crowded or self.pulse.news != news_before:
            self.pulse.beat_in(0)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            if not self._tasks:
                continue
            try:
                await self._renew(tuple(self._tasks.values()))
            except StoreUnavailable as error:
                log.warning("leases not renewed", loop=type(self).__name__, because=str(error))
