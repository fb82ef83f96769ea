"""Writing a delivery down: its row, the ref's move, the builds it plans, those it supersedes, the statuses they want.

All in the one transaction after which the webhook is answered. The judgement is the domain's; here is only what it
needs to know (`standing_of`) and what it changes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from buildbot.domain.build import Build, BuildId, BuildPhase, CancelReason, Goal, GoalKind, Seen
from buildbot.domain.decision import Decision, LastPlan, NewBuild, Standing, Unfinished, Verdict, replaced_by
from buildbot.domain.history import Move
from buildbot.domain.push import Ignored, PushEvent, Source
from buildbot.ports import Recorded, Recording, Wording
from buildbot.store import codec
from buildbot.store.statements import Upsert, next_sequence, wake
from buildbot.store.statuses import own_status
from buildbot.store.tables import UtcTime, builds, deliveries, moves, plans, steps

MOVES_REMEMBERED = 100
ID_BYTES = 12


def _of_ref(table: Any) -> tuple[Any, ...]:
    return tuple(table.c[name] == bindparam(f"of_{name}") for name in ("forge", "repository_id", "ref"))


_SAME_DELIVERY = (deliveries.c.forge == bindparam("of_forge"), deliveries.c.guid == bindparam("of_guid"))
_DELIVERY = select(deliveries.c.received_at, deliveries.c.reason).where(*_SAME_DELIVERY)
_REPEAT = update(deliveries).where(*_SAME_DELIVERY).values(repeats=deliveries.c.repeats + 1)
_MOVES = select(moves).where(*_of_ref(moves)).order_by(moves.c.position.desc()).limit(MOVES_REMEMBERED)
_HEAD = select(moves.c.position).where(*_of_ref(moves)).order_by(moves.c.position.desc()).limit(1)
_PLANS = select(plans).where(*_of_ref(plans))
_REPLACE = (
    update(moves)
    .where(*_of_ref(moves), moves.c.position == bindparam("of_position"))
    .values(replaced_at=bindparam("now", type_=UtcTime))
)
_UNFINISHED = (
    select(builds.c.id, builds.c.rule, builds.c.position, builds.c.goal_kind, builds.c.seq)
    .where(*_of_ref(builds), builds.c.finished_at.is_(None))
    # Those that are to be cancelled for good cannot be turned further; hundreds may wait for Quay to let go of them.
    .where(builds.c.goal_kind.in_([GoalKind.BUILD, GoalKind.CANCEL_QUEUED]))
    .order_by(builds.c.seq)
)
_TURN = (
    update(builds)
    .where(builds.c.id == bindparam("of_build"))
    .values({name: bindparam(name) for name in ("goal_kind", "goal_reason", "goal_detail")})
)
_PLAN = Upsert(
    plans,
    ("forge", "repository_id", "ref", "rule"),
    ("position", "commit_sha", "image_tags"),
    only_if=lambda new: plans.c.position <= new.position,
)


def record(connection: Connection, recording: Recording) -> Recorded:
    """The whole of one delivery. The same delivery id again only counts the repetition."""
    if repeated := _repeated(connection, recording):
        return repeated
    recorded = _record_all(connection, recording)
    row = {
        "forge": recording.forge,
        "guid": recording.guid,
        "event": recording.event,
        "received_at": recording.received_at,
        "pushes": codec.pushes_text(() if isinstance(recording.reading, Ignored) else recording.reading),
        "decision": recorded.decision,
        "reason": recorded.reason,
        "rules": json.dumps(recorded.rules),
        "repeats": 0,
    }
    connection.execute(deliveries.insert(), row)
    return recorded


def add_build(connection: Connection, build: Build, wording: Wording) -> Build:
    """Write a new build down, last in the order, with the status it wants; its repository is due at once."""
    placed = replace(build, id=BuildId(secrets.token_hex(ID_BYTES)), seq=next_sequence(connection))
    values = codec.identity_columns(placed) | codec.goal_columns(placed.goal) | codec.seen_columns(placed)
    connection.execute(builds.insert(), values)
    connection.execute(steps.insert(), {"build": placed.id, "at": placed.created_at, "what": _birth(placed)})
    wake(connection, placed.request.registry, placed.request.repository, placed.created_at)
    is_born_dead = placed.goal.kind is not GoalKind.BUILD
    own_status(connection, placed, wording(placed), placed.created_at, only_if_free=is_born_dead)
    return placed


def admit(connection: Connection, build: Build, now: datetime) -> None:
    """What a build changes that has turned out to be wanted: it is the newest of its rule, and replaces older ones."""
    remember_plan(connection, build)
    running = connection.execute(_UNFINISHED, _ref_of(build.source, build.ref))
    turn(connection, replaced_by(build, [_unfinished(row) for row in running]), now)


def head_position(connection: Connection, source: Source, ref: str) -> float:
    """Where the newest move of a ref stands in its history; 0 where none is known."""
    found = connection.execute(_HEAD, _ref_of(source, ref)).scalar()
    return 0.0 if found is None else float(found)


def remember_plan(connection: Connection, build: Build) -> None:
    """Remember a build as the newest that its rule planned for its ref, unless a newer one is known."""
    row = {
        "forge": build.source.forge,
        "repository_id": build.source.repository_id,
        "ref": build.ref,
        "rule": build.request.rule,
        "position": build.position,
        "commit_sha": build.commit,
        "image_tags": codec.texts(build.request.image_tags),
    }
    _PLAN(connection, row)


def _repeated(connection: Connection, recording: Recording) -> Recorded | None:
    same = {"of_forge": recording.forge, "of_guid": recording.guid}
    row = connection.execute(_DELIVERY, same).first()
    if row is None:
        return None
    connection.execute(_REPEAT, same)
    told = f"{row.received_at:%Y-%m-%d %H:%M:%S} UTC"
    return Recorded(Decision.REPEATED, f"this delivery was recorded already at {told}: {row.reason}")


def _record_all(connection: Connection, recording: Recording) -> Recorded:
    if isinstance(recording.reading, Ignored):
        return Recorded(Decision.IGNORED, recording.reading.reason)
    return _together([_record_push(connection, recording, push) for push in recording.reading])


def _together(parts: list[Recorded]) -> Recorded:
    if not parts:
        return Recorded(Decision.IGNORED, "the delivery names no ref that moved")
    order = list(Decision)
    return Recorded(
        decision=min((part.decision for part in parts), key=order.index),
        reason="; ".join(part.reason for part in parts),
        builds=tuple(build for part in parts for build in part.builds),
        rules=tuple(rule for part in parts for rule in part.rules),
    )


def _record_push(connection: Connection, recording: Recording, push: PushEvent) -> Recorded:
    standing = standing_of(connection, push)
    verdict = recording.judge(push, standing)
    if verdict.move is not None:
        write_move(connection, push, verdict.move, standing, recording.received_at)
    made = tuple(_add(connection, recording, push, verdict, new) for new in verdict.builds)
    turned = turn(connection, verdict.goals, recording.received_at)
    cancelled = turned if verdict.decision is Decision.CANCELLED else ()
    return Recorded(verdict.decision, verdict.reason, made + cancelled, verdict.rules)


def standing_of(connection: Connection, push: PushEvent) -> Standing:
    """What is known of the ref that a push moves."""
    ref = _ref_of(push.source, push.ref)
    known = connection.execute(_MOVES, ref).all()
    planned = connection.execute(_PLANS, ref)
    running = connection.execute(_UNFINISHED, ref)
    return Standing(
        moves=tuple(
            Move(row.position, row.before_sha, row.after_sha, row.pushed_at, bool(row.is_swept))
            for row in reversed(known)
        ),
        plans={row.rule: LastPlan(row.position, row.commit_sha, codec.read_texts(row.image_tags)) for row in planned},
        unfinished=tuple(_unfinished(row) for row in running),
    )


def _unfinished(row: Any) -> Unfinished:
    return Unfinished(BuildId(row.id), row.rule, row.position, GoalKind(row.goal_kind), row.seq)


def _ref_of(source: Source, ref: str) -> dict[str, str]:
    return {"of_forge": source.forge, "of_repository_id": source.repository_id, "of_ref": ref}


def write_move(connection: Connection, push: PushEvent, move: Move, standing: Standing, now: datetime) -> None:
    """Add a move to the history of its ref."""
    head = standing.moves[-1] if standing.moves else None
    is_head = head is None or move.position > head.position
    if head is not None and is_head:
        ref = _ref_of(push.source, push.ref)
        connection.execute(_REPLACE, {**ref, "of_position": head.position, "now": now})
    row = {
        "forge": push.source.forge,
        "repository_id": push.source.repository_id,
        "ref": push.ref,
        "position": move.position,
        "before_sha": move.before,
        "after_sha": move.after,
        "pushed_at": move.pushed_at,
        "is_swept": int(move.is_swept),
        "recorded_at": now,
        "replaced_at": None if is_head else now,
    }
    connection.execute(moves.insert(), row)


def _add(connection: Connection, recording: Recording, push: PushEvent, verdict: Verdict, new: NewBuild) -> Build:
    assert verdict.move is not None  # noqa: S101  a verdict with builds has a move
    build = add_build(connection, _build(recording, push, new, verdict.move.position), recording.wording)
    if new.is_certain:
        remember_plan(connection, build)
    return build


def _build(recording: Recording, push: PushEvent, new: NewBuild, position: float) -> Build:
    return Build(
        id=BuildId(""),
        seq=0,
        source=push.source,
        ref=push.ref,
        commit=push.commit,
        tag_object=push.after if push.commit is None else None,
        request=new.request,
        created_at=recording.received_at,
        goal=new.goal,
        seen=Seen(_first_phase(new), unaccepted_since=recording.received_at),
        warning=new.warning,
        message=push.message,
        pusher=push.pusher,
        compare_url=push.compare_url,
        delivery=recording.guid,
        position=position,
    )


def _first_phase(new: NewBuild) -> BuildPhase:
    return BuildPhase.PLANNED if new.is_certain else BuildPhase.COMPARING


def turn(connection: Connection, goals: Sequence[tuple[BuildId, Goal]], now: datetime) -> tuple[Build, ...]:
    """Give builds other goals; their repositories are due at once."""
    if not goals:
        return ()
    connection.execute(_TURN, [{"of_build": build, **codec.goal_columns(goal)} for build, goal in goals])
    rows = connection.execute(
        select(builds).where(builds.c.id.in_([build for build, _ in goals])).order_by(builds.c.seq)
    )
    turned = tuple(codec.read_build(row) for row in rows)
    for registry, repository in dict.fromkeys((one.request.registry, one.request.repository) for one in turned):
        wake(connection, registry, repository, now)
    return turned


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
