"""Rounds: whose turn it is, what each one watches, and what is known already of what it might find.

A turn is leased like a repository is: one conditional update takes it, a token that rises with every turn is shown by
every save, so an instance that slept through its lease writes nothing. What is watched has a row of its own, since a
round over thousands of repositories must not rewrite them all to remember one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from buildbot.ports import ClaimLost, RoundProgress, RoundReport, Turn, Watched
from buildbot.store.statements import Upsert
from buildbot.store.tables import deliveries, moves, rounds, watched

ASKED_AT_ONCE = 500
"""Delivery ids in one question: SQLite takes so many values and more."""

MOST_TOLD = 20
NEWS_FOR = timedelta(days=1)
"""What nobody has looked at for so long is watched no more, and its trouble is no news."""

_MAKE = Upsert(rounds, ("name",))
_WATCH = Upsert(watched, ("round_name", "subject"), ("looked_at", "due", "note", "trouble", "state"))


def begin(
    connection: Connection, name: str, owner: str, now: datetime, lease: timedelta, *, at_once: bool
) -> Turn | None:
    """Take a round's turn if it is due, or `at_once`, and nobody has it. In vain it writes nothing."""
    is_free = or_(rounds.c.leased_until.is_(None), rounds.c.leased_until <= now)
    is_due = or_(rounds.c.due.is_(None), rounds.c.due <= now)
    taken = (
        update(rounds)
        .where(rounds.c.name == name, is_free, *(() if at_once else (is_due,)))
        .values(owner=owner, leased_until=now + lease, token=rounds.c.token + 1, started_at=now)
        .returning(rounds.c.token)
    )
    token = connection.execute(taken).scalar()
    if token is None and connection.execute(select(rounds.c.token).where(rounds.c.name == name)).first() is None:
        _MAKE(connection, {"name": name, "token": 0, "looked": 0, "found": 0, "found_what": ""})
        token = connection.execute(taken).scalar()
    return None if token is None else Turn(name, token)


def renew(connection: Connection, turn: Turn, until: datetime) -> None:
    """Lengthen the lease of a turn. Raises ClaimLost."""
    held = update(rounds).where(*_is_held(turn)).values(leased_until=until)
    if not connection.execute(held).rowcount:
        raise _lost(turn)


def finish(connection: Connection, turn: Turn, progress: RoundProgress, now: datetime) -> None:
    """Give a turn back with what came of it. Raises ClaimLost."""
    known: dict[str, Any] = {"leased_until": None, "due": progress.due, "finished_at": now, "looked": progress.looked}
    if progress.found:
        known |= {"found": rounds.c.found + len(progress.found), "found_at": now, "found_what": progress.found[-1]}
    if not connection.execute(update(rounds).where(*_is_held(turn)).values(known)).rowcount:
        raise _lost(turn)


def save(connection: Connection, turn: Turn, seen: Watched, state: str) -> None:
    """Remember what was seen of a subject. Raises ClaimLost."""
    held = select(rounds.c.token).where(*_is_held(turn)).with_for_update()
    if connection.execute(held).first() is None:
        raise _lost(turn)
    row = {
        "round_name": turn.name,
        "subject": seen.subject,
        "looked_at": seen.looked_at,
        "due": seen.due,
        "note": seen.note,
        "trouble": seen.trouble,
        "state": state,
    }
    _WATCH(connection, row)


def all_watched(connection: Connection, name: str) -> tuple[Watched, ...]:
    """Every subject that a round has looked at, without what it remembers of them."""
    columns = watched.c.subject, watched.c.looked_at, watched.c.due, watched.c.note, watched.c.trouble
    return tuple(Watched(*row) for row in connection.execute(select(*columns).where(watched.c.round_name == name)))


def state_of(connection: Connection, name: str, subject: str) -> str | None:
    """What a round remembers of a subject; None for one that it has never looked at."""
    found = select(watched.c.state).where(watched.c.round_name == name, watched.c.subject == subject)
    return connection.execute(found).scalar()


def reports(connection: Connection) -> tuple[RoundReport, ...]:
    """How every round stands, by name."""
    return tuple(_report(connection, row) for row in connection.execute(select(rounds).order_by(rounds.c.name)).all())


def recorded_deliveries(connection: Connection, forge: str, guids: Sequence[str]) -> frozenset[str]:
    """Those of the delivery ids that have been recorded."""
    found: set[str] = set()
    for start in range(0, len(guids), ASKED_AT_ONCE):
        some = guids[start : start + ASKED_AT_ONCE]
        rows = select(deliveries.c.guid).where(deliveries.c.forge == forge, deliveries.c.guid.in_(some))
        found.update(connection.execute(rows).scalars())
    return frozenset(found)


def recorded_heads(connection: Connection, forge: str, repository_id: str) -> Mapping[str, str | None]:
    """What each ref of a repository points to by what was recorded; None for one that was deleted."""
    rows = select(moves.c.ref, moves.c.after_sha).where(
        moves.c.forge == forge, moves.c.repository_id == repository_id, moves.c.replaced_at.is_(None)
    )
    return {row.ref: row.after_sha for row in connection.execute(rows.order_by(moves.c.position))}


def forget(connection: Connection, before: datetime) -> None:
    """Forget subjects that no round has looked at since."""
    connection.execute(delete(watched).where(watched.c.looked_at < before))


def _report(connection: Connection, row: Any) -> RoundReport:
    told = select(watched.c.subject, watched.c.note, watched.c.trouble).where(
        watched.c.round_name == row.name, or_(watched.c.note != "", watched.c.trouble != "")
    )
    if row.started_at is not None:
        told = told.where(watched.c.due > row.started_at - NEWS_FOR)
    said = connection.execute(told.order_by(watched.c.subject)).all()
    return RoundReport(
        name=row.name,
        started_at=row.started_at,
        finished_at=row.finished_at,
        looked=row.looked,
        found=row.found,
        found_at=row.found_at,
        found_what=row.found_what,
        notes=_each_once(one.note for one in said),
        troubles=_each_once(one.trouble for one in said),
    )


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, texts)))[:MOST_TOLD]


def _is_held(turn: Turn) -> tuple[Any, ...]:
    return rounds.c.name == turn.name, rounds.c.token == turn.token


def _lost(turn: Turn) -> ClaimLost:
    return ClaimLost(f"another instance goes the {turn.name} round by now")
