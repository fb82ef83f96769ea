"""Many writes in one transaction: nobody pays for another's failure, nobody is answered before the commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from buildbot.store.database import open_database
from buildbot.store.group_commit import MOST_WRITES, CommitLost, GroupCommit, WriterClosed
from tests.store.wire import wire_to

pytestmark = pytest.mark.anyio

ON_POSTGRES = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    """The writing side of a database that has a table of numbers."""
    writing, reading = open_database(store_url)
    with writing.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
    yield writing
    writing.dispose()
    reading.dispose()


@pytest.fixture
def writer(engine: Engine) -> Iterator[GroupCommit]:
    """A writer on it."""
    opened = GroupCommit(engine)
    yield opened
    opened.close()


def insert(number: int) -> Callable[[Connection], int]:
    """A write that takes down a number and returns it."""

    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
        return number

    return work


def numbers(engine: Engine) -> list[int]:
    """What another connection sees."""
    other = create_engine(engine.url)
    try:
        with other.connect() as connection:
            return list(connection.execute(text("SELECT number FROM numbers ORDER BY number")).scalars())
    finally:
        other.dispose()


class Gate:
    """A write that keeps the writer busy until it is let through, so that what comes meanwhile is one batch."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()

    def __call__(self, _: Connection) -> None:
        self._loop.call_soon_threadsafe(self.has_begun.set)
        self._open.wait()

    def open(self) -> None:
        """Let it through."""
        self._open.set()


async def together(writer: GroupCommit, *works: Callable[[Connection], object]) -> list[object]:
    """The writes in one transaction: what each came to."""
    gate = Gate()
    first = asyncio.create_task(writer.write(gate))
    await gate.has_begun.wait()
    tasks = [asyncio.create_task(writer.write(work)) for work in works]
    await asyncio.sleep(0)
    gate.open()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_write_is_committed_when_it_returns(writer: GroupCommit, engine: Engine) -> None:
    assert await writer.write(insert(1)) == 1
    assert numbers(engine) == [1]


async def test_writes_that_wait_share_one_transaction(writer: GroupCommit, engine: Engine) -> None:
    seen: list[object] = []

    def note(connection: Connection) -> None:
        seen.append(connection)

    assert await together(writer, note, insert(1), note, insert(2), note) == [None, 1, None, 2, None]
    assert len({id(connection) for connection in seen}) == 1
    assert numbers(engine) == [1, 2]


async def test_a_batch_has_a_limit_and_the_rest_is_not_forgotten(writer: GroupCommit, engine: Engine) -> None:
    many = MOST_WRITES * 2 + 3
    assert await together(writer, *(insert(number) for number in range(many))) == list(range(many))
    assert numbers(engine) == list(range(many))


async def test_a_write_that_fails_takes_nobody_down(writer: GroupCommit, engine: Engine) -> None:
    def fails(connection: Connection) -> None:
        insert(2)(connection)
        raise LookupError("not here")

    one, failed, duplicate, three = await together(writer, insert(1), fails, insert(1), insert(3))
    assert (one, three) == (1, 3)
    assert isinstance(failed, LookupError)
    assert isinstance(duplicate, SQLAlchemyError)
    assert numbers(engine) == [1, 3]


async def test_nobody_is_answered_when_the_commit_fails(writer: GroupCommit, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE lonely (id INTEGER REFERENCES numbers (number) DEFERRABLE INITIALLY DEFERRED)")
        )

    def dangles(connection: Connection) -> None:
        connection.execute(text("INSERT INTO lonely VALUES (99)"))

    answers = await together(writer, insert(1), dangles, insert(2))
    assert all(isinstance(answer, SQLAlchemyError) for answer in answers)
    assert numbers(engine) == []
    assert await writer.write(insert(3)) == 3


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_database_that_drops_the_whole_transaction_keeps_nothing_of_the_batch(
    writer: GroupCommit, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON numbers WHEN NEW.number = 2 "
                "BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
            )
        )
    answers = await together(writer, insert(1), insert(2), insert(3))
    assert all(isinstance(answer, SQLAlchemyError) for answer in answers)
    assert numbers(engine) == []
    assert await writer.write(insert(4)) == 4


def cut(connection: Connection) -> None:
    """The server ends this connection, as when it is restarted."""
    connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@ON_POSTGRES
async def test_a_batch_whose_connection_is_cut_before_its_commit_is_run_once_more(
    writer: GroupCommit, engine: Engine
) -> None:
    runs: list[int] = []

    def cut_once(connection: Connection) -> int:
        runs.append(1)
        if len(runs) == 1:
            cut(connection)
        return len(runs)

    assert await together(writer, insert(1), cut_once, insert(2)) == [1, 2, 2]
    assert numbers(engine) == [1, 2]


@ON_POSTGRES
async def test_a_batch_whose_connection_is_cut_again_and_again_is_given_up_whole(
    writer: GroupCommit, engine: Engine
) -> None:
    answers = await together(writer, insert(1), cut, insert(2))
    assert all(isinstance(answer, SQLAlchemyError) for answer in answers)
    assert numbers(engine) == []
    assert await writer.write(insert(3)) == 3


async def test_a_commit_whose_answer_is_lost_is_not_run_again(postgres_url: str) -> None:
    with wire_to(postgres_url) as wire:
        writing, reading = open_database(wire.url)
        with writing.begin() as connection:
            connection.execute(text("CREATE TABLE numbers (number INTEGER PRIMARY KEY)"))
        writer = GroupCommit(writing)
        wire.lose_answer_to_commit()
        answers = await asyncio.gather(writer.write(insert(1)), writer.write(insert(2)), return_exceptions=True)
        assert CommitLost in {type(answer) for answer in answers}
        assert await writer.write(insert(3)) == 3
        assert set(numbers(writing)) >= {1, 3}
        writer.close()
        writing.dispose()
        reading.dispose()


async def test_a_write_that_was_called_off_before_it_began_is_not_made(writer: GroupCommit, engine: Engine) -> None:
    gate = Gate()
    first = asyncio.create_task(writer.write(gate))
    await gate.has_begun.wait()
    called_off = asyncio.create_task(writer.write(insert(1)))
    await asyncio.sleep(0)
    called_off.cancel()
    await asyncio.gather(called_off, return_exceptions=True)
    gate.open()
    await first
    await writer.write(insert(2))
    assert numbers(engine) == [2]


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(writer: GroupCommit, engine: Engine) -> None:
    gate = Gate()
    tasks = [asyncio.create_task(writer.write(work)) for work in (gate, insert(1), insert(2))]
    await gate.has_begun.wait()
    closing = asyncio.create_task(asyncio.to_thread(writer.close))
    gate.open()
    assert (await asyncio.gather(*tasks))[1:] == [1, 2]
    await closing
    with pytest.raises(WriterClosed):
        await writer.write(insert(3))
    assert numbers(engine) == [1, 2]


async def test_closing_twice_is_closing_once(writer: GroupCommit) -> None:
    writer.close()
    writer.close()
    with pytest.raises(WriterClosed):
        await writer.write(lambda _: None)


def insert_all(connection: Connection, wanted: Sequence[int]) -> list[str]:
    """A write that takes down any number of numbers at once and tells how many came together."""
    for number in wanted:
        connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
    return [f"{number} of {len(wanted)}" for number in wanted]


async def test_work_of_one_kind_is_done_together_and_everybody_gets_his_own_result(
    writer: GroupCommit, engine: Engine
) -> None:
    gate = Gate()
    first = asyncio.ensure_future(writer.write(gate))
    await gate.has_begun.wait()
    asked = [asyncio.ensure_future(writer.write_together(insert_all, number)) for number in (1, 2, 3)]
    alone = asyncio.ensure_future(writer.write(insert(4)))
    await asyncio.sleep(0)
    gate.open()
    assert await asyncio.gather(first, *asked, alone) == [None, "1 of 3", "2 of 3", "3 of 3", 4]
    assert numbers(engine) == [1, 2, 3, 4]


async def test_one_that_fails_among_those_done_together_takes_nobody_down(writer: GroupCommit, engine: Engine) -> None:
    await writer.write(insert(2))
    gate = Gate()
    first = asyncio.ensure_future(writer.write(gate))
    await gate.has_begun.wait()
    asked = [asyncio.ensure_future(writer.write_together(insert_all, number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    gate.open()
    await first
    one, broken, three = await asyncio.gather(*asked, return_exceptions=True)
    assert (one, three, isinstance(broken, SQLAlchemyError)) == ("1 of 1", "3 of 1", True)
    assert numbers(engine) == [1, 2, 3]
