"""Many rows in one statement come out as they went in, on either database and in any number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, and_, select

from buildbot.store.bulk import MOST_AT_ONCE, OfKeys, Rows, keys
from buildbot.store.database import open_database
from buildbot.store.tables import claims, counters, instances
from tests.store.world import START

INSTANCES = Rows(instances)
COUNTERS = Rows(counters)
_wanted = keys("registry", "repository")
CLAIMS = OfKeys(
    _wanted,
    select(claims.c.repository, claims.c.due, claims.c.token)
    .select_from(
        _wanted.join(
            claims,
            and_(claims.c.registry == _wanted.c.registry, claims.c.repository == _wanted.c.repository),
        )
    )
    .order_by(claims.c.token),
)


@pytest.fixture
def connection(store_url: str) -> Iterator[Connection]:
    """A transaction on an empty database."""
    writing, reading = open_database(store_url)
    with writing.begin() as opened:
        yield opened
    writing.dispose()
    reading.dispose()


@pytest.mark.parametrize("number", [0, 1, 2, 3, 7, 31, MOST_AT_ONCE, MOST_AT_ONCE + 1, 3 * MOST_AT_ONCE - 1])
def test_any_number_of_rows_is_written(connection: Connection, number: int) -> None:
    COUNTERS(connection, [{"name": f"n{at:03}", "value": at} for at in range(number)])
    there = select(counters).where(counters.c.name.startswith("n")).order_by(counters.c.name)
    assert [tuple(row) for row in connection.execute(there)] == [(f"n{at:03}", at) for at in range(number)]


@pytest.mark.parametrize(
    "time",
    [
        START,
        START.replace(microsecond=123456),
        datetime(2026, 3, 1, 14, 30, 15, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_times_are_written_as_a_single_insert_writes_them(connection: Connection, time: datetime) -> None:
    INSTANCES(connection, [{"id": "in bulk", "seen_at": time}])
    connection.execute(instances.insert(), {"id": "alone", "seen_at": time})
    alike = select(instances.c.id, instances.c.seen_at).where(instances.c.seen_at == time).order_by(instances.c.id)
    assert [tuple(row) for row in connection.execute(alike)] == [
        ("alone", time.astimezone(UTC)),
        ("in bulk", time.astimezone(UTC)),
    ]


def test_a_time_without_a_zone_is_refused_in_bulk_too(connection: Connection) -> None:
    with pytest.raises(Exception, match="a time without a zone is nobody's time"):
        INSTANCES(connection, [{"id": "x", "seen_at": START.replace(tzinfo=None)}])


def test_values_are_values_whatever_they_look_like(connection: Connection) -> None:
    odd = ["'; DROP TABLE counters; --", "100% ?, ?) VALUES (%s", ":k0", "naïve 🦀"]
    COUNTERS(connection, [{"name": name, "value": at} for at, name in enumerate(odd)])
    there = select(counters.c.name).where(counters.c.name.in_(odd)).order_by(counters.c.value)
    assert list(connection.execute(there).scalars()) == odd


@pytest.mark.parametrize("number", [0, 1, 5, MOST_AT_ONCE + 3])
def test_what_belongs_to_keys_is_read_with_its_times(connection: Connection, number: int) -> None:
    for at in range(number + 2):
        row = {"registry": "quay", "repository": f"acme/{at}", "due": START if at else None, "token": at}
        connection.execute(claims.insert(), row)
    asked = [("quay", f"acme/{at}") for at in range(number)] + [("quay", "acme/none"), ("other", "acme/0")]
    found = sorted((row.token, row.repository, row.due) for row in CLAIMS(connection, asked))
    assert found == [(at, f"acme/{at}", START if at else None) for at in range(number)]


def test_a_statement_with_values_of_its_own_is_refused(connection: Connection) -> None:
    mistaken = Rows(counters, lambda _: counters.insert().values(value=counters.c.value + 1))
    with pytest.raises(ValueError, match="not a statement of"):
        mistaken(connection, [{"name": "x", "value": 1}])
