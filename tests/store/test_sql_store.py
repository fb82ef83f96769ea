"""What holds for the store as a whole: durable, honest about a database that takes nothing, shared by processes."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import sys
from pathlib import Path

import pytest

from buildbot.domain.build import BuildId, CancelReason, Goal, GoalKind
from buildbot.domain.decision import Decision
from buildbot.ports import BuildFilter, NoSuchBuild, Store, StoreUnavailable
from buildbot.store.sql_store import SqlStore
from tests.store.world import START, World, a_push, a_recording

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


async def test_it_is_a_store(store: SqlStore) -> None:
    as_port: Store = store
    await as_port.ping()


async def test_what_was_recorded_is_there_after_opening_again(store_url: str) -> None:
    with SqlStore(store_url) as first:
        recorded = await first.record(a_recording((a_push("a", "b"),), "one"))
    with SqlStore(store_url) as second:
        assert (await second.story(recorded.builds[0].id)).build == recorded.builds[0]
        again = await second.record(a_recording((a_push("a", "b"),), "one"))
        assert again.decision is Decision.REPEATED
        assert (await World(second).claim()).is_taken_over


async def test_many_pushes_at_once_are_all_recorded_and_ordered(world: World) -> None:
    pushes = [a_push("a", "b", f"refs/heads/{number}") for number in range(200)]
    recorded = await asyncio.gather(*(world.record(push) for push in pushes))
    assert {one.decision for one in recorded} == {Decision.PLANNED}
    assert sorted(one.builds[0].seq for one in recorded) == list(range(1, 201))


async def test_one_delivery_sent_many_times_at_once_is_one(world: World) -> None:
    recorded = await asyncio.gather(*(world.record(a_push("a", "b"), guid="one") for _ in range(20)))
    assert sorted(one.decision for one in recorded) == [Decision.PLANNED] + [Decision.REPEATED] * 19
    assert len(await world.builds()) == 1


async def test_a_push_is_recorded_while_others_fail(world: World) -> None:
    goal = Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada")
    failing = [asyncio.ensure_future(world.store.cancel(BuildId("unknown"), goal, START)) for _ in range(10)]
    recorded = await world.push("a", "b")
    assert recorded.decision is Decision.PLANNED
    failures = await asyncio.gather(*failing, return_exceptions=True)
    assert {type(failure) for failure in failures} == {NoSuchBuild}


async def test_a_database_that_somebody_holds_records_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with SqlStore(f"sqlite:///{file}?timeout=0") as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="did not take a write: database is locked"):
            await store.record(a_recording((a_push("a", "b"),), "one"))
        with pytest.raises(StoreUnavailable):
            await store.ping()
        assert await store.list_builds(BuildFilter()) == ()
        other.close()
        again = await store.record(a_recording((a_push("a", "b"),), "one"))
        assert again.decision is Decision.PLANNED


async def test_a_full_disk_records_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as store:
        await store.ping()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "store.db-wal").stat().st_size, limits[1]))
        try:
            refused = await asyncio.gather(
                *(store.record(a_recording((a_push("a", "b", f"refs/heads/{one}"),), one)) for one in "xyz"),
                store.ping(),
                return_exceptions=True,
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [type(one) for one in refused] == [StoreUnavailable] * 4
        assert await store.list_builds(BuildFilter()) == ()
        again = await store.record(a_recording((a_push("a", "b", "refs/heads/x"),), "x"))
        assert again.decision is Decision.PLANNED


async def test_a_broken_database_cannot_be_read_in_words(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as store:
        other = sqlite3.connect(tmp_path / "store.db")
        other.execute("DROP TABLE builds")
        other.commit()
        other.close()
        with pytest.raises(StoreUnavailable, match="cannot be read: no such table: builds"):
            await store.list_builds(BuildFilter())


async def test_a_closed_store_says_so(store_url: str) -> None:
    store = SqlStore(store_url)
    store.close()
    with pytest.raises(StoreUnavailable, match="has been closed"):
        await store.ping()
    with pytest.raises(StoreUnavailable, match="has been closed"):
        await store.list_builds(BuildFilter())


async def test_two_processes_share_a_database(store_url: str) -> None:
    pushes = 25
    processes = [await _another(store_url, name, pushes) for name in ("one", "two")]
    with SqlStore(store_url) as store:
        world = World(store)
        mine = await asyncio.gather(*(world.push("a", "b", ref=f"refs/heads/mine-{n}") for n in range(pushes)))
        told = [(await process.communicate())[0].decode().split() for process in processes]
        assert told == [["planned"] * pushes] * 2
        assert {recorded.decision for recorded in mine} == {Decision.PLANNED}
        builds = await world.builds()
        assert [build.seq for build in builds] == list(range(pushes * 3, 0, -1))
        assert len((await world.claim()).builds) == pushes * 3


async def test_what_one_process_cancels_the_other_sees_while_it_holds_the_repository(store_url: str) -> None:
    with SqlStore(store_url) as serve, SqlStore(store_url) as command:
        world = World(serve)
        build = await world.build("a", "b")
        claim = await world.claim("serve")
        await command.cancel(build.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), START)
        assert await command.claim_repositories("command", START, START - START, 1) == ()
        await serve.release(claim, None)
        assert (await world.claim("serve")).builds[0].goal.detail == "ada"


async def _another(url: str, name: str, pushes: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.store.second_process",
        url,
        name,
        str(pushes),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
