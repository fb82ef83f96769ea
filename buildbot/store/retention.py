"""Forgetting: final builds and all that hangs on them, once they are old. A ref's head and its last plans stay for
ever."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, select

from buildbot.store import rounds
from buildbot.store.tables import builds, commit_statuses, deliveries, moves, steps, strays

MOST_AT_ONCE = 500
"""Builds forgotten in one transaction, so that nobody waits long for it."""

MOST_OTHERS_AT_ONCE = 5000
LONGEST_UNWATCHED = timedelta(days=30)
"""How much longer than a build it is remembered what a round saw of a repository that no rule names any more."""


def prune(connection: Connection, before: datetime) -> int:
    """Forget builds that ended before this, and deliveries, replaced moves and strays as old; how many builds went.

    A build whose status has not been delivered yet stays until it has: its page is where the status leads.
    """
    old = select(builds.c.id).where(builds.c.finished_at < before, ~_has_undelivered_status()).limit(MOST_AT_ONCE)
    ids = list(connection.execute(old).scalars())
    connection.execute(delete(steps).where(steps.c.build.in_(ids)))
    connection.execute(delete(commit_statuses).where(commit_statuses.c.owner.in_(ids)))
    connection.execute(delete(builds).where(builds.c.id.in_(ids)))
    _forget(connection, deliveries, deliveries.c.received_at < before)
    _forget(connection, moves, moves.c.replaced_at < before)
    connection.execute(delete(strays).where(strays.c.finished_at < before))
    rounds.forget(connection, before - LONGEST_UNWATCHED)
    return len(ids)


def _has_undelivered_status() -> ColumnElement[bool]:
    status = commit_statuses.c
    return exists().where(status.owner == builds.c.id, status.due.is_not(None), status.stopped.is_(None))


def _forget(connection: Connection, table: Table, is_old: ColumnElement[bool]) -> None:
    old = select(table.c.id).where(is_old).limit(MOST_OTHERS_AT_ONCE)
    connection.execute(delete(table).where(table.c.id.in_(old.scalar_subquery())))
