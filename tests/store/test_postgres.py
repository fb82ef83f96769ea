"""PostgreSQL alone: one writer over all instances, nobody who holds the others up, and a server that comes and goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from buildbot.domain.decision import Decision
from buildbot.ports import BuildFilter, StoreUnavailable
from buildbot.store.database import BadDatabase, DatabaseAway
from buildbot.store.postgres import WRITER_LOCK, connect_arguments
from buildbot.store.sql_store import SqlStore
from tests.postgres import Postgres
from tests.store.wire import Wire, wire_to
from tests.store.world import LEASE, World, a_push, a_recording

pytestmark = pytest.mark.anyio

SETTINGS = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout", "tcp_user_timeout")


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    """The network to an empty database."""
    with wire_to(postgres_url) as relay:
        yield relay


def patient(url: str, **settings: object) -> str:
    """The URL with other settings for its sessions, so that a test need not wait as long as an operator would."""
    said = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return make_url(url).update_query_dict({"options": said}).render_as_string(hide_password=False)


# ── one writer ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_writes_has_the_one_lock_until_it_commits(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
        assert await store._commit.write(lambda connection: connection.execute(text(held)).scalar()) == 1
        assert await store._read(lambda connection: connection.execute(text(held)).scalar()) == 0


async def test_two_instances_write_one_after_the_other_and_lose_nothing(postgres_url: str) -> None:
    with SqlStore(postgres_url) as one, SqlStore(postgres_url) as two:
        worlds = (World(one), World(two))
        pushes = [
            worlds[number % 2].record(a_push("a", "b", f"refs/heads/{number}"), guid=f"d-{number}")
            for number in range(100)
        ]
        recorded = await asyncio.gather(*pushes)
        assert {answer.decision for answer in recorded} == {Decision.PLANNED}
        assert sorted(answer.builds[0].seq for answer in recorded) == list(range(1, 101))


async def test_a_push_and_its_repetition_at_two_instances_at_once_are_one(postgres_url: str) -> None:
    with SqlStore(postgres_url) as one, SqlStore(postgres_url) as two:
        both = [a_recording((a_push("a", "b"),), guid) for guid in ("first", "second")]
        recorded = await asyncio.gather(one.record(both[0]), two.record(both[1]), one.record(both[1]))
        assert sorted(answer.decision for answer in recorded) == ["planned", "repeated", "repeated"]
        assert len(await two.list_builds(BuildFilter())) == 1


async def test_a_repository_is_claimed_by_one_of_two_instances(postgres_url: str) -> None:
    with SqlStore(postgres_url) as one, SqlStore(postgres_url) as two:
        await World(one).build("a", "b")
        claims = await asyncio.gather(*(World(store).is_due(name) for store, name in ((one, "one"), (two, "two"))))
        assert sorted(claims) == [False, True]


async def test_who_holds_the_lock_too_long_costs_a_503_and_nothing_else(postgres_url: str) -> None:
    with SqlStore(patient(postgres_url, lock_timeout="100ms")) as store:
        with psycopg.connect(postgres_url) as other:
            other.execute(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})".encode())
            with pytest.raises(StoreUnavailable, match="did not take a write: canceling statement due to lock timeout"):
                await store.record(a_recording((a_push("a", "b"),), "one"))
            assert await store.list_builds(BuildFilter()) == ()
        again = await store.record(a_recording((a_push("a", "b"),), "one"))
        assert again.decision is Decision.PLANNED


# ── nobody holds the others up ───────────────────────────────────────────────────────────────────────────────────────


async def test_an_instance_that_freezes_in_the_midst_of_a_write_frees_the_others(wire: Wire, postgres_url: str) -> None:
    impatient = patient(wire.url, idle_in_transaction_session_timeout="200ms")
    with SqlStore(impatient) as frozen, SqlStore(postgres_url) as other:
        work = FreezeOnce(wire)
        writing = asyncio.ensure_future(frozen._commit.write(work))
        await asyncio.to_thread(work.has_frozen.wait)
        recorded = await other.record(a_recording((a_push("a", "b"),), "one"))
        assert recorded.decision is Decision.PLANNED
        wire.thaw()
        await writing
        assert len(await frozen.list_builds(BuildFilter())) == 1


class FreezeOnce:
    """A write in whose midst the machine stands still; when it is run again, it goes through."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.has_frozen = threading.Event()

    def __call__(self, _: Connection) -> None:
        if not self.has_frozen.is_set():
            self._wire.freeze()
            self.has_frozen.set()


def test_every_connection_limits_how_long_it_may_hold_others_up(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        for engine in (store._writing, store._reading):
            with engine.connect() as connection:
                assert {name: setting(connection, name) for name in SETTINGS} == {
                    "idle_in_transaction_session_timeout": "5s",
                    "lock_timeout": "8s",
                    "statement_timeout": "20s",
                    "tcp_user_timeout": "5000",
                }


def test_who_reads_has_one_view_and_cannot_write(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store, store._reading.connect() as connection:
        assert setting(connection, "transaction_isolation") == "repeatable read"
        assert setting(connection, "transaction_read_only") == "on"


def test_what_the_url_says_of_a_connection_counts_more() -> None:
    url = make_url("postgresql+psycopg://ada@db/bot?connect_timeout=30&options=-c%20lock_timeout%3D1s&sslmode=require")
    arguments = connect_arguments(url)
    assert arguments["connect_timeout"] == "30"
    assert arguments["options"].endswith("-c lock_timeout=1s")
    assert "sslmode" not in arguments


def setting(connection: Connection, name: str) -> str:
    """What holds in the session."""
    return str(connection.execute(text(f"SHOW {name}")).scalar())


# ── a server that comes and goes ─────────────────────────────────────────────────────────────────────────────────────


async def test_while_the_server_is_away_nothing_is_recorded_and_then_all_goes_on_by_itself(
    postgres: Postgres, postgres_url: str
) -> None:
    with SqlStore(postgres_url) as store:
        await store.record(a_recording((a_push("a", "b"),), "before"))
        postgres.stop()
        try:
            refused = await asyncio.gather(
                *(store.record(a_recording((a_push("b", "c"),), guid)) for guid in ("one", "two")),
                store.ping(),
                store.list_builds(BuildFilter()),
                return_exceptions=True,
            )
        finally:
            postgres.start()
        assert [type(one) for one in refused] == [StoreUnavailable] * 4
        assert "Connection refused" in str(refused[0])
        assert len(await store.list_builds(BuildFilter())) == 1
        assert (await store.record(a_recording((a_push("b", "c"),), "one"))).decision is Decision.PLANNED


async def test_a_server_that_was_restarted_between_two_writes_is_not_even_noticed(
    postgres: Postgres, postgres_url: str
) -> None:
    with SqlStore(postgres_url) as store:
        await store.record(a_recording((a_push("a", "b"),), "one"))
        assert len(await store.list_builds(BuildFilter())) == 1
        postgres.stop()
        postgres.start()
        assert (await store.record(a_recording((a_push("b", "c"),), "two"))).decision is Decision.PLANNED
        assert len(await store.list_builds(BuildFilter())) == 2


async def test_a_delivery_whose_commit_was_not_answered_is_refused_and_then_known(wire: Wire) -> None:
    with SqlStore(wire.url) as store:
        recording = a_recording((a_push("a", "b"),), "one")
        wire.lose_answer_to_commit()
        with pytest.raises(StoreUnavailable, match="lost while it recorded this, look before you ask again"):
            await store.record(recording)
        assert wire.lost_commits == 1
        assert (await store.record(recording)).decision is Decision.REPEATED
        assert len(await store.list_builds(BuildFilter())) == 1


async def test_a_claim_whose_commit_was_not_answered_ends_with_its_lease(wire: Wire) -> None:
    with SqlStore(wire.url) as store:
        world = World(store)
        await world.build("a", "b")
        wire.lose_answer_to_commit()
        with pytest.raises(StoreUnavailable):
            await world.claim("one")
        assert not await world.is_due("one")
        world.now += LEASE
        assert await world.is_due("one")


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(DatabaseAway) as bad:
        SqlStore("postgresql://ada:geheim@127.0.0.1:1/bot")
    assert "the database bot at 127.0.0.1 cannot be reached: connection failed" in str(bad.value)
    assert "geheim" not in str(bad.value)


def test_a_database_that_is_not_there_is_told(postgres: Postgres) -> None:
    with pytest.raises(BadDatabase, match='database "nowhere" does not exist'):
        SqlStore(postgres.url("nowhere"))


def test_the_tables_are_made_where_there_are_none(postgres: Postgres) -> None:
    with postgres.database("template0") as url:
        for _ in range(2):
            SqlStore(url).close()
        engine = create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM builds")).scalar() == 0
        engine.dispose()
