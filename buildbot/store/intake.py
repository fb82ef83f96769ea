"""Writing a delivery down: its row, the ref's move, the builds it plans, those it supersedes, the statuses they want.

All in the one transaction after which the webhook is answered. The judgement is the domain's; here is only what it
needs to know (`_standing`) and what it changes.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from buildbot.domain.build import Build, BuildId, GoalKind, Seen
from buildbot.domain.decision import Decision, LastPlan, NewBuild, Standing, Verdict
from buildbot.domain.history import Move
from buildbot.domain.push import Ignored, PushEvent
from buildbot.ports import Recorded, Recording, Wording
from buildbot.store import codec
from buildbot.store.statements import insert_or_update, next_sequence, wake
from buildbot.store.statuses import own_status
from buildbot.store.tables import builds, deliveries, moves, plans, steps

MOVES_REMEMBERED = 100
ID_BYTES = 12


def record(connection: Connection, recording: Recording) -> Recorded:
    """The whole of one delivery. The same delivery id again only counts the repetition."""
    if repeated := _repeated(connection, recording):
        return repeated
    recorded = _record_all(connection, recording)
    connection.execute(
        deliveries.insert().values(
            forge=recording.forge,
            guid=recording.guid,
            event=recording.event,
            received_at=recording.received_at,
            pushes=json.dumps(_told(recording.reading), ensure_ascii=False),
            decision=recorded.decision,
            reason=recorded.reason,
            rules=json.dumps(recorded.rules, ensure_ascii=False),
            repeats=0,
        )
    )
    return recorded


def add_build(connection: Connection, build: Build, wording: Wording) -> Build:
    """Write a new build down, last in the order, with the status it wants; its repository is due at once."""
    placed = replace(build, id=BuildId(secrets.token_hex(ID_BYTES)), seq=next_sequence(connection))
    values = codec.identity_columns(placed) | codec.goal_columns(placed.goal) | codec.seen_columns(placed)
    connection.execute(builds.insert().values(values))
    connection.execute(steps.insert().values(build=placed.id, at=placed.created_at, what=_birth(placed)))
    wake(connection, placed.request.registry, placed.request.repository, placed.created_at)
    is_born_dead = placed.goal.kind is not GoalKind.BUILD
    own_status(connection, placed, wording(placed), placed.created_at, only_if_free=is_born_dead)
    return placed


def _repeated(connection: Connection, recording: Recording) -> Recorded | None:
    same = (deliveries.c.forge == recording.forge, deliveries.c.guid == recording.guid)
    row = connection.execute(select(deliveries.c.received_at, deliveries.c.reason).where(*same)).first()
    if row is None:
        return None
    connection.execute(update(deliveries).where(*same).values(repeats=deliveries.c.repeats + 1))
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
    verdict = recording.judge(push, _standing(connection, push))
    _move(connection, push, verdict, recording.received_at)
    made = tuple(_add(connection, recording, push, verdict, new) for new in verdict.builds)
    turned = tuple(_turn(connection, verdict, recording.received_at))
    cancelled = turned if verdict.decision is Decision.CANCELLED else ()
    return Recorded(verdict.decision, verdict.reason, made + cancelled, verdict.rules)


def _standing(connection: Connection, push: PushEvent) -> Standing:
    return Standing(_moves(connection, push), _plans(connection, push), _unfinished(connection, push))


def _of_ref(table: Any, push: PushEvent) -> tuple[Any, ...]:
    source = push.source
    return (
        table.c.forge == source.forge,
        table.c.repository_id == source.repository_id,
        table.c.ref == push.ref,
    )


def _moves(connection: Connection, push: PushEvent) -> tuple[Move, ...]:
    newest = select(moves).where(*_of_ref(moves, push)).order_by(moves.c.position.desc()).limit(MOVES_REMEMBERED)
    rows = connection.execute(newest).all()
    return tuple(Move(row.position, row.before_sha, row.after_sha, row.pushed_at) for row in reversed(rows))


def _plans(connection: Connection, push: PushEvent) -> dict[str, LastPlan]:
    rows = connection.execute(select(plans).where(*_of_ref(plans, push)))
    return {row.rule: LastPlan(row.position, row.commit_sha, codec.read_texts(row.image_tags)) for row in rows}


def _unfinished(connection: Connection, push: PushEvent) -> tuple[Build, ...]:
    running = select(builds).where(*_of_ref(builds, push), builds.c.finished_at.is_(None)).order_by(builds.c.seq)
    return tuple(codec.read_build(row) for row in connection.execute(running))


def _move(connection: Connection, push: PushEvent, verdict: Verdict, now: datetime) -> None:
    if (move := verdict.move) is None:
        return
    connection.execute(
        moves.insert().values(
            forge=push.source.forge,
            repository_id=push.source.repository_id,
            ref=push.ref,
            position=move.position,
            before_sha=move.before,
            after_sha=move.after,
            pushed_at=move.pushed_at,
            recorded_at=now,
        )
    )


def _add(connection: Connection, recording: Recording, push: PushEvent, verdict: Verdict, new: NewBuild) -> Build:
    assert verdict.move is not None  # noqa: S101  a verdict with builds has a move
    position = verdict.move.position
    build = add_build(connection, _build(recording, push, new, position), recording.wording)
    _remember_plan(connection, push, build, position)
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
        seen=Seen(unaccepted_since=recording.received_at),
        warning=new.warning,
        message=push.message,
        pusher=push.pusher,
        compare_url=push.compare_url,
        delivery=recording.guid,
        position=position,
    )


def _remember_plan(connection: Connection, push: PushEvent, build: Build, position: float) -> None:
    key = {
        "forge": push.source.forge,
        "repository_id": push.source.repository_id,
        "ref": push.ref,
        "rule": build.request.rule,
    }
    value = {
        "position": position,
        "commit_sha": build.commit,
        "image_tags": codec.texts(build.request.image_tags),
    }
    insert_or_update(connection, plans, key, value, only_if=plans.c.position <= position)


def _turn(connection: Connection, verdict: Verdict, now: datetime) -> list[Build]:
    turned = []
    for build_id, goal in verdict.goals:
        connection.execute(update(builds).where(builds.c.id == build_id).values(codec.goal_columns(goal)))
        build = codec.read_build(connection.execute(select(builds).where(builds.c.id == build_id)).one())
        wake(connection, build.request.registry, build.request.repository, now)
        turned.append(build)
    return turned


def _birth(build: Build) -> str:
    if build.goal.kind is not GoalKind.BUILD:
        return f"arrived after a newer push, superseded by {build.goal.detail}"
    return f"planned: {build.request.repository}:{', '.join(build.request.image_tags)}"


def _told(reading: tuple[PushEvent, ...] | Ignored) -> list[dict[str, Any]]:
    if isinstance(reading, Ignored):
        return []
    return [
        {
            "source": push.source.full_name,
            "repository_id": push.source.repository_id,
            "ref": push.ref,
            "before": push.before,
            "after": push.after,
            "commit": push.commit,
            "pushed_at": push.pushed_at.isoformat() if push.pushed_at else None,
            "changed_paths": None if push.changed_paths is None else len(push.changed_paths),
            "pusher": push.pusher,
        }
        for push in reading
    ]


def count_deliveries(connection: Connection) -> int:
    """How many deliveries have a row."""
    return connection.execute(select(func.count()).select_from(deliveries)).scalar_one()
