"""What runs beside the server: started together, started again after a crash, stopped together."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from structlog.testing import capture_logs

from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.pacing import Clock
from buildbot.engine.running import Engine
from buildbot.engine.setup import Current, Setup
from buildbot.engine.status_loop import StatusLoop
from buildbot.ports import Store, StoreUnavailable

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RETENTION = timedelta(days=30)


class Loop:
    """A loop that fails as often as it is told to and then runs until it is stopped."""

    def __init__(self, *, failures: int = 0, may_stop: bool = True) -> None:
        self.failures = failures
        self.may_stop = may_stop
        self.is_running = asyncio.Event()
        self.is_stopped = asyncio.Event()

    async def run(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("nobody thought of this")
        self.is_running.set()
        await self.is_stopped.wait()

    async def stop(self) -> None:
        self.is_stopped.set()
        if not self.may_stop:
            raise RuntimeError("nor of this")


class Shelf:
    """A store that forgets in portions, unless it is away."""

    def __init__(self, *portions: int, is_away: bool = False) -> None:
        self.portions = list(portions)
        self.is_away = is_away
        self.asked: list[datetime] = []
        self.is_asked = asyncio.Event()

    async def prune(self, before: datetime) -> int:
        self.asked.append(before)
        if not self.portions:
            self.is_asked.set()
        if self.is_away:
            raise StoreUnavailable("the database is locked")
        return self.portions.pop(0) if self.portions else 0


def engine(builds: Loop, statuses: Loop, store: Shelf) -> Engine:
    clock, current = Clock(now=lambda: NOW), Current(Setup(retention=RETENTION))
    return Engine(cast("Store", store), cast("BuildLoop", builds), cast("StatusLoop", statuses), current, clock)


async def test_both_loops_run_while_the_bot_serves_and_are_stopped_with_it() -> None:
    builds, statuses = Loop(), Loop()
    async with engine(builds, statuses, Shelf()).running():
        await asyncio.gather(builds.is_running.wait(), statuses.is_running.wait())
        assert not builds.is_stopped.is_set()
    assert builds.is_stopped.is_set()
    assert statuses.is_stopped.is_set()


async def test_a_loop_that_fails_is_told_of_and_started_again() -> None:
    builds, statuses = Loop(failures=1), Loop()
    with capture_logs() as told:
        async with engine(builds, statuses, Shelf()).running():
            await statuses.is_running.wait()
            await builds.is_running.wait()
    assert [line["event"] for line in told] == ["loop failed, starting it again"]


async def test_a_loop_that_cannot_stop_keeps_nobody_from_stopping() -> None:
    builds, statuses = Loop(may_stop=False), Loop()
    with capture_logs() as told:
        async with engine(builds, statuses, Shelf()).running():
            await builds.is_running.wait()
    assert statuses.is_stopped.is_set()
    assert [line["log_level"] for line in told] == ["error"]


async def test_what_is_older_than_the_retention_is_forgotten_in_portions() -> None:
    store = Shelf(500)
    async with engine(Loop(), Loop(), store).running():
        await store.is_asked.wait()
    assert store.asked == [NOW - RETENTION] * 2


async def test_a_store_that_is_away_is_told_of_and_ends_nothing() -> None:
    builds, store = Loop(), Shelf(is_away=True)
    with capture_logs() as told:
        async with engine(builds, Loop(), store).running():
            await asyncio.gather(store.is_asked.wait(), builds.is_running.wait())
    assert [(line["event"], line["because"]) for line in told] == [("nothing forgotten", "the database is locked")]
