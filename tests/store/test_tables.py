"""Times keep their zone, and every statement that runs for each push, pass or post finds its rows by an index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from buildbot.domain.build import BuildId, BuildPhase
from buildbot.ports import BuildFilter, StatusProgress, Stray
from buildbot.store.sql_store import SqlStore
from tests.store.world import API, DOCS, LEASE, World, ended_as, sent

SMALL = {"claims", "strays", "counters", "watched"}
"""Tables with a row for each repository or fewer: reading them whole costs nothing."""


class Statements:
    """What a store asks of its database, each text once, with values that it was asked with."""

    def __init__(self, store: SqlStore) -> None:
        self.asked: dict[str, Any] = {}
        for engine in (store._writing, store._reading):
            event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _c: object, _cursor: object, text: str, values: Any, _x: object, is_many: bool) -> None:
        if text.startswith(("SELECT", "UPDATE", "DELETE")):
            self.asked.setdefault(text, values[0] if is_many else values)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "store.db"


@pytest.fixture
def opened(file: Path) -> Iterator[SqlStore]:
    """A store on SQLite."""
    with SqlStore(f"sqlite:///{file}") as store:
        yield store


@pytest.mark.anyio
async def test_no_statement_reads_a_large_table_whole(opened: SqlStore, file: Path) -> None:
    statements = Statements(opened)
    await _a_day(World(opened))
    connection = sqlite3.connect(file)
    plans = {
        text: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        for text, values in statements.asked.items()
    }
    connection.close()
    assert len(plans) > 30
    assert {text: plan for text, plan in plans.items() if any(_reads_all(line) for line in plan)} == {}


@pytest.mark.anyio
async def test_on_postgresql_no_statement_reads_a_large_table_whole(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        statements = Statements(store)
        await _a_day(World(store))
        with psycopg.connect(postgres_url) as connection:
            connection.execute("SET enable_seqscan = off")  # the tables are too small to be worth an index
            plans = {
                text: [row[0] for row in connection.execute(f"EXPLAIN {text}".encode(), values)]
                for text, values in statements.asked.items()
            }
    assert len(plans) > 30
    assert {text: plan for text, plan in plans.items() if any(_scans(line) for line in plan)} == {}


def _scans(line: str) -> bool:
    words = line.split()
    return "Seq Scan on" in line and words[words.index("on") + 1] not in SMALL


def _reads_all(line: str) -> bool:
    is_scan = line.startswith("SCAN") and "CONSTANT" not in line and "subquery" not in line
    return is_scan and line.split()[1] not in SMALL


async def _a_day(world: World) -> None:
    store, now = world.store, world.now
    build = await world.build("a", "b")
    await world.push("b", "c", rules=(API, DOCS))
    await world.push("a", "b")
    claim = (await store.claim_repositories("one", now, LEASE, 5))[0]
    await world.save(claim, ended_as(build, BuildPhase.FAILED, now))
    await world.save(claim, *claim.builds[1:], learned_commit=True)
    await store.save_strays(claim, [Stray("q", BuildId("b"), (), "waiting", now)])
    await store.renew([claim], now, LEASE)
    await store.release(claim, now)
    await store.give_up_claims("one")
    for status in await world.due_statuses():
        await store.save_status(status, StatusProgress(sent(status, now)))
    await store.counts()
    await store.followed([build.id])
    await store.story(build.id)
    await store.list_builds(BuildFilter(unfinished=True))
    await world.commissioned(build.request)
    await store.prune(now + timedelta(days=1))
    await world.push("c", None)
    await store.ping()


@pytest.mark.anyio
async def test_a_time_of_any_zone_is_kept_as_the_same_moment_in_utc(world: World) -> None:
    world.now = datetime(2026, 3, 1, 14, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    build = await world.build("a", "b")
    read = (await world.reread(build)).created_at
    assert (read, read.tzinfo) == (datetime(2026, 3, 1, 9, 0, 15, 123456, tzinfo=UTC), UTC)


@pytest.mark.anyio
async def test_a_time_without_a_zone_is_refused(world: World) -> None:
    world.now = datetime(2026, 3, 1, 14, 30)  # noqa: DTZ001  that is what is refused
    with pytest.raises(Exception, match="a time without a zone is nobody's time"):
        await world.build("a", "b")
