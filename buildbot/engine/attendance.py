"""Being there: each instance is seen every few seconds, and all share what may be asked of registries and forges.

N instances must not be N times as rude. A budget in the database would cost a transaction for every call; instead each
takes an N-th of every budget for itself. So one that joins or dies is felt within a few seconds, which is soon enough
for limits that are counted by the minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from buildbot.engine.pacing import Clock, Share
from buildbot.ports import Store, StoreUnavailable
from buildbot.telemetry import INSTANCES

log = structlog.get_logger(__name__)

BEAT_SECONDS = 3.0
PATIENCE = timedelta(seconds=10)
"""Not seen for so long: gone."""


class Attendance:
    """Keeps `share` at the number of instances. `name` names this one."""

    def __init__(self, store: Store, name: str, share: Share, clock: Clock) -> None:
        self._store = store
        self._name = name
        self._share = share
        self._clock = clock

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be there while the block lasts, and counted before it begins."""
        await self.beat()
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with contextlib.suppress(StoreUnavailable):
                await self._store.leave(self._name)

    async def beat(self) -> None:
        """Say that this instance is there, and learn how many are. While the database is away it stays as it was."""
        try:
            count = await self._store.attend(self._name, self._clock.now(), PATIENCE)
        except StoreUnavailable as away:
            log.warning("other instances not counted", because=str(away))
            return
        if count != self._share.instances:
            log.info("budgets shared", instances=count)
        self._share.instances = count
        INSTANCES.set(count)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()
