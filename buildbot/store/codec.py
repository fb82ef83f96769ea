"""Values to JSON text and back. Strict about what was written, so that a row never becomes a half-right value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from buildbot.domain.build import Build, BuildId, BuildRequest, CancelReason, Goal, GoalKind, Seen
from buildbot.domain.push import PushEvent, Source
from buildbot.domain.status import CommitStatus, Posted

_REQUEST = TypeAdapter(BuildRequest)
_SEEN = TypeAdapter(Seen)
_SOURCE = TypeAdapter(Source)
_STATUS = TypeAdapter(CommitStatus)
_POSTED = TypeAdapter(Posted)
_PUSHES = TypeAdapter(tuple[PushEvent, ...])

MOST_PATHS = 500
LONGEST_MESSAGE = 5000
"""Characters. The rest of a commit message is cut off, but for a mark that asks for no build."""


def _dump(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value, exclude_defaults=True).decode()


def texts(values: Sequence[str]) -> str:
    """A list of texts as JSON."""
    return json.dumps(list(values))


def read_texts(text: str) -> tuple[str, ...]:
    """The list of texts back."""
    return tuple(json.loads(text))


def explained_text(rules: Sequence[tuple[str, str]]) -> str:
    """The names of rules, each with why or why not, as JSON."""
    return json.dumps(rules)


def status_text(status: CommitStatus) -> str:
    """A wanted status as JSON; equal statuses give equal text."""
    return _dump(_STATUS, status)


def read_status(text: str) -> CommitStatus:
    """The status back."""
    return _STATUS.validate_json(text)


def posted_text(posted: Posted) -> str:
    """What was posted, as JSON."""
    return _dump(_POSTED, posted)


def read_posted(text: str | None) -> Posted | None:
    """What was posted, back."""
    return None if text is None else _POSTED.validate_json(text)


def pushes_text(reading: tuple[PushEvent, ...]) -> str:
    """What was read in a delivery, as JSON: all that it takes to judge it again, and no more of it than is bounded."""
    bounded = tuple(_bounded(push) for push in reading)
    # As ASCII: a commit message may hold lone surrogates, which pydantic's own JSON does not take.
    return json.dumps(_PUSHES.dump_python(bounded, mode="json", exclude_defaults=True))


def read_pushes(text: str) -> tuple[PushEvent, ...] | None:
    """The pushes back; None where an earlier release wrote down too little of them to judge them again."""
    pushes = json.loads(text)
    if any(not isinstance(push["source"], dict) for push in pushes):
        return None
    return _PUSHES.validate_python(pushes)


def _bounded(push: PushEvent) -> PushEvent:
    paths, message = push.changed_paths, push.message
    if paths is not None and len(paths) > MOST_PATHS:
        push = replace(push, changed_paths=None)  # unknown, so that a path filter skips nothing
    if message is not None and len(message) > LONGEST_MESSAGE:
        push = replace(push, message=f"{message[:LONGEST_MESSAGE]}… {push.asks_to_skip or ''}".rstrip())
    return push


def identity_columns(build: Build) -> dict[str, Any]:
    """The columns of a build that never change."""
    return {
        "id": build.id,
        "seq": build.seq,
        "forge": build.source.forge,
        "repository_id": build.source.repository_id,
        "source": _dump(_SOURCE, build.source),
        "ref": build.ref,
        "rule": build.request.rule,
        "registry": build.request.registry,
        "repository": build.request.repository,
        "about": _about(build),
        "position": build.position,
        "created_at": build.created_at,
        "delivery": build.delivery,
    }


def goal_columns(goal: Goal) -> dict[str, Any]:
    """The columns that intake and people write."""
    return {"goal_kind": goal.kind, "goal_reason": goal.reason, "goal_detail": goal.detail}


def seen_columns(build: Build) -> dict[str, Any]:
    """The columns that the holder of the repository's claim writes."""
    return {
        "commit_sha": build.commit,
        "request": _dump(_REQUEST, build.request),
        "phase": build.seen.phase,
        "quay_id": build.seen.quay_id,
        "seen": _dump(_SEEN, build.seen),
        "finished_at": build.seen.finished_at,
        "line": build.seen.line,
    }


def read_build(row: Row[Any]) -> Build:
    """A row of `builds` as the value."""
    about = json.loads(row.about)
    return Build(
        id=BuildId(row.id),
        seq=row.seq,
        source=_SOURCE.validate_json(row.source),
        ref=row.ref,
        commit=row.commit_sha,
        tag_object=about.get("tag_object"),
        request=_REQUEST.validate_json(row.request),
        created_at=row.created_at,
        goal=Goal(GoalKind(row.goal_kind), CancelReason(row.goal_reason) if row.goal_reason else None, row.goal_detail),
        seen=_SEEN.validate_json(row.seen),
        message=about.get("message"),
        pusher=about.get("pusher"),
        compare_url=about.get("compare_url"),
        delivery=row.delivery or about.get("delivery"),
        rebuild_of=about.get("rebuild_of"),
        position=row.position,
        warning=about.get("warning", ""),
    )


def _about(build: Build) -> str:
    about = {
        "tag_object": build.tag_object,
        "message": build.message,
        "pusher": build.pusher,
        "compare_url": build.compare_url,
        "rebuild_of": build.rebuild_of,
        "warning": build.warning or None,
    }
    return json.dumps({key: value for key, value in about.items() if value is not None})
