"""Writing deliveries down: their rows, the moves of refs, the builds they plan, those they supersede, the statuses.

All in the one transaction after which the webhooks are answered. The judgement is the domain's, one delivery after the
other in the order they came in; here is only what it needs to know (`standings`) and what it changes (`ledger`). What
is known is asked for all of them at once and what changes written for all of them at once, so a busy bot needs hardly
more statements for a whole batch than for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update

from buildbot.domain.build import Build, BuildId, BuildPhase, Goal, Seen
from buildbot.domain.decision import Decision, NewBuild, Verdict, replaced_by
from buildbot.domain.history import Move
from buildbot.domain.push import Ignored, PushEvent
from buildbot.ports import Recorded, Recording
from buildbot.store import codec
from buildbot.store.bulk import OfKeys, keys
from buildbot.store.ledger import Ledger, Place
from buildbot.store.standings import Standings, ref_of
from buildbot.store.tables import deliveries

_wanted = keys("forge", "guid")
_KNOWN = OfKeys(
    _wanted,
    select(deliveries.c.forge, deliveries.c.guid, deliveries.c.received_at, deliveries.c.reason).select_from(
        _wanted.join(deliveries, and_(deliveries.c.forge == _wanted.c.forge, deliveries.c.guid == _wanted.c.guid))
    ),
)
_REPEAT = (
    update(deliveries)
    .where(deliveries.c.forge == bindparam("of_forge"), deliveries.c.guid == bindparam("of_guid"))
    .values(repeats=deliveries.c.repeats + 1)
)


def record(connection: Connection, recordings: Sequence[Recording]) -> list[Recorded]:
    """The whole of some deliveries. The same delivery id again only counts the repetition."""
    batch = _Batch(connection, recordings)
    recorded = [batch.record(recording) for recording in recordings]
    batch.write()
    return recorded


def admit(connection: Connection, build: Build, now: datetime) -> None:
    """What a build changes that has turned out to be wanted: it is the newest of its rule, and replaces older ones."""
    ref = ref_of(build.source, build.ref)
    ledger = Ledger(connection)
    ledger.plan(build)
    ledger.turn(replaced_by(build, Standings(connection, [ref]).unfinished(ref)), now)
    ledger.write()


class _Batch:
    """Deliveries that are recorded in one transaction."""

    def __init__(self, connection: Connection, recordings: Sequence[Recording]) -> None:
        self._connection = connection
        self._ledger = Ledger(connection)
        known = _KNOWN(connection, {(one.forge, one.guid) for one in recordings})
        self._known: dict[tuple[str, str], tuple[datetime, str]] = {
            (row.forge, row.guid): (row.received_at, row.reason) for row in known
        }
        self._repeats: list[dict[str, str]] = []
        new = [one for one in recordings if (one.forge, one.guid) not in self._known]
        self._standings = Standings(connection, {ref_of(push.source, push.ref) for one in new for push in _pushes(one)})

    def record(self, recording: Recording) -> Recorded:
        """Judge one, by what those before it have left."""
        key = (recording.forge, recording.guid)
        if key in self._known:
            return self._repeated(key)
        recorded = self._together(recording)
        self._known[key] = (recording.received_at, recorded.reason)
        self._ledger.delivery(_row(recording, recorded))
        return recorded

    def write(self) -> None:
        """Write it all down."""
        self._ledger.write()
        if self._repeats:
            self._connection.execute(_REPEAT, self._repeats)

    def _repeated(self, key: tuple[str, str]) -> Recorded:
        received_at, reason = self._known[key]
        self._repeats.append({"of_forge": key[0], "of_guid": key[1]})
        told = f"{received_at:%Y-%m-%d %H:%M:%S} UTC"
        return Recorded(Decision.REPEATED, f"this delivery was recorded already at {told}: {reason}")

    def _together(self, recording: Recording) -> Recorded:
        if isinstance(recording.reading, Ignored):
            return Recorded(Decision.IGNORED, recording.reading.reason)
        parts = [self._push(recording, push) for push in recording.reading]
        if not parts:
            return Recorded(Decision.IGNORED, "the delivery names no ref that moved")
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _push(self, recording: Recording, push: PushEvent) -> Recorded:
        standing = self._standings.of(push)
        verdict = recording.judge(push, standing)
        if verdict.move is not None:
            self._move(push, verdict.move, standing.moves, recording.received_at)
        made = tuple(self._build(recording, push, verdict.move, new) for new in verdict.builds)
        cancelled = self._turn(push, verdict, recording.received_at)
        return Recorded(verdict.decision, verdict.reason, made + cancelled, verdict.rules)

    def _move(self, push: PushEvent, move: Move, history: Sequence[Move], now: datetime) -> None:
        ref = ref_of(push.source, push.ref)
        self._ledger.move(ref, move, now, history, self._standings.head(ref))
        self._standings.moved(ref, move)

    def _build(self, recording: Recording, push: PushEvent, move: Move | None, new: NewBuild) -> Build:
        assert move is not None  # noqa: S101  a verdict with builds has a move
        build = _newborn(recording, push, new, self._ledger.place(), move.position)
        self._ledger.build(build, recording.wording)
        self._standings.added(build)
        if new.is_certain:
            self._ledger.plan(build)
            self._standings.planned(build)
        return build

    def _turn(self, push: PushEvent, verdict: Verdict, now: datetime) -> tuple[Build, ...]:
        goals: dict[BuildId, Goal] = dict(verdict.goals)
        if not goals:
            return ()
        self._ledger.turn(verdict.goals, now)
        self._standings.turned(ref_of(push.source, push.ref), verdict.goals)
        return self._ledger.turned(goals) if verdict.decision is Decision.CANCELLED else ()


def _pushes(recording: Recording) -> tuple[PushEvent, ...]:
    return () if isinstance(recording.reading, Ignored) else recording.reading


def _joined(parts: Sequence[Recorded]) -> Recorded:
    order = list(Decision)
    return Recorded(
        decision=min((part.decision for part in parts), key=order.index),
        reason="; ".join(part.reason for part in parts),
        builds=tuple(build for part in parts for build in part.builds),
        rules=tuple(rule for part in parts for rule in part.rules),
    )


def _row(recording: Recording, recorded: Recorded) -> dict[str, Any]:
    return {
        "forge": recording.forge,
        "guid": recording.guid,
        "event": recording.event,
        "received_at": recording.received_at,
        "pushes": codec.pushes_text(_pushes(recording)),
        "decision": recorded.decision,
        "reason": recorded.reason,
        "rules": codec.explained_text(recorded.rules),
        "repeats": 0,
    }


def _newborn(recording: Recording, push: PushEvent, new: NewBuild, place: Place, position: float) -> Build:
    return Build(
        id=place.id,
        seq=place.seq,
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
