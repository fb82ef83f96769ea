"""Claims: one repository of a registry at a time for one instance, with a lease and a fencing token.

The token rises with every claim and every save asks for it, so an instance that slept through its lease writes nothing.
`wakes` rises with everything recorded for the repository: who gives it back with a later time than "now" does so only
if nothing has come in meanwhile.

A look that finds nothing new is the common one by far, and what it costs is statements, not rows: SQLAlchemy takes
longer over one than SQLite does. So all that are taken together are read together, and given back together as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Double, Executable, Row, bindparam, case, func, or_, select, update

from buildbot.domain.build import Build, BuildId
from buildbot.domain.lifecycle import InLine
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.ports import BuildChange, Claim, ClaimLost, Stray
from buildbot.store import codec, lines
from buildbot.store.intake import admit
from buildbot.store.statements import Upsert
from buildbot.store.statuses import own_status, want
from buildbot.store.tables import UtcTime, builds, claims, steps, strays

_STRAY = Upsert(
    strays,
    ("registry", "repository", "quay_id"),
    ("build", "image_tags", "phase", "is_cancelled", "found_at", "finished_at"),
)


def _of_repository(table: Any) -> tuple[Any, ...]:
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in ("registry", "repository"))


def _of_repositories(table: Any) -> tuple[Any, ...]:
    names: Any = bindparam("of_repositories", expanding=True)
    return table.c.registry == bindparam("of_registry"), table.c.repository.in_(names), table.c.finished_at.is_(None)


# Run for every look at a repository, and built once for the reason that `statements` gives.
_MINE = (*_of_repository(claims), claims.c.token == bindparam("of_token"))
_SEE = update(builds).where(builds.c.id == bindparam("of_build"))
_TELL = steps.insert()
_CLAIM = update(claims).where(*_of_repository(claims))
_TOKEN = select(claims.c.token).where(*_of_repository(claims)).with_for_update()
_HELD = select(claims.c.token, claims.c.wakes).where(*_of_repository(claims))
_RENEW = update(claims).where(*_MINE, claims.c.leased_until > bindparam("now", type_=UtcTime))
_IS_AS_TAKEN = claims.c.wakes == bindparam("of_wakes")
_GIVE_BACK = (
    update(claims)
    .where(*_MINE)
    .values(
        leased_until=None,
        due=case((_IS_AS_TAKEN, bindparam("of_due", type_=UtcTime)), else_=claims.c.due),
        typical_seconds=func.coalesce(bindparam("of_typical", type_=Double), claims.c.typical_seconds),
    )
)
_UNFINISHED = select(builds).where(*_of_repositories(builds)).order_by(builds.c.repository, builds.c.seq)
_STRAYS = select(strays).where(*_of_repositories(strays))
_registry_by_due = claims.c.registry.concat("")
"""The registry in a form that is in no index. SQLite would go through all repositories that a registry has ever had, a
thousand times as many as are due at the moment, and those have an index of their own."""
READ_AT_ONCE = 500
"""Repositories whose builds one statement reads: databases bound the values that a statement may have."""


def claim(
    connection: Connection, owner: str, now: datetime, lease: timedelta, limit: int, room: Mapping[str, int]
) -> tuple[Claim, ...]:
    """Take repositories that are due and free, the longest due first, of each registry as many as there is room for."""
    due: list[Row[Any]] = []
    for registry, places in room.items():
        if places > 0:
            due += _due(connection, now, places, _registry_by_due == registry)
    due += _due(connection, now, limit, claims.c.registry.not_in(list(room)))
    return _take(connection, due, owner, now, lease)


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


@dataclass(frozen=True, slots=True)
class Release:
    """A claim to be given back, due again at `due`; `typical` is what was learned of build times, if anything."""

    held: Claim
    due: datetime | None
    typical: timedelta | None = None


def release(connection: Connection, releases: Sequence[Release]) -> list[None]:
    """Give repositories back. Silently nothing for those that another instance has by now."""
    _run(connection, _GIVE_BACK, [_given_back(one) for one in releases])
    return [None] * len(releases)


def _given_back(one: Release) -> dict[str, Any]:
    typical = None if one.typical is None else one.typical.total_seconds()
    return {**_mine(one.held), "of_wakes": one.held.wakes, "of_due": one.due, "of_typical": typical}


def refresh(connection: Connection, held: Claim) -> Claim:
    """The claim with what is unfinished now. Raises ClaimLost."""
    row = connection.execute(_HELD, _named(held.registry, held.repository)).first()
    if row is None or row.token != held.token:
        raise _lost(held)
    # `wakes` is read before the builds: what comes in between is in them, and looked at once more, never missed.
    name = Named(held.registry, held.repository)
    its_builds, its_strays = _unfinished(connection, [name])
    return replace(held, wakes=row.wakes, builds=its_builds[name], strays=its_strays[name], is_taken_over=False)


def renew(connection: Connection, held: Collection[Claim], now: datetime, lease: timedelta) -> None:
    """Lengthen the leases of those claims that have not run out."""
    _run(connection, _RENEW, [{**_mine(one), "now": now, "leased_until": now + lease} for one in held])


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


def _take(
    connection: Connection, due: Sequence[Row[Any]], owner: str, now: datetime, lease: timedelta
) -> tuple[Claim, ...]:
    # Due again from now on, not from long ago: else one that is woken all the time would be the first for ever.
    taken = {"owner": owner, "leased_until": now + lease, "due": now}
    _run(connection, _CLAIM, [{**_named(row.registry, row.repository), **taken, "token": row.token + 1} for row in due])
    names = [Named(row.registry, row.repository) for row in due]
    its_builds, its_strays = _unfinished(connection, names)
    return tuple(
        Claim(
            registry=row.registry,
            repository=row.repository,
            token=row.token + 1,
            wakes=row.wakes,
            builds=its_builds[name],
            strays=its_strays[name],
            is_taken_over=row.owner != owner,
            typical=None if row.typical_seconds is None else timedelta(seconds=row.typical_seconds),
        )
        for name, row in zip(names, due, strict=True)
    )


class Named(NamedTuple):
    """A repository by the names of its registry and its own."""

    registry: str
    repository: str


def in_portions(due: Iterable[Named]) -> Iterator[dict[str, Any]]:
    """The values of the statements that read some repositories: each names those of one registry, and not too many."""
    by_registry: dict[str, list[str]] = {}
    for one in due:
        by_registry.setdefault(one.registry, []).append(one.repository)
    for registry, names in by_registry.items():
        left = iter(names)
        while some := list(islice(left, READ_AT_ONCE)):
            yield {"of_registry": registry, "of_repositories": some}


def _unfinished(
    connection: Connection, names: Collection[Named]
) -> tuple[dict[Named, tuple[Build, ...]], dict[Named, tuple[Stray, ...]]]:
    its_builds, its_strays = (_rows(connection, one, names) for one in (_UNFINISHED, _STRAYS))
    return (
        {name: tuple(codec.read_build(row) for row in its_builds.get(name, ())) for name in names},
        {name: tuple(_stray(row) for row in its_strays.get(name, ())) for name in names},
    )


def _rows(connection: Connection, statement: Executable, names: Iterable[Named]) -> Mapping[Named, list[Row[Any]]]:
    found: dict[Named, list[Row[Any]]] = defaultdict(list)
    for some in in_portions(names):
        for row in connection.execute(statement, some):
            found[Named(row.registry, row.repository)].append(row)
    return found


def _named(registry: str, repository: str) -> dict[str, str]:
    return {"of_registry": registry, "of_repository": repository}


def _mine(held: Claim) -> dict[str, Any]:
    return {**_named(held.registry, held.repository), "of_token": held.token}


def _run(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(statement, list(rows))


def _stray(row: Row[Any]) -> Stray:
    return Stray(
        quay_id=row.quay_id,
        build=BuildId(row.build),
        image_tags=codec.read_texts(row.image_tags),
        phase=row.phase,
        found_at=row.found_at,
        is_cancelled=bool(row.is_cancelled),
    )
