"""Forgetting: final builds and all that hangs on them, once they are old. A ref's head and its last plans stay for
ever."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, delete, func, or_, select

from buildbot.store.tables import builds, commit_statuses, deliveries, moves, steps, strays

MOST_AT_ONCE = 500
"""Builds forgotten in one transaction, so that nobody waits long for it."""


def prune(connection: Connection, before: datetime) -> int:
    """Forget builds that ended before this and old deliveries, moves and strays; how many builds went."""
    old = select(builds.c.id).where(builds.c.finished_at < before).order_by(builds.c.finished_at).limit(MOST_AT_ONCE)
    ids = list(connection.execute(old).scalars())
    connection.execute(delete(steps).where(steps.c.build.in_(ids)))
    told = or_(commit_statuses.c.due.is_(None), commit_statuses.c.stopped.is_not(None))
    connection.execute(delete(commit_statuses).where(commit_statuses.c.owner.in_(ids), told))
    connection.execute(delete(builds).where(builds.c.id.in_(ids)))
    connection.execute(delete(strays).where(strays.c.finished_at < before))
    connection.execute(delete(deliveries).where(deliveries.c.received_at < before))
    _prune_moves(connection, before)
    return len(ids)


def _prune_moves(connection: Connection, before: datetime) -> None:
    newer = moves.alias("newer")
    has_successor = (
        select(func.count())
        .select_from(newer)
        .where(
            and_(
                newer.c.forge == moves.c.forge,
                newer.c.repository_id == moves.c.repository_id,
                newer.c.ref == moves.c.ref,
                newer.c.position > moves.c.position,
            )
        )
        .scalar_subquery()
    )
    connection.execute(delete(moves).where(moves.c.recorded_at < before, has_successor > 0))
