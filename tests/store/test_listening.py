"""PostgreSQL tells every instance what another has recorded, and nothing of what is no news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from buildbot.domain.build import BuildPhase, CancelReason, Goal, GoalKind
from buildbot.ports import StoreUnavailable
from buildbot.store.sql_store import SqlStore
from tests.postgres import Postgres
from tests.store.world import START, World, seen_as

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 10.0


class Ear:
    """What was heard at an instance."""

    def __init__(self) -> None:
        self.heard = 0
        self._news = asyncio.Event()

    def hear(self) -> None:
        self.heard += 1
        self._news.set()

    async def news(self) -> None:
        """Wait for the next piece."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._news.wait()
        self._news.clear()


@pytest.fixture
def one(postgres_url: str) -> Iterator[SqlStore]:
    """An instance that listens."""
    with SqlStore(postgres_url) as store:
        yield store


@pytest.fixture
def other(postgres_url: str) -> Iterator[World]:
    """People and loops at another."""
    with SqlStore(postgres_url) as store:
        yield World(store)


@asynccontextmanager
async def listening(store: SqlStore) -> AsyncIterator[Ear]:
    """Listen while the block lasts; the news that there may have been before are heard already."""
    ear = Ear()
    task = asyncio.create_task(store.listen(ear.hear))
    try:
        await ear.news()
        yield ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_push_at_one_instance_is_heard_at_the_other(one: SqlStore, other: World) -> None:
    async with listening(one) as ear:
        await other.build("a", "b")
        await ear.news()
        assert await World(one).is_due("one")


async def test_what_is_recorded_for_a_known_repository_is_heard_as_well(one: SqlStore, other: World) -> None:
    build = await other.build("a", "b")
    async with listening(one) as ear:
        await other.store.cancel(build.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), START)
        await ear.news()
        assert ear.heard >= 2


async def test_a_status_that_becomes_due_is_heard(one: SqlStore, other: World) -> None:
    build = await other.build("a", "b")
    claim = await other.claim()
    async with listening(one) as ear:
        await other.save(claim, seen_as(build, BuildPhase.WAITING))
        await ear.news()


async def test_a_look_at_a_repository_is_no_news(one: SqlStore, other: World) -> None:
    build = await other.build("a", "b")
    async with listening(one) as ear:
        claim = await other.claim()
        await other.save(claim, seen_as(build, BuildPhase.WAITING), is_news=False)
        await other.store.release(claim, START)
        heard = ear.heard
        await other.push("b", "c")  # is told after all that was committed before it
        await ear.news()
        assert heard == 1


async def test_who_listens_learns_that_the_server_went_away(one: SqlStore, postgres: Postgres) -> None:
    ear = Ear()
    task = asyncio.create_task(one.listen(ear.hear))
    await ear.news()
    postgres.stop()
    postgres.start()
    with pytest.raises(StoreUnavailable, match="the database tells nothing"):
        await task


async def test_sqlite_tells_nobody_and_says_so_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    ear = Ear()
    with SqlStore(f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/store.db") as store:
        await store.listen(ear.hear)
    assert ear.heard == 0
