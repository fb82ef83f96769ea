"""Who is there: the instances that share a database, each seen every few seconds.

One that stops says so; one that dies is forgotten when nobody has seen it for a while.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from buildbot.store.statements import Upsert
from buildbot.store.tables import instances

_SEEN = Upsert(instances, ("id",), ("seen_at",))


def attend(connection: Connection, instance: str, now: datetime, patience: timedelta) -> int:
    """Say that an instance is there, and forget those that were not seen for so long; how many there are now."""
    _SEEN(connection, {"id": instance, "seen_at": now})
    connection.execute(delete(instances).where(instances.c.seen_at < now - patience))
    return connection.execute(select(func.count()).select_from(instances)).scalar_one()


def leave(connection: Connection, instance: str) -> None:
    """Say that an instance is about to be gone."""
    connection.execute(delete(instances).where(instances.c.id == instance))
