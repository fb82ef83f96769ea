"""What people ask of the store: lists, one build's story, and taking a hand in it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select, update

from buildbot.domain.build import Build, BuildId, Goal, GoalKind, Seen
from buildbot.ports import (
    BuildFilter,
    BuildStory,
    Commission,
    Counts,
    NoSuchBuild,
    NotPossible,
    Rebuilt,
    Step,
    Wording,
)
from buildbot.store import codec
from buildbot.store.ledger import add_build
from buildbot.store.standings import head_position
from buildbot.store.statements import wake
from buildbot.store.statuses import report
from buildbot.store.tables import builds, commit_statuses, steps


def list_builds(connection: Connection, which: BuildFilter) -> tuple[Build, ...]:
    """Builds, newest first."""
    rows = connection.execute(_chosen(which).order_by(builds.c.seq.desc()).limit(which.limit))
    return tuple(codec.read_build(row) for row in rows)


def story(connection: Connection, build: BuildId) -> BuildStory:
    """One build with its history. Raises NoSuchBuild."""
    found = _find(connection, build)
    rows = connection.execute(select(steps).where(steps.c.build == build).order_by(steps.c.id))
    return BuildStory(found, tuple(Step(row.at, row.what) for row in rows), report(connection, build))


def note(connection: Connection, build: BuildId, what: str, now: datetime) -> None:
    """Add a line to a build's history."""
    connection.execute(steps.insert().values(build=build, at=now, what=what))


def cancel(connection: Connection, build: BuildId, goal: Goal, now: datetime) -> Build:
    """Ask for a build to be cancelled. Raises NoSuchBuild, NotPossible."""
    found = _find(connection, build)
    if found.is_final:
        raise NotPossible(f"build {build} has ended already: {found.seen.phase}")
    if found.goal.kind is GoalKind.CANCEL:
        return found
    connection.execute(update(builds).where(builds.c.id == build).values(codec.goal_columns(goal)))
    wake(connection, found.request.registry, found.request.repository, now)
    return replace(found, goal=goal)


def rebuild(connection: Connection, build: BuildId, now: datetime, wording: Wording, *, move_tags: bool) -> Rebuilt:
    """The same request again, without the image tags that a newer build has claimed. Raises NoSuchBuild,
    NotPossible."""
    old = _find(connection, build)
    claimed = set() if move_tags else claimed_since(connection, old)
    left = tuple(tag for tag in old.request.image_tags if tag not in claimed)
    left_out = tuple(tag for tag in old.request.image_tags if tag in claimed)
    if not left:
        raise NotPossible(
            f"newer builds of {old.request.repository} have claimed {', '.join(left_out)} since; "
            "use --move-tags to take them back to this commit"
        )
    again = replace(
        old,
        request=replace(old.request, image_tags=left, comparison=None, quiet_period=timedelta()),
        created_at=now,
        goal=Goal(),
        seen=Seen(unaccepted_since=now),
        rebuild_of=old.id,
        position=head_position(connection, old.source, old.ref),
        warning="",
    )
    return Rebuilt(add_build(connection, again, wording, is_newest=False), left_out)


def commission(connection: Connection, asked: Commission, now: datetime, wording: Wording) -> Build:
    """A build without a push."""
    build = Build(
        id=BuildId(""),
        seq=0,
        source=asked.source,
        ref=asked.ref,
        commit=asked.commit,
        tag_object=None,
        request=asked.request,
        created_at=now,
        seen=Seen(unaccepted_since=now),
        pusher=asked.by,
        position=head_position(connection, asked.source, asked.ref),
    )
    return add_build(connection, build, wording, is_newest=True)


def counts(connection: Connection, now: datetime) -> Counts:
    """How much is under way."""
    unfinished = builds.c.finished_at.is_(None)
    by_phase = select(builds.c.phase, func.count()).where(unfinished).group_by(builds.c.phase)
    oldest = connection.execute(select(func.min(builds.c.created_at)).where(unfinished)).scalar()
    undelivered = (
        select(func.count())
        .select_from(commit_statuses)
        .where(commit_statuses.c.due <= now, commit_statuses.c.stopped.is_(None))
    )
    return Counts(
        builds={row[0]: row[1] for row in connection.execute(by_phase)},
        statuses=connection.execute(undelivered).scalar_one(),
        oldest_seconds=(now - oldest).total_seconds() if oldest else 0.0,
    )


def _find(connection: Connection, build: BuildId) -> Build:
    row = connection.execute(select(builds).where(builds.c.id == build)).first()
    if row is None:
        raise NoSuchBuild(f"no build has the id {build!r}; `buildbot builds list` shows those there are")
    return codec.read_build(row)


def claimed_since(connection: Connection, old: Build) -> set[str]:
    """The image tags that builds with a higher `seq`, of other commits, have claimed in the build's repository; those
    of earlier pushes to its ref claim nothing."""
    rows = connection.execute(_newer_with_a_tag_of(old))
    return {tag for row in rows if not _is_of_earlier_push(row, old) for tag in json.loads(row.request)["image_tags"]}


def _newer_with_a_tag_of(old: Build) -> Select[Any]:
    # The text is only a sieve, so that not every newer build of a busy repository has to be read; JSON decides.
    names_one = (builds.c.request.contains(json.dumps(tag), autoescape=True) for tag in old.request.image_tags)
    return select(builds.c.request, builds.c.forge, builds.c.repository_id, builds.c.ref, builds.c.position).where(
        builds.c.registry == old.request.registry,
        builds.c.repository == old.request.repository,
        builds.c.seq > old.seq,
        builds.c.commit_sha.is_distinct_from(old.commit),
        or_(*names_one),
    )


def _is_of_earlier_push(row: Row[Any], old: Build) -> bool:
    # A push that arrived after its successor has a higher place in the order, and yet claims nothing.
    is_same_ref = (row.forge, row.repository_id, row.ref) == (old.source.forge, old.source.repository_id, old.ref)
    return is_same_ref and row.position < old.position


def _chosen(which: BuildFilter) -> Select[Any]:
    chosen = select(builds)
    for column, value in ((builds.c.rule, which.rule), (builds.c.phase, which.phase), (builds.c.ref, which.ref)):
        if value is not None:
            chosen = chosen.where(column == value)
    if which.source is not None:
        named = f'"full_name":{json.dumps(which.source, ensure_ascii=False)}'
        chosen = chosen.where(builds.c.source.icontains(named, autoescape=True))
    return chosen.where(builds.c.finished_at.is_(None)) if which.unfinished else chosen
