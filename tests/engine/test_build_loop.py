"""The loop over all repositories: a registry that does not answer, or a busy repository, holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from buildbot.domain.lifecycle import Limits
from buildbot.engine.build_loop import MOST_PASSES, BuildLoop
from buildbot.engine.pacing import WORK_IN_FLIGHT, RegistryLine, utc_now
from buildbot.engine.pacing import Clock as RealClock
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import RegistrySite
from buildbot.engine.tools import Memory, Tools
from buildbot.ports import BuildOrder, BuildRecord, Registry
from buildbot.store.sql_store import SqlStore
from tests.store.world import API, World

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=10)
PATIENCE_SECONDS = 20.0


@dataclass
class SlowRegistry:
    """A registry that answers when it is let: who was asked for, in order."""

    is_answering: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def request_repo_build(self, order: BuildOrder) -> BuildRecord:
        self.asked.append(order.repository)
        self.news.set()
        await self.is_answering.wait()
        return BuildRecord(f"q{len(self.asked)}", "waiting", order.image_tags, utc_now(), order.archive_url)

    async def get_repo_builds(self, _repository: str, _since: object) -> tuple[BuildRecord, ...]:
        await self.is_answering.wait()
        return ()

    async def until_asked_for(self, repository: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while repository not in self.asked:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def running(store: SqlStore, **registries: SlowRegistry) -> AsyncIterator[BuildLoop]:
    """The loop over these registries, while the block lasts."""
    clock = RealClock()
    sites = {
        key: RegistrySite(key, cast("Registry", one), RegistryLine(key, 1000, clock), Limits(), timedelta(seconds=30))
        for key, one in registries.items()
    }
    current = Current(Setup(registries=sites, public_url="https://builds.test"))
    loop = BuildLoop("one", LEASE, current, Tools(store, clock, Memory()), lambda: None)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        for one in registries.values():
            one.is_answering.set()
        await loop.stop()
        await task


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as store:
        it = World(store)
        it.now = utc_now()
        yield it


async def push(world: World, repository: str, registry: str = "quay", count: int = 1) -> None:
    """Pushes of as many refs as asked, all built in one repository."""
    rule = replace(API, name=repository.replace("/", "-"), repository=repository, registry=registry)
    for number in range(count):
        await world.push(None, "b", rules=(rule,), ref=f"refs/heads/{repository}-{number}")


async def until_open(loop: BuildLoop, passes: int) -> None:
    """Wait until so many passes are open at once."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(loop._tasks) < passes:  # noqa: ASYNC110  the loop tells nobody when it opens one
            await asyncio.sleep(0.01)


async def test_a_registry_that_does_not_answer_holds_up_no_other(world: World) -> None:
    slow, quick = SlowRegistry(), SlowRegistry()
    quick.is_answering.set()
    for number in range(MOST_PASSES + 10):
        await push(world, f"acme/slow{number}", "slow")
    async with running(cast("SqlStore", world.store), slow=slow, quick=quick) as loop:
        await until_open(loop, MOST_PASSES)
        await push(world, "acme/quick", "quick")
        loop.pulse.beat()
        await quick.until_asked_for("acme/quick")
        assert len(slow.asked) == WORK_IN_FLIGHT


async def test_a_repository_with_many_pushes_does_not_fill_the_line_to_the_registry(world: World) -> None:
    quay = SlowRegistry()
    await push(world, "acme/many", count=100)
    async with running(cast("SqlStore", world.store), quay=quay) as loop:
        await quay.until_asked_for("acme/many")
        await push(world, "acme/single")
        loop.pulse.beat()
        await until_open(loop, 2)
        quay.is_answering.set()
        await quay.until_asked_for("acme/single")
        # behind the calls under way and one turn of the others' at most
        assert quay.asked.index("acme/single") <= WORK_IN_FLIGHT + 1
