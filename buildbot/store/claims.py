"""Claims: one repository of a registry at a time for one instance, with a lease and a fencing token.

The token rises with every claim and every save asks for it, so an instance that slept through its lease writes nothing.
`wakes` rises with everything recorded for the repository: who gives it back with a later time than "now" does so only
if nothing has come in meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Row, bindparam, or_, select, tuple_, update

from buildbot.domain.build import Build, BuildId
from buildbot.domain.lifecycle import InLine
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.ports import BuildChange, Claim, ClaimLost, Stray
from buildbot.store import codec, lines
from buildbot.store.intake import admit
from buildbot.store.statements import Upsert
from buildbot.store.statuses import own_status, want
from buildbot.store.tables import builds, claims, steps, strays

_STRAY = Upsert(
    strays,
    ("registry", "repository", "quay_id"),
    ("build", "image_tags", "phase", "is_cancelled", "found_at", "finished_at"),
)


def _of_repository(table: Any) -> tuple[Any, ...]:
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in ("registry", "repository"))


# Run for every look at a repository, and built once for the reason that `statements` gives.
_MINE = (*_of_repository(claims), claims.c.token == bindparam("of_token"))
_SEE = update(builds).where(builds.c.id == bindparam("of_build"))
_TELL = steps.insert()
_CLAIM = update(claims).where(*_of_repository(claims))
_TOKEN = select(claims.c.token).where(*_of_repository(claims)).with_for_update()
_HELD = select(claims.c.token, claims.c.wakes).where(*_of_repository(claims))
_GIVE_BACK = update(claims).where(*_MINE)
_DUE_UNLESS_WOKEN = update(claims).where(*_MINE, claims.c.wakes == bindparam("of_wakes"))
_UNFINISHED = select(builds).where(*_of_repository(builds), builds.c.finished_at.is_(None)).order_by(builds.c.seq)
_STRAYS = select(strays).where(*_of_repository(strays), strays.c.finished_at.is_(None))


def claim(
    connection: Connection, owner: str, now: datetime, lease: timedelta, limit: int, room: Mapping[str, int]
) -> tuple[Claim, ...]:
    """Take repositories that are due and free, the longest due first, of each registry as many as there is room for."""
    due: list[Row[Any]] = []
    for registry, places in room.items():
        if places > 0:
            due += _due(connection, now, places, claims.c.registry == registry)
    due += _due(connection, now, limit, claims.c.registry.not_in(list(room)))
    return tuple(_take(connection, row, owner, now, lease) for row in due)


def _due(connection: Connection, now: datetime, limit: int, which: ColumnElement[bool]) -> Sequence[Row[Any]]:
    due = (
        select(claims)
        .where(claims.c.due <= now, or_(claims.c.leased_until.is_(None), claims.c.leased_until <= now), which)
        .order_by(claims.c.due)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(due).all()


def save(
    connection: Connection, held: Claim, changes: Sequence[BuildChange], now: datetime, caps: Caps = ANY_NUMBER
) -> Mapping[BuildId, InLine]:
    """Write down what was learned of builds, but not the intents for which there is no place: where those stand in
    line. Raises ClaimLost."""
    _prove(connection, held)
    refused = lines.admit(connection, held, changes, caps, now)
    kept = [change for change in changes if change.build.id not in refused]
    _write(connection, kept, now)
    return {**refused, **lines.settle(connection, held, kept, caps, now)}


def _write(connection: Connection, changes: Sequence[BuildChange], now: datetime) -> None:
    seen = [{"of_build": change.build.id, **codec.seen_columns(change.build)} for change in changes]
    told = [{"build": change.build.id, "at": now, "what": what} for change in changes for what in change.steps]
    _run(connection, _SEE, seen)
    _run(connection, _TELL, told)
    for change in changes:
        if change.is_admitted:
            admit(connection, change.build, now)
        if change.claims_status:
            own_status(connection, change.build, change.status, now)
    for is_news in (True, False):
        wishing = [change for change in changes if not change.claims_status and change.is_news is is_news]
        want(connection, {change.build.id: change.status for change in wishing}, now, is_news=is_news)


def save_strays(connection: Connection, held: Claim, found: Sequence[Stray]) -> None:
    """Write down what is known of strays. Raises ClaimLost."""
    _prove(connection, held)
    for stray in found:
        row = {
            "registry": held.registry,
            "repository": held.repository,
            "quay_id": stray.quay_id,
            "build": stray.build,
            "image_tags": codec.texts(stray.image_tags),
            "phase": stray.phase,
            "is_cancelled": int(stray.is_cancelled),
            "found_at": stray.found_at,
            "finished_at": stray.finished_at,
        }
        _STRAY(connection, row)


def release(connection: Connection, held: Claim, due: datetime | None, typical: timedelta | None) -> None:
    """Give the repository back. Silently nothing when another instance has it by now."""
    mine = {**_named(held.registry, held.repository), "of_token": held.token}
    known = {} if typical is None else {"typical_seconds": typical.total_seconds()}
    connection.execute(_GIVE_BACK, {**mine, "leased_until": None, **known})
    connection.execute(_DUE_UNLESS_WOKEN, {**mine, "of_wakes": held.wakes, "due": due})


def refresh(connection: Connection, held: Claim) -> Claim:
    """The claim with what is unfinished now. Raises ClaimLost."""
    row = connection.execute(_HELD, _named(held.registry, held.repository)).first()
    if row is None or row.token != held.token:
        raise _lost(held)
    # `wakes` is read before the builds: what comes in between is in them, and looked at once more, never missed.
    builds = _unfinished(connection, held.registry, held.repository)
    strays = _strays(connection, held.registry, held.repository)
    return replace(held, wakes=row.wakes, builds=builds, strays=strays, is_taken_over=False)


def renew(connection: Connection, held: Collection[Claim], now: datetime, lease: timedelta) -> None:
    """Lengthen the leases of those claims that have not run out."""
    mine = [(one.registry, one.repository, one.token) for one in held]
    is_mine = tuple_(claims.c.registry, claims.c.repository, claims.c.token).in_(mine)
    running = update(claims).where(is_mine, claims.c.leased_until > now)
    connection.execute(running.values(leased_until=now + lease))


def give_up(connection: Connection, owner: str) -> None:
    """Give back all that an instance holds."""
    connection.execute(update(claims).where(claims.c.owner == owner).values(leased_until=None))


def followed(connection: Connection, ids: Collection[BuildId]) -> Mapping[BuildId, frozenset[str]]:
    """For the known ids: the registry's builds that the row follows or has followed, and its strays that are over."""
    rows = connection.execute(select(builds).where(builds.c.id.in_(list(ids)))).all()
    over = select(strays.c.build, strays.c.quay_id).where(
        strays.c.build.in_(list(ids)), strays.c.finished_at.is_not(None)
    )
    known: dict[BuildId, set[str]] = {}
    for build in (codec.read_build(row) for row in rows):
        known[build.id] = {*build.seen.ended, *((build.seen.quay_id,) if build.seen.quay_id else ())}
    for row in connection.execute(over):
        known.get(BuildId(row.build), set()).add(row.quay_id)
    return {build_id: frozenset(quay_ids) for build_id, quay_ids in known.items()}


def _prove(connection: Connection, held: Claim) -> None:
    if connection.execute(_TOKEN, _named(held.registry, held.repository)).scalar() != held.token:
        raise _lost(held)


def _lost(held: Claim) -> ClaimLost:
    return ClaimLost(f"another instance follows {held.repository} by now")


def _take(connection: Connection, row: Row[Any], owner: str, now: datetime, lease: timedelta) -> Claim:
    mine = _named(row.registry, row.repository)
    # Due again from now on, not from long ago: else one that is woken all the time would be the first for ever.
    taken = {"owner": owner, "leased_until": now + lease, "token": row.token + 1, "due": now}
    connection.execute(_CLAIM, {**mine, **taken})
    return Claim(
        registry=row.registry,
        repository=row.repository,
        token=row.token + 1,
        wakes=row.wakes,
        builds=_unfinished(connection, row.registry, row.repository),
        strays=_strays(connection, row.registry, row.repository),
        is_taken_over=row.owner != owner,
        typical=None if row.typical_seconds is None else timedelta(seconds=row.typical_seconds),
    )


def _named(registry: str, repository: str) -> dict[str, str]:
    return {"of_registry": registry, "of_repository": repository}


def _run(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(statement, list(rows))


def _unfinished(connection: Connection, registry: str, repository: str) -> tuple[Build, ...]:
    return tuple(codec.read_build(row) for row in connection.execute(_UNFINISHED, _named(registry, repository)))


def _strays(connection: Connection, registry: str, repository: str) -> tuple[Stray, ...]:
    return tuple(
        Stray(
            quay_id=row.quay_id,
            build=BuildId(row.build),
            image_tags=codec.read_texts(row.image_tags),
            phase=row.phase,
            found_at=row.found_at,
            is_cancelled=bool(row.is_cancelled),
        )
        for row in connection.execute(_STRAYS, _named(registry, repository))
    )
