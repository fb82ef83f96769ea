"""What a transaction is about to write of pushes and builds: collected row by row, written table by table.

So a hundred pushes are written with as many statements as one. What was collected can still be changed (a build that
the next push of the same batch supersedes), and nothing of it is in the database before `write`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from buildbot.domain.build import Build, BuildId, BuildPhase, CancelReason, Goal, GoalKind
from buildbot.domain.history import Move
from buildbot.domain.status import may_own_status
from buildbot.ports import Wording
from buildbot.store import codec
from buildbot.store.bulk import Rows
from buildbot.store.standings import Ref, ref_of
from buildbot.store.statements import WAKE, Upsert, give_sequence, last_sequence, wake_row
from buildbot.store.statuses import OWN, OWN_IF_FREE, ownership
from buildbot.store.tables import UtcTime, builds, deliveries, moves, plans, steps

RANDOM_BYTES = 8

_PLANNED = (*Ref._fields, "rule")
_PLAN = Upsert(
    plans,
    _PLANNED,
    ("position", "commit_sha", "image_tags"),
    only_if=lambda new: plans.c.position <= new.position,
)
_DELIVERIES, _MOVES, _BUILDS, _STEPS = Rows(deliveries), Rows(moves), Rows(builds), Rows(steps)
_REPLACE = (
    update(moves)
    .where(moves.c.id.in_(bindparam("of_moves", expanding=True)))
    .values(replaced_at=bindparam("now", type_=UtcTime))
)
_TURN = (
    update(builds)
    .where(builds.c.id == bindparam("of_build"))
    .values({name: bindparam(name) for name in ("goal_kind", "goal_reason", "goal_detail")})
)
_OF_BUILDS = builds.c.id.in_(bindparam("of_builds", expanding=True))
_REPOSITORIES = select(builds.c.registry, builds.c.repository).where(_OF_BUILDS).distinct()
_TURNED = select(builds).where(_OF_BUILDS)


class Place(NamedTuple):
    """What a new build is called, and where it stands in the order of builds."""

    id: BuildId
    seq: int


class Ledger:
    """The rows that are to be written. There is one writer at a time, so the places in the order of builds that it
    gives before it writes are nobody else's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._deliveries: list[dict[str, Any]] = []
        self._moves: list[dict[str, Any]] = []
        self._heads: dict[Ref, dict[str, Any]] = {}
        self._replaced: dict[int, datetime] = {}
        self._builds: dict[BuildId, tuple[Build, dict[str, Any]]] = {}
        self._plans: dict[tuple[str, ...], dict[str, Any]] = {}
        self._goals: dict[BuildId, tuple[Goal, datetime]] = {}
        self._due: dict[tuple[str, str], tuple[datetime, int]] = {}
        self._owned: dict[tuple[str, ...], dict[str, Any]] = {}
        self._owned_if_free: dict[tuple[str, ...], dict[str, Any]] = {}
        self._last: int | None = None

    def delivery(self, row: dict[str, Any]) -> None:
        """A delivery has come in."""
        self._deliveries.append(row)

    def move(self, ref: Ref, move: Move, now: datetime, history: Sequence[Move], head: int | None) -> None:
        """A ref has moved. `history` is what was known of it, `head` the row of the last move of that, if written."""
        is_head = not history or move.position > history[-1].position
        row = {
            **ref._asdict(),
            "position": move.position,
            "before_sha": move.before,
            "after_sha": move.after,
            "pushed_at": move.pushed_at,
            "is_swept": int(move.is_swept),
            "recorded_at": now,
            "replaced_at": None if is_head else now,
        }
        self._moves.append(row)
        if is_head:
            self._replace_head(ref, head, now)
            self._heads[ref] = row

    def place(self) -> Place:
        """The identity of the next new build."""
        if self._last is None:
            self._last = last_sequence(self._connection)
        self._last += 1
        # In the order of builds, so that a batch of them is written side by side in every index; and with no room for
        # guessing, since a build's page is shown to whoever knows its id.
        return Place(BuildId(f"{self._last:08x}{secrets.token_hex(RANDOM_BYTES)}"), self._last)

    def build(self, build: Build, wording: Wording) -> None:
        """A new build in its place, with the status it wants; its repository is due at once."""
        row = codec.identity_columns(build) | codec.goal_columns(build.goal) | codec.seen_columns(build)
        self._builds[build.id] = (build, row)
        self._wake(build.request.registry, build.request.repository, build.created_at)
        if may_own_status(build):
            self._own(build, wording)

    def plan(self, build: Build) -> None:
        """A build is the newest that its rule planned for its ref, unless a newer one is known."""
        key = (*ref_of(build.source, build.ref), build.request.rule)
        if key in self._plans and self._plans[key]["position"] > build.position:
            return
        self._plans[key] = {
            **dict(zip(_PLANNED, key, strict=True)),
            "position": build.position,
            "commit_sha": build.commit,
            "image_tags": codec.texts(build.request.image_tags),
        }

    def turn(self, goals: Iterable[tuple[BuildId, Goal]], now: datetime) -> None:
        """Builds have other goals; their repositories are due at once."""
        for build, goal in goals:
            if build in self._builds:
                self._turn_new(build, goal, now)
            else:
                self._goals[build] = (goal, now)

    def turned(self, goals: Mapping[BuildId, Goal]) -> tuple[Build, ...]:
        """The builds that have these goals by now, oldest first."""
        new = [self._builds[build][0] for build in goals if build in self._builds]
        rows = self._connection.execute(_TURNED, {"of_builds": [build for build in goals if build not in self._builds]})
        old = [codec.read_build(row) for row in rows]
        return tuple(replace(one, goal=goals[one.id]) for one in sorted([*old, *new], key=lambda one: one.seq))

    def write(self) -> None:
        """Write everything down."""
        connection = self._connection
        self._write_turned()
        if self._replaced:
            now = max(self._replaced.values())
            connection.execute(_REPLACE, {"of_moves": list(self._replaced), "now": now})
        _DELIVERIES(connection, self._deliveries)
        _MOVES(connection, self._moves)
        _BUILDS(connection, [row for _, row in self._builds.values()])
        _STEPS(connection, [_birth_step(build) for build, _ in self._builds.values()])
        _PLAN.many(connection, list(self._plans.values()))
        OWN_IF_FREE.many(connection, list(self._owned_if_free.values()))
        OWN.many(connection, list(self._owned.values()))
        WAKE.many(connection, [wake_row(*which, due, times) for which, (due, times) in self._due.items()])
        if self._builds:
            give_sequence(connection, len(self._builds))

    def _replace_head(self, ref: Ref, written: int | None, now: datetime) -> None:
        if ref in self._heads:
            self._heads[ref]["replaced_at"] = now
        elif written is not None:
            self._replaced[written] = now

    def _own(self, build: Build, wording: Wording) -> None:
        row = ownership(build, wording(build), build.created_at)
        key = (row["forge"], row["repository_id"], row["sha"], row["context_key"])
        if build.goal.kind is GoalKind.BUILD:
            wishes = self._owned[key]["version"] if key in self._owned else 0
            self._owned[key] = row | {"version": wishes + 1}
        elif key not in self._owned:
            self._owned_if_free.setdefault(key, row)

    def _turn_new(self, build: BuildId, goal: Goal, now: datetime) -> None:
        made, row = self._builds[build]
        self._builds[build] = (made, row | codec.goal_columns(goal))
        self._wake(made.request.registry, made.request.repository, now)

    def _write_turned(self) -> None:
        if not self._goals:
            return
        turned = [{"of_build": build, **codec.goal_columns(goal)} for build, (goal, _) in self._goals.items()]
        self._connection.execute(_TURN, turned)
        now = max(at for _, at in self._goals.values())
        for registry, repository in self._connection.execute(_REPOSITORIES, {"of_builds": list(self._goals)}):
            self._wake(registry, repository, now)

    def _wake(self, registry: str, repository: str, now: datetime) -> None:
        due, times = self._due.get((registry, repository), (now, 0))
        self._due[registry, repository] = (min(due, now), times + 1)


def _birth_step(build: Build) -> dict[str, Any]:
    return {"build": build.id, "at": build.created_at, "what": _birth(build)}


def _birth(build: Build) -> str:
    match build.goal.reason:
        case CancelReason.DELETED:
            return f"arrived after {build.goal.detail} was deleted"
        case CancelReason.SUPERSEDED:
            return f"arrived after a newer push, superseded by {build.goal.detail}"
        case _ if build.seen.phase is BuildPhase.COMPARING:
            return f"planned if it concerns {build.request.rule}: the push does not show all that changed"
        case _:
            return f"planned: {build.request.repository}:{', '.join(build.request.image_tags)}"


def add_build(connection: Connection, build: Build, wording: Wording, *, is_newest: bool) -> Build:
    """Write one new build down, last in the order. `is_newest`: as the newest, too, that its rule planned for its
    ref."""
    ledger = Ledger(connection)
    placed = replace(build, **ledger.place()._asdict())
    ledger.build(placed, wording)
    if is_newest:
        ledger.plan(placed)
    ledger.write()
    return placed
