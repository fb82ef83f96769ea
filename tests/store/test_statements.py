"""The statements that transactions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, select

from buildbot.store.database import open_database
from buildbot.store.statements import PINGS, Upsert, give_sequence, last_sequence, ping, wake
from buildbot.store.tables import claims, counters
from tests.store.world import START

REPLACE = Upsert(counters, ("name",), ("value",))
ONLY_HIGHER = Upsert(counters, ("name",), ("value",), only_if=lambda new: counters.c.value < new.value)
COUNT = Upsert(counters, ("name",), added=("value",))
KEEP = Upsert(counters, ("name",))


@pytest.fixture
def connection(store_url: str) -> Iterator[Connection]:
    """A transaction on an empty database."""
    writing, reading = open_database(store_url)
    with writing.begin() as opened:
        yield opened
    writing.dispose()
    reading.dispose()


def value(connection: Connection, name: str) -> int | None:
    return connection.scalar(select(counters.c.value).where(counters.c.name == name))


@pytest.mark.parametrize(
    ("upsert", "then", "is_written", "stands"),
    [
        (REPLACE, 3, True, 3),
        (ONLY_HIGHER, 6, True, 6),
        (ONLY_HIGHER, 5, False, 5),
        (COUNT, 9, True, 14),
        (KEEP, 9, False, 5),
    ],
)
def test_a_row_is_inserted_and_then_updated_as_far_as_it_may(
    *, connection: Connection, upsert: Upsert, then: int, is_written: bool, stands: int
) -> None:
    assert upsert(connection, {"name": "x", "value": 5})
    assert upsert(connection, {"name": "x", "value": then}) is is_written
    assert (value(connection, "x"), value(connection, "y")) == (stands, None)


def test_places_in_the_order_are_given_once(connection: Connection) -> None:
    given = []
    for number in (1, 2, 3):
        given.append(last_sequence(connection))
        give_sequence(connection, number)
    assert given == [0, 1, 3]


def test_every_wake_is_counted(connection: Connection) -> None:
    for _ in range(3):
        wake(connection, "quay", "acme/api", START)
    (row,) = connection.execute(select(claims)).all()
    assert (row.repository, row.due, row.wakes, row.token) == ("acme/api", START, 3, 0)


def test_every_ping_changes_what_is_stored(connection: Connection) -> None:
    before = value(connection, PINGS) or 0
    ping(connection)
    assert value(connection, PINGS) == before + 1
