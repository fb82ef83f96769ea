"""The line of each registry: who is given a place in flight, who waits, and who is woken when one becomes free.

It runs inside the transaction that saves a pass, and write transactions run one at a time over all instances, so two
of them never give the same place away. What it decides by is read from the rows each time, nothing is counted along: a
build that ended in any way has left its place, and no crash can lose one. Only a build that waits is marked (`line`),
so that the next one can be found.

Where there are no caps, and no namespace whose queue Quay called full, this costs a save one or two look-ups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from buildbot.domain.build import BuildId, BuildPhase, GoalKind, WaitingLine
from buildbot.domain.cadence import backoff
from buildbot.domain.lifecycle import InLine
from buildbot.domain.places import IN_FLIGHT, Caps, FullQueue, Seating, Traffic, Waiter, namespace_of, seat
from buildbot.ports import BuildChange, Claim
from buildbot.store.statements import Upsert, wake
from buildbot.store.tables import builds, claims, full_queues

_REGISTRY: Any = bindparam("of_registry")
_FULL = select(full_queues).where(full_queues.c.registry == _REGISTRY)
_IN_FLIGHT = (
    select(builds.c.repository, builds.c.phase, func.count().label("number"))
    .where(builds.c.registry == _REGISTRY, builds.c.finished_at.is_(None), builds.c.phase.in_(sorted(IN_FLIGHT)))
    .group_by(builds.c.repository, builds.c.phase)
)
_IN_LINE = (
    select(builds.c.id, builds.c.repository, builds.c.seq, builds.c.line, claims.c.served)
    .join(claims, (claims.c.registry == builds.c.registry) & (claims.c.repository == builds.c.repository))
    .where(builds.c.registry == _REGISTRY, builds.c.line.is_not(None), builds.c.finished_at.is_(None))
    .where(builds.c.goal_kind == GoalKind.BUILD)
)
_ANYBODY = (
    select(builds.c.id)
    .where(builds.c.registry == _REGISTRY, builds.c.line.is_not(None), builds.c.finished_at.is_(None))
    .limit(1)
)
_SERVED = select(claims.c.served).where(claims.c.registry == _REGISTRY, claims.c.repository == bindparam("of_name"))
_FILL = Upsert(full_queues, ("registry", "namespace"), ("because", "until", "failures"))


def admit(
    connection: Connection, held: Claim, changes: Sequence[BuildChange], caps: Caps, now: datetime
) -> dict[BuildId, InLine]:
    """Give places to the changes that ask for one; where those stand that get none."""
    asking = {change.build.id: change.build.seq for change in changes if _asks(change)}
    if not asking or not (caps or _full(connection, held.registry)):
        return {}
    known = {"of_registry": held.registry, "of_name": held.repository}
    served = connection.execute(_SERVED, known).scalar()
    line = _line(connection, held.registry)
    others = [waiter for waiter, _ in line.values() if waiter.build not in asking]
    newcomers = [Waiter(build, held.repository, seq, served) for build, seq in asking.items()]
    seating = _seat(connection, held.registry, [*others, *newcomers], caps, now)
    refused = {build: seating.waiting[build] for build in asking if build in seating.waiting}
    _mark(connection, refused, {build: mark for build, (_, mark) in line.items()})
    if len(refused) < len(asking):
        connection.execute(update(claims).where(*_of(claims, held)).values(served=now))
    return refused


def settle(
    connection: Connection, held: Claim, changes: Sequence[BuildChange], caps: Caps, now: datetime
) -> dict[BuildId, InLine]:
    """Learn from what was just written which queues are full, and wake whoever may be asked for next; where those of
    the claim's builds stand that a full queue has refused, or that are to ask it again at a certain time."""
    telling = [change for change in changes if _tells(change)]
    if not telling or not (_full(connection, held.registry) or _is_waited(connection, held, telling)):
        return {}
    for change in telling:
        _note_queue(connection, held.registry, change, now)
    line = [waiter for waiter, _ in _line(connection, held.registry).values()]
    seating = _seat(connection, held.registry, line, caps, now)
    mine = {waiter.build for waiter in line if waiter.repository == held.repository}
    for waiter in line:
        given = seating.waiting.get(waiter.build)
        if given is None:
            wake(connection, held.registry, waiter.repository, now)
        elif given.until is not None and waiter.build not in mine:
            wake(connection, held.registry, waiter.repository, given.until)
    refused = {change.build.id for change in telling if change.build.seen.line is not None}
    return {build: seating.waiting[build] for build in mine & (refused | _timed(seating))}


def _asks(change: BuildChange) -> bool:
    return change.was is BuildPhase.PLANNED and change.build.seen.phase is BuildPhase.REQUESTING


def _tells(change: BuildChange) -> bool:
    """Whether a place, or the next one's turn, may have become free."""
    phase = change.build.seen.phase
    if change.was is BuildPhase.REQUESTING or change.build.is_final:
        return change.was is not phase
    return change.was in IN_FLIGHT and phase not in IN_FLIGHT


def _is_waited(connection: Connection, held: Claim, telling: Sequence[BuildChange]) -> bool:
    if any(change.build.seen.line is not None for change in telling):
        return True
    return connection.execute(_ANYBODY, {"of_registry": held.registry}).first() is not None


def _timed(seating: Seating) -> set[BuildId]:
    return {build for build, given in seating.waiting.items() if given.until is not None}


def _line(connection: Connection, registry: str) -> dict[BuildId, tuple[Waiter, str]]:
    rows = connection.execute(_IN_LINE, {"of_registry": registry})
    return {BuildId(row.id): (Waiter(BuildId(row.id), row.repository, row.seq, row.served), row.line) for row in rows}


def _seat(connection: Connection, registry: str, waiters: Collection[Waiter], caps: Caps, now: datetime) -> Seating:
    in_flight: Counter[str] = Counter()
    asking: Counter[str] = Counter()
    for row in connection.execute(_IN_FLIGHT, {"of_registry": registry}):
        in_flight[row.repository] += row.number
        if row.phase == BuildPhase.REQUESTING:
            asking[row.repository] += row.number
    return seat(waiters, Traffic(in_flight, asking, _full(connection, registry)), caps, now)


def _full(connection: Connection, registry: str) -> dict[str, FullQueue]:
    rows = connection.execute(_FULL, {"of_registry": registry})
    return {row.namespace: FullQueue(row.because, row.until) for row in rows}


def _mark(connection: Connection, refused: Mapping[BuildId, InLine], marks: Mapping[BuildId, str]) -> None:
    for line in WaitingLine:
        waiting = [build for build, given in refused.items() if given.line is line and marks.get(build) != line]
        if waiting:
            connection.execute(update(builds).where(builds.c.id.in_(waiting)).values(line=line))


def _note_queue(connection: Connection, registry: str, change: BuildChange, now: datetime) -> None:
    seen, namespace = change.build.seen, namespace_of(change.build.request.repository)
    its = (full_queues.c.registry == registry, full_queues.c.namespace == namespace)
    if seen.line is WaitingLine.QUEUE:
        failures = (connection.execute(select(full_queues.c.failures).where(*its)).scalar() or 0) + 1
        until = max(now + backoff(failures), seen.due or now)
        row = {"registry": registry, "namespace": namespace, "because": seen.because}
        _FILL(connection, {**row, "until": until, "failures": failures})
    elif change.was is BuildPhase.REQUESTING and seen.quay_id is not None and not change.build.is_final:
        _note_taken(connection, registry, namespace, now)
    elif change.build.is_final:
        connection.execute(update(full_queues).where(*its).values(until=now))


def _note_taken(connection: Connection, registry: str, namespace: str, now: datetime) -> None:
    its = (full_queues.c.registry == registry, full_queues.c.namespace == namespace)
    of_namespace = builds.c.repository.startswith(f"{namespace}/", autoescape=True)
    if connection.execute(_ANYBODY.where(of_namespace), {"of_registry": registry}).first():
        connection.execute(update(full_queues).where(*its).values(until=now, failures=0))
    else:
        connection.execute(delete(full_queues).where(*its))


def _of(table: Any, held: Claim) -> tuple[Any, ...]:
    return table.c.registry == held.registry, table.c.repository == held.repository
