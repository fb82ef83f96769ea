"""What stands of the refs that deliveries move: read for all of them at once, and kept up as they are judged.

The pushes of one batch are judged one after the other, each by what those before it have left, though nothing of it
has been written yet. Nearly every push follows the head of its ref, and then the head is all of the history that is
read; else up to a hundred moves are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, select

from buildbot.domain.build import Build, BuildId, Goal, GoalKind
from buildbot.domain.decision import LastPlan, Standing, Unfinished
from buildbot.domain.history import Move, is_placed_by_head
from buildbot.domain.push import PushEvent, Source
from buildbot.store import codec
from buildbot.store.bulk import OfKeys, keys
from buildbot.store.tables import builds, moves, plans

MOVES_REMEMBERED = 100
_TURNABLE = (GoalKind.BUILD, GoalKind.CANCEL_QUEUED)
"""Builds that are to be cancelled for good cannot be turned further; hundreds may wait for Quay to let go of them."""


class Ref(NamedTuple):
    """A ref of a source repository, as its columns name it."""

    forge: str
    repository_id: str
    ref: str


def ref_of(source: Source, ref: str) -> Ref:
    """The key of a ref."""
    return Ref(source.forge, source.repository_id, ref)


_wanted = keys(*Ref._fields)


def _of_wanted(table: Any) -> Any:
    return and_(*(table.c[name] == _wanted.c[name] for name in Ref._fields))


_its = moves.alias("its")
_HISTORY = select(_its.c.id).where(_of_wanted(_its)).order_by(_its.c.position.desc()).correlate(_wanted)
_NEWEST = select(func.max(_its.c.pushed_at)).where(_of_wanted(_its)).correlate(_wanted).scalar_subquery()
_HEADS = OfKeys(
    _wanted,
    select(moves, _NEWEST.label("newest")).select_from(
        _wanted.join(moves, moves.c.id == _HISTORY.limit(1).scalar_subquery())
    ),
)
_MOVES = OfKeys(
    _wanted, select(moves).select_from(_wanted.join(moves, moves.c.id.in_(_HISTORY.limit(MOVES_REMEMBERED))))
)
_PLANS = OfKeys(_wanted, select(plans).select_from(_wanted.join(plans, _of_wanted(plans))))
_UNFINISHED = OfKeys(
    _wanted,
    select(*(builds.c[name] for name in (*Ref._fields, "id", "rule", "position", "goal_kind", "seq")))
    .select_from(_wanted.join(builds, _of_wanted(builds)))
    .where(builds.c.finished_at.is_(None), builds.c.goal_kind.in_(_TURNABLE))
    .order_by(builds.c.seq),
)


@dataclass(slots=True)
class _Known:
    """One ref. `moves` in order: all that are remembered, or nothing but the head, whose row is `head`."""

    moves: list[Move] = field(default_factory=list)
    head: int | None = None
    newest: datetime | None = None
    is_whole: bool = True
    plans: dict[str, LastPlan] = field(default_factory=dict)
    unfinished: dict[BuildId, Unfinished] = field(default_factory=dict)


class Standings:
    """The refs that a transaction is about, as they stand and as it leaves them."""

    def __init__(self, connection: Connection, refs: Iterable[Ref]) -> None:
        self._connection = connection
        self._known = {ref: _Known() for ref in refs}
        self._read_heads()
        for row in _PLANS(connection, self._known):
            last = LastPlan(row.position, row.commit_sha, codec.read_texts(row.image_tags))
            self._known[_ref(row)].plans[row.rule] = last
        for row in _UNFINISHED(connection, self._known):
            self._known[_ref(row)].unfinished[row.id] = _unfinished(row)

    def of(self, push: PushEvent) -> Standing:
        """What is known of the ref that a push moves, with as much of its history as it takes to place the push."""
        known = self._known[ref_of(push.source, push.ref)]
        if not _suffices(known, push):
            return self.whole(push)
        return Standing(tuple(known.moves), dict(known.plans), tuple(known.unfinished.values()))

    def whole(self, push: PushEvent) -> Standing:
        """All that is remembered of the ref that a push moves."""
        ref = ref_of(push.source, push.ref)
        known = self._known[ref]
        if not known.is_whole:
            self._read_whole(ref)
        return Standing(tuple(known.moves), dict(known.plans), tuple(known.unfinished.values()))

    def unfinished(self, ref: Ref) -> Sequence[Unfinished]:
        """The builds of a ref that may be turned."""
        return tuple(self._known[ref].unfinished.values())

    def head(self, ref: Ref) -> int | None:
        """The row of the head of a ref that has not been moved yet."""
        return self._known[ref].head

    def moved(self, ref: Ref, move: Move) -> None:
        """A move belongs to the history of a ref from now on."""
        known = self._known[ref]
        if not known.moves or move.position > known.moves[-1].position:
            known.head = None
        known.moves = sorted([*known.moves, move], key=_POSITION)[-MOVES_REMEMBERED:]
        known.newest = max(filter(None, (known.newest, move.pushed_at)), default=None)

    def planned(self, build: Build) -> None:
        """A build is the newest that its rule planned, unless a newer one is known."""
        known, rule = self._known[ref_of(build.source, build.ref)], build.request.rule
        last = known.plans.get(rule)
        if last is None or last.position <= build.position:
            known.plans[rule] = LastPlan(build.position, build.commit, build.request.image_tags)

    def added(self, build: Build) -> None:
        """A build has been made."""
        if build.goal.kind in _TURNABLE:
            known = self._known[ref_of(build.source, build.ref)]
            known.unfinished[build.id] = Unfinished(
                build.id, build.request.rule, build.position, build.goal.kind, build.seq
            )

    def turned(self, ref: Ref, goals: Iterable[tuple[BuildId, Goal]]) -> None:
        """Builds of a ref have other goals."""
        unfinished = self._known[ref].unfinished
        for build, goal in goals:
            if goal.kind in _TURNABLE:
                unfinished[build] = replace(unfinished[build], goal=goal.kind)
            else:
                del unfinished[build]

    def _read_heads(self) -> None:
        for row in _HEADS(self._connection, self._known):
            known = self._known[_ref(row)]
            known.moves, known.head, known.newest, known.is_whole = [_move(row)], row.id, row.newest, False

    def _read_whole(self, ref: Ref) -> None:
        known = self._known[ref]
        there = {move.position: move for move in (*map(_move, _MOVES(self._connection, [ref])), *known.moves)}
        known.moves = sorted(there.values(), key=_POSITION)[-MOVES_REMEMBERED:]
        known.is_whole = True


_POSITION = attrgetter("position")


def head_position(connection: Connection, source: Source, ref: str) -> float:
    """Where the newest move of a ref stands in its history; 0 where none is known."""
    return next((float(row.position) for row in _HEADS(connection, [ref_of(source, ref)])), 0.0)


def _suffices(known: _Known, push: PushEvent) -> bool:
    if known.is_whole or push.is_swept:
        return True
    if push.before is None and push.is_deletion:
        return False  # what it deleted is to be found out from the history
    return is_placed_by_head(known.moves[-1], known.newest, push.before, push.after, push.pushed_at)


def _ref(row: Row[Any]) -> Ref:
    return Ref(row.forge, row.repository_id, row.ref)


def _move(row: Row[Any]) -> Move:
    return Move(row.position, row.before_sha, row.after_sha, row.pushed_at, bool(row.is_swept))


def _unfinished(row: Row[Any]) -> Unfinished:
    return Unfinished(BuildId(row.id), row.rule, row.position, GoalKind(row.goal_kind), row.seq)
