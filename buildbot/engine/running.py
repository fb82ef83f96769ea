"""Everything that runs beside the web server: both loops, and the forgetting of what is old.

A loop that fails for a reason nobody thought of is started again; the rows tell it where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current
from buildbot.engine.status_loop import StatusLoop
from buildbot.ports import Store, StoreUnavailable

log = structlog.get_logger(__name__)

PRUNE_SECONDS = 600.0
AFTER_A_CRASH = 1.0


class Engine:
    """Runs the loops while the bot serves."""

    def __init__(self, store: Store, builds: BuildLoop, statuses: StatusLoop, current: Current, clock: Clock) -> None:
        self._store = store
        self._builds = builds
        self._statuses = statuses
        self._current = current
        self._clock = clock

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run everything until the block ends; then stop within ten seconds."""
        loops = [_again_and_again(one) for one in (self._builds.run, self._statuses.run, self._prune)]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            ends = await asyncio.gather(self._builds.stop(), self._statuses.stop(), return_exceptions=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for failure in filter(None, ends):
                log.error("not stopped well, the rows tell where it was", exc_info=failure)

    async def _prune(self) -> None:
        while True:
            try:
                gone = await self._store.prune(self._clock.now() - self._current.setup.retention)
            except StoreUnavailable as away:
                log.warning("nothing forgotten", because=str(away))
                gone = 0
            if gone:
                log.info("old builds forgotten", builds=gone)
            await asyncio.sleep(1.0 if gone else PRUNE_SECONDS)


async def _again_and_again(loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("loop failed, starting it again")
            await asyncio.sleep(AFTER_A_CRASH)
        else:
            return
