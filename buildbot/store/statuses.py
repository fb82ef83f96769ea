"""Commit statuses: who owns one, what it should say, what was sent.

One row per (forge, repository, commit, context). The build planned last for that key owns it, and only the owner's
wishes are written. `version` rises with every wish, so that the status loop, which sends outside any transaction,
never takes a newer wish for one it has sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, or_, select, update

from buildbot.domain.build import Build, BuildId
from buildbot.domain.status import CommitStatus, may_own_status
from buildbot.ports import DueStatus, StatusProgress, StatusReport
from buildbot.store import codec
from buildbot.store.statements import Upsert
from buildbot.store.tables import builds
from buildbot.store.tables import commit_statuses as table

_KEY = ("forge", "repository_id", "sha", "context_key")
_WISH = ("wanted", "is_final", "wanted_at")
_OWNERSHIP = ("context", "source", "owner", "owner_seq", "due", "failures", "failing_since", "stopped")
OWN = Upsert(
    table,
    _KEY,
    (*_WISH, *_OWNERSHIP),
    only_if=lambda new: table.c.owner_seq < new.owner_seq,
    added=("version",),
)
OWN_IF_FREE = Upsert(table, _KEY)
_WANT = update(table).where(table.c.owner == bindparam("of_owner")).values(version=table.c.version + 1)
_REWORD = _WANT.where(table.c.wanted != bindparam("of_wanted"))


FIRST_WORD = timedelta(seconds=2)
"""How long a new build's status waits for the first look at the build, which can say what it waits for."""


def own_status(connection: Connection, build: Build, status: CommitStatus, now: datetime) -> None:
    """Give a build the status of its commit and context, unless a build planned later has it."""
    if may_own_status(build):
        OWN(connection, ownership(build, status, now))


def ownership(build: Build, status: CommitStatus, now: datetime) -> dict[str, Any]:
    """The row by which a build that may own its status does: with `OWN` unless a build planned later has it, with
    `OWN_IF_FREE` unless anybody has."""
    return {
        "forge": build.source.forge,
        "repository_id": build.source.repository_id,
        "sha": build.commit,
        "context_key": build.request.status_context.lower(),
        **_wish(status, now),
        "context": build.request.status_context,
        "source": build.source.full_name,
        "owner": build.id,
        "owner_seq": build.seq,
        "due": now if status.state.is_final else now + FIRST_WORD,
        "failures": 0,
        "failing_since": None,
        "stopped": None,
        "version": 1,
        "token": 0,
    }


def want(connection: Connection, wishes: Mapping[BuildId, CommitStatus], now: datetime, *, is_news: bool) -> None:
    """Write the owners' new wishes; `is_news` makes them due. A build that owns no status wishes in vain; and what is
    wanted already, and is no news, is not written again, which would only make whoever posts it look once more."""
    rows = [{"of_owner": build, **_wish(status, now)} for build, status in wishes.items()]
    if rows and is_news:
        connection.execute(_WANT, [{**row, "due": now} for row in rows])
    elif rows:
        connection.execute(_REWORD, [{**row, "of_wanted": row["wanted"]} for row in rows])


def claim(
    connection: Connection, now: datetime, lease: timedelta, limit: int, in_hand: Collection[int] = ()
) -> tuple[DueStatus, ...]:
    """Take the statuses that are due and that nobody holds, finals first; none that the caller has `in_hand`."""
    due = (
        select(table, builds.c.ref)
        .join(builds, builds.c.id == table.c.owner)
        .where(table.c.due <= now, _is_free(now), table.c.stopped.is_(None), table.c.id.not_in(in_hand))
        .order_by(table.c.is_final.desc(), table.c.due)
        .limit(limit)
        .with_for_update(skip_locked=True, of=table)
    )
    rows = connection.execute(due).all()
    if rows:
        taken = update(table).where(table.c.id.in_([row.id for row in rows]))
        connection.execute(taken.values(leased_until=now + lease, token=table.c.token + 1))
    return tuple(_due(row) for row in rows)


def renew(connection: Connection, held: Collection[DueStatus], now: datetime, lease: timedelta) -> None:
    """Lengthen the leases of those that nobody has taken over and that have not been saved meanwhile."""
    mine = or_(*(and_(table.c.id == one.id, table.c.token == one.token) for one in held))
    connection.execute(update(table).where(mine, table.c.leased_until.is_not(None)).values(leased_until=now + lease))


def save(connection: Connection, status: DueStatus, progress: StatusProgress) -> None:
    """Write down what became of a status; a wish newer than the one it was leased with keeps it due.

    Where another process has taken it over meanwhile, a pending that was sent may have reached the forge after the end
    that the other one sent: then that pending counts as what stands there, and whoever holds the status says it again.
    """
    is_current = table.c.version == status.version
    result: dict[str, Any] = {
        "posted": codec.posted_text(progress.posted) if progress.posted else None,
        "failures": progress.failures,
        "failing_since": progress.failing_since,
        "stopped": case((table.c.owner == status.owner, progress.stopped), else_=None),
        "delayed": progress.delayed or None,
        "due": case((is_current, progress.due), else_=table.c.due),
        "leased_until": None,
    }
    held = update(table).where(table.c.id == status.id, table.c.token == status.token).values(result)
    if connection.execute(held).rowcount == 0 and _may_have_sent_pending(status, progress):
        overtaken = {"due": table.c.wanted_at, "leased_until": None, "token": table.c.token + 1}
        sent = progress.posted if progress.posted != status.posted else None
        stands = {"posted": codec.posted_text(sent) if sent else None}
        connection.execute(update(table).where(table.c.id == status.id).values(overtaken | stands))


def _may_have_sent_pending(status: DueStatus, progress: StatusProgress) -> bool:
    has_tried = progress.posted != status.posted or progress.failures != status.failures
    return has_tried and not status.wanted.state.is_final


def report(connection: Connection, build: BuildId) -> StatusReport | None:
    """The status that a build owns, for people."""
    row = connection.execute(select(table).where(table.c.owner == build)).first()
    if row is None:
        return None
    wanted, posted = codec.read_status(row.wanted), codec.read_posted(row.posted)
    return StatusReport(row.context, row.sha, wanted, posted, row.stopped, row.delayed or "")


def _is_free(now: datetime) -> Any:
    return or_(table.c.leased_until.is_(None), table.c.leased_until <= now)


def _wish(status: CommitStatus, now: datetime) -> dict[str, Any]:
    return {"wanted": codec.status_text(status), "is_final": int(status.state.is_final), "wanted_at": now}


def _due(row: Row[Any]) -> DueStatus:
    return DueStatus(
        id=row.id,
        token=row.token + 1,
        version=row.version,
        forge=row.forge,
        full_name=row.source,
        sha=row.sha,
        ref=row.ref,
        context=row.context,
        owner=BuildId(row.owner),
        wanted=codec.read_status(row.wanted),
        wanted_at=row.wanted_at,
        posted=codec.read_posted(row.posted),
        failures=row.failures,
        failing_since=row.failing_since,
    )
