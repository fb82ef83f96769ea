"""What waits for a registry or a forge is looked at again at once, because the way there has changed.

A refused token puts builds and statuses off for a minute, a forge's limit for as long as it says. That was said to the
old credential at the old address; a new one has to be tried now. So does the end of what is no longer configured.

Whoever works on a row meanwhile does so by the old configuration, and must not put the row off when it is done: `wakes`
and `version` are what it compares before it does.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, exists, or_, update

from buildbot.store.tables import builds, claims, commit_statuses

_UNFINISHED = exists().where(
    builds.c.registry == claims.c.registry,
    builds.c.repository == claims.c.repository,
    builds.c.finished_at.is_(None),
)


def hurry(connection: Connection, registries: Collection[str], forges: Collection[str], now: datetime) -> None:
    """Make everything due that has to do with one of them, in no repository that rests."""
    is_concerned = or_(claims.c.registry.in_(list(registries)), _UNFINISHED.where(builds.c.forge.in_(list(forges))))
    is_at_work = or_(claims.c.due.is_not(None), _UNFINISHED)
    awake = update(claims).where(is_concerned, is_at_work)
    connection.execute(awake.values(due=now, wakes=claims.c.wakes + 1))
    table = commit_statuses
    waiting = update(table).where(table.c.forge.in_(list(forges)), table.c.due.is_not(None), table.c.stopped.is_(None))
    connection.execute(waiting.values(due=now, version=table.c.version + 1))
