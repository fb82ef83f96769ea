"""Hearing of what other instances record, so that it is begun at once and not at the next half second.

A database that is away is tried again, first after a second and then ever more rarely; until then the loops look as
often as they do anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog

from buildbot.ports import Store, StoreUnavailable

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0


class Listening:
    """Listens to the store. `wake` is called for each piece of news."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self._pause = FIRST_PAUSE

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen while the block lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while await self._is_cut_off():
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _is_cut_off(self) -> bool:
        try:
            await self._store.listen(self._hear)
        except StoreUnavailable as away:
            log.warning("not told of other instances' work, looking twice a second", because=str(away))
            return True
        except Exception:
            log.exception("listening failed, starting it again")
            return True
        return False

    def _hear(self) -> None:
        self._pause = FIRST_PAUSE
        self._wake()
