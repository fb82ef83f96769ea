"""The few statements that several transactions share, in the words of whichever database it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, update
from sqlalchemy.dialects import postgresql, sqlite

from buildbot.store.tables import claims, counters

ORDER = "builds"


def insert_or_update(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    value: Mapping[str, Any],
    *,
    only_if: ColumnElement[bool] | None = None,
    raising: Mapping[str, Any] | None = None,
) -> bool:
    """Insert a row, or update the one with this key (where `only_if` holds). Whether a row was written.

    `raising` are values for an update alone, such as a counter one higher.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values({**key, **value})
    changed = {**value, **(raising or {})}
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=changed, where=only_if)
    return connection.execute(statement).rowcount > 0


def next_sequence(connection: Connection) -> int:
    """The next place in the order of builds. The row's lock keeps the order of places that of commits."""
    raised = update(counters).where(counters.c.name == ORDER).values(value=counters.c.value + 1)
    return int(connection.execute(raised.returning(counters.c.value)).scalar_one())


def wake(connection: Connection, registry: str, repository: str, now: datetime) -> None:
    """Make a repository due now, whoever holds it."""
    key = {"registry": registry, "repository": repository}
    woken = update(claims).where(claims.c.registry == registry, claims.c.repository == repository)
    if connection.execute(woken.values(due=now, wakes=claims.c.wakes + 1)).rowcount == 0:
        insert_or_update(connection, claims, key, {"due": now, "wakes": 1, "token": 0})
