"""When anything is due at all: a question that only tests ask. The loops just claim what is due now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from buildbot.ports import Store
from buildbot.store.sql_store import SqlStore
from buildbot.store.tables import claims, commit_statuses


async def next_due(store: Store, now: datetime) -> datetime | None:
    """When the next repository or status that nobody holds is due; None: nothing is."""
    assert isinstance(store, SqlStore)
    return await store._read(_next_due, now)


def _next_due(connection: Connection, now: datetime) -> datetime | None:
    status = _earliest(commit_statuses, now).where(commit_statuses.c.stopped.is_(None))
    times = [connection.scalar(one) for one in (_earliest(claims, now), status)]
    return min((time for time in times if time is not None), default=None)


def _earliest(table: Any, now: datetime) -> Select[Any]:
    free = or_(table.c.leased_until.is_(None), table.c.leased_until <= now)
    return select(table.c.due).where(table.c.due.is_not(None), free).order_by(table.c.due).limit(1)
