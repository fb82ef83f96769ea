"""Deliveries for people: what came in, what was made of it, and judging one again when what stood in its way is mended.

A replay is no delivery: it changes nothing about what was recorded, and stands where the push always stood. Rules that
have built it, or are about to, are left alone. What ended badly is built again as a rebuild would (image tags that
newer builds have claimed are left to them), but by today's rules, since it is they that were mended. What no rule
wanted then and one wants now is built as if it had come in late.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, func, or_, select

from buildbot.domain.build import Build, BuildId, BuildPhase, GoalKind, Seen
from buildbot.domain.decision import NewBuild, Standing, Verdict, known_move
from buildbot.domain.lifecycle import cancelled_in_words
from buildbot.domain.push import PushEvent
from buildbot.ports import DeliveryFilter, DeliveryStory, NoSuchDelivery, NotPossible, Replayed, Replaying
from buildbot.store import codec, people
from buildbot.store.ledger import Ledger, add_build
from buildbot.store.standings import Standings, ref_of
from buildbot.store.tables import builds, commit_statuses, deliveries

TOO_LITTLE = "an earlier release recorded it, and wrote down too little to judge it again"
_FAILED = (BuildPhase.FAILED, BuildPhase.ERRORED)


def list_deliveries(connection: Connection, which: DeliveryFilter) -> tuple[DeliveryStory, ...]:
    """Deliveries, newest first."""
    chosen = select(deliveries).order_by(deliveries.c.id.desc()).limit(which.limit)
    for column, value in ((deliveries.c.forge, which.forge), (deliveries.c.decision, which.decision)):
        if value is not None:
            chosen = chosen.where(column == value)
    if which.failed:
        chosen = chosen.where(or_(_has_failed(), _has_stopped()))
    return tuple(_story(connection, row) for row in connection.execute(chosen).all())


def story(connection: Connection, name: str) -> DeliveryStory:
    """One delivery, by its number or the forge's id. Raises NoSuchDelivery."""
    return _story(connection, _find(connection, name))


def replay(connection: Connection, name: str, replaying: Replaying, now: datetime) -> Replayed:
    """Judge a delivery again. Raises NoSuchDelivery, NotPossible."""
    known = story(connection, name)
    if known.pushes is None:
        return _rebuilt_as_it_was(connection, known, replaying, now)
    if not known.pushes:
        raise NotPossible(f"delivery {known.number} told of no push: {known.reason}")
    again = _Again(connection, known, replaying, now)
    parts = [again.push(push) for push in known.pushes]
    return Replayed(
        tuple(build for part in parts for build in part.builds), tuple(told for part in parts for told in part.told)
    )


def _rebuilt_as_it_was(connection: Connection, known: DeliveryStory, replaying: Replaying, now: datetime) -> Replayed:
    failed = [build for build in _last(known.builds) if build.seen.phase in _FAILED]
    if not failed:
        raise NotPossible(f"delivery {known.number} has no failed build to build again, and {TOO_LITTLE}")
    made, told = [], []
    for build in failed:
        try:
            rebuilt = people.rebuild(connection, build.id, now, replaying.wording, move_tags=False)
        except NotPossible as refusal:
            told.append((build.request.rule, str(refusal)))
        else:
            made.append(rebuilt.build)
            told.append((build.request.rule, _planned(rebuilt.build, rebuilt.left_out)))
    return Replayed(tuple(made), tuple(told))


@dataclass(frozen=True, slots=True)
class _Again:
    """One delivery that is judged again, inside the transaction."""

    connection: Connection
    known: DeliveryStory
    replaying: Replaying
    now: datetime

    def push(self, push: PushEvent) -> Replayed:
        ref = ref_of(push.source, push.ref)
        standings = Standings(self.connection, [ref])
        standing = standings.whole(push)
        last = {build.request.rule: build for build in _last(self._builds_of(push, standing))}
        failed = {rule: build for rule, build in last.items() if build.seen.phase in _FAILED}
        kept = {rule: _as_it_stands(build) for rule, build in last.items() if rule not in failed}
        verdict = self.replaying.judge(push, standing, kept.keys())
        ledger = Ledger(self.connection)
        if verdict.move is not None and all(verdict.move.position != one.position for one in standing.moves):
            ledger.move(ref, verdict.move, self.now, standing.moves, standings.head(ref))
        told = kept | (dict(verdict.rules) or ({} if kept else {"": verdict.reason}))
        made = []
        for new in verdict.builds:
            rule = new.request.rule
            built, told[rule] = self._build(push, verdict, new, failed.get(rule))
            made += [built] if built else []
        rules = {one.id: one.rule for one in standing.unfinished}
        replaced = {build.request.rule for build in made}
        ledger.turn([goal for goal in verdict.goals if rules[goal[0]] in replaced], self.now)
        ledger.write()
        return Replayed(tuple(made), tuple(told.items()))

    def _builds_of(self, push: PushEvent, standing: Standing) -> list[Build]:
        """The builds of a push, whichever delivery told of it first: the same move may come under several ids, and a
        sweep may have found it before. With a build all its rebuilds belong to it, wherever they stand."""
        its = (
            builds.c.forge == push.source.forge,
            builds.c.repository_id == push.source.repository_id,
            builds.c.ref == push.ref,
        )
        told_by = {self.known.guid}
        is_one = builds.c.delivery == self.known.guid
        if (move := known_move(push, standing)) is not None:
            rows = self.connection.execute(select(builds).where(*its, builds.c.position == move.position))
            there = [build for build in map(codec.read_build, rows) if push.commit in (None, build.commit)]
            told_by |= {build.delivery for build in there if build.delivery}
            is_one = builds.c.delivery.in_(told_by) | builds.c.id.in_([build.id for build in there])
        rows = self.connection.execute(select(builds).where(*its, is_one))
        return [codec.read_build(row) for row in rows]

    def _build(
        self, push: PushEvent, verdict: Verdict, new: NewBuild, failed: Build | None
    ) -> tuple[Build | None, str]:
        if failed is None and new.goal.kind is not GoalKind.BUILD:
            reason = cancelled_in_words(new.goal.reason, new.goal.detail) if new.goal.reason else "cancelled"
            return None, f"not built: {reason}"
        again = self._newborn(push, verdict, new, failed)
        claimed = people.claimed_since(self.connection, again)
        left = tuple(tag for tag in again.request.image_tags if tag not in claimed)
        left_out = tuple(tag for tag in again.request.image_tags if tag in claimed)
        if not left:
            return None, f"not built: newer builds have claimed {', '.join(left_out)} since"
        again = replace(again, request=replace(again.request, image_tags=left))
        is_newest = again.seen.phase is BuildPhase.PLANNED
        made = add_build(self.connection, again, self.replaying.wording, is_newest=is_newest)
        people.note(self.connection, made.id, f"delivery {self.known.number} replayed by {self.replaying.by}", self.now)
        return made, _planned(made, left_out)

    def _newborn(self, push: PushEvent, verdict: Verdict, new: NewBuild, failed: Build | None) -> Build:
        assert verdict.move is not None  # noqa: S101  a verdict with builds has a move
        request = replace(new.request, quiet_period=timedelta())
        if failed is not None:
            request = replace(request, comparison=None)  # it was wanted then
        phase = BuildPhase.PLANNED if request.comparison is None else BuildPhase.COMPARING
        return Build(
            id=BuildId(""),
            seq=failed.seq if failed else self._seq_then(),
            source=push.source,
            ref=push.ref,
            commit=push.commit,
            tag_object=push.after if push.commit is None else None,
            request=request,
            created_at=self.now,
            seen=Seen(phase, unaccepted_since=self.now),
            warning=new.warning,
            message=push.message,
            pusher=push.pusher,
            compare_url=push.compare_url,
            delivery=self.known.guid,
            rebuild_of=failed.id if failed else None,
            position=verdict.move.position,
        )

    def _seq_then(self) -> int:
        """The place in the order of builds that one of this delivery would have had."""
        before = select(func.max(builds.c.seq)).where(builds.c.created_at <= self.known.received_at)
        return self.connection.execute(before).scalar() or 0


def _planned(build: Build, left_out: Iterable[str]) -> str:
    named = ", ".join(left_out)
    return f"planned {build.id}" + (f"; {named} left to newer builds" if named else "")


def _as_it_stands(build: Build) -> str:
    match build.seen.phase:
        case BuildPhase.SUCCEEDED:
            return f"nothing to do: built by {build.id}"
        case BuildPhase.CANCELLED | BuildPhase.SKIPPED:
            return f"not built, {build.id}: {build.seen.because}"
        case _:
            return f"nothing to do: {build.id} is {build.seen.phase}"


def _last(known: Iterable[Build]) -> Iterable[Build]:
    """The newest build of each rule and ref."""
    return {(build.ref, build.request.rule): build for build in sorted(known, key=lambda one: one.seq)}.values()


def _find(connection: Connection, name: str) -> Row[Any]:
    by_number = deliveries.c.id == int(name) if name.isascii() and name.isdigit() and len(name) < 19 else None
    rows = connection.execute(select(deliveries).where(deliveries.c.guid == name)).all()
    if not rows and by_number is not None:
        rows = connection.execute(select(deliveries).where(by_number)).all()
    if len(rows) > 1:
        numbers = " and ".join(str(row.id) for row in rows)
        raise NoSuchDelivery(f"several forges sent a delivery {name!r}: say its number, {numbers}")
    if not rows:
        raise NoSuchDelivery(f"no delivery has the id {name!r}; `buildbot deliveries list` shows those there are")
    return rows[0]


def _story(connection: Connection, row: Row[Any]) -> DeliveryStory:
    its = (builds.c.forge == row.forge, builds.c.delivery == row.guid)
    led_to = tuple(
        codec.read_build(one) for one in connection.execute(select(builds).where(*its).order_by(builds.c.seq))
    )
    return DeliveryStory(
        number=row.id,
        forge=row.forge,
        guid=row.guid,
        event=row.event,
        received_at=row.received_at,
        pushes=codec.read_pushes(row.pushes),
        decision=row.decision,
        reason=row.reason,
        rules=tuple((rule, why) for rule, why in json.loads(row.rules)),
        repeats=row.repeats,
        builds=led_to,
        stopped=_stopped(connection, led_to),
    )


def _stopped(connection: Connection, led_to: Iterable[Build]) -> Mapping[BuildId, str]:
    owners = [build.id for build in led_to]
    if not owners:
        return {}
    status = commit_statuses.c
    stopped = select(status.owner, status.stopped).where(status.owner.in_(owners), status.stopped.is_not(None))
    return {BuildId(row.owner): row.stopped for row in connection.execute(stopped)}


def _has_failed() -> ColumnElement[bool]:
    newer = builds.alias("newer")
    is_newer = exists().where(
        newer.c.forge == builds.c.forge,
        newer.c.delivery == builds.c.delivery,
        newer.c.ref == builds.c.ref,
        newer.c.rule == builds.c.rule,
        newer.c.seq > builds.c.seq,
    )
    return exists().where(*_OF_DELIVERY, builds.c.phase.in_(_FAILED), ~is_newer)


def _has_stopped() -> ColumnElement[bool]:
    status = commit_statuses.c
    return exists().where(*_OF_DELIVERY, status.owner == builds.c.id, status.stopped.is_not(None))


_OF_DELIVERY = (builds.c.forge == deliveries.c.forge, builds.c.delivery == deliveries.c.guid)
