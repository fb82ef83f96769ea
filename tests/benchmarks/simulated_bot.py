"""The bot in simulated time: all of it but the web server, put together as `buildbot.bootstrap.app` does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx

from buildbot.bootstrap.setup import Shared, new_setup
from buildbot.config import read
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.intake import Intake
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import Current, Setup
from buildbot.engine.status_loop import StatusLoop
from buildbot.engine.tools import Memory, Tools
from buildbot.ports import Delivery, Store
from buildbot.store.sql_store import SqlStore
from tests.benchmarks.contestants import ENVIRON
from tests.engine.virtual_time import VirtualLoop

LEASE = timedelta(seconds=10)


@asynccontextmanager
async def engine(
    config: str, client: httpx.AsyncClient, clock: Clock, environ: Mapping[str, str] = ENVIRON
) -> AsyncIterator[SimulatedBot]:
    """The bot at work on a configuration while the block lasts, in a loop of simulated time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    with TemporaryDirectory(dir=_ram()) as folder, SqlStore(f"sqlite:///{folder}/store.db") as real:
        setup = new_setup(read(config, environ, base=Path()), Shared(client, clock))
        bot = SimulatedBot(setup, cast("Store", _StoreInTime(real, loop)), clock)
        loops = [asyncio.create_task(one.run()) for one in (bot.builds, bot.statuses)]
        try:
            yield bot
        finally:
            await asyncio.gather(bot.builds.stop(), bot.statuses.stop(), *loops)


class SimulatedBot:
    """The bot's parts. `take` is what the web server would call."""

    def __init__(self, setup: Setup, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._setup = setup
        current = Current(setup)
        self.statuses = StatusLoop(store, current, clock, LEASE)
        tools = Tools(store, clock, Memory())
        self.builds = BuildLoop("bench", LEASE, current, tools, on_news=self.statuses.pulse.beat)
        self._intake = Intake(store, self._wake)

    async def take(self, delivery_id: str, push: Mapping[str, Any]) -> None:
        """One push."""
        await self._intake.take(Delivery("github", delivery_id, "push", push, self._clock.now()), self._setup)

    def _wake(self) -> None:
        self.builds.pulse.beat()
        self.statuses.pulse.beat()


class _StoreInTime:
    """The real store, whose threads' answers the simulated clock waits for, one piece of work at a time."""

    def __init__(self, store: SqlStore, loop: VirtualLoop) -> None:
        self._store = store
        self._loop = loop
        self._turn = asyncio.Lock()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        work = getattr(self._store, name)

        async def whole(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.shield(asyncio.ensure_future(self._done(work, *args, **kwargs)))

        return whole

    async def _done(self, work: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        async with self._turn:
            self._loop.begin_work()
            try:
                return await work(*args, **kwargs)
            finally:
                self._loop.end_work()


def _ram() -> Path | None:
    fast = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
    return fast if fast.is_dir() else None
