"""A build as JSON: what `GET /builds/{id}` answers to programs and what `buildbot builds … --json` prints.

One function for both, so that a script may move from one to the other. Keys are only ever added. Times are ISO 8601 in
UTC; what is not known (yet) is null and never left out. The archive's URL is not told: it says nothing that source and
commit do not, and where the source is private it may carry a right.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from buildbot.domain.build import Build, Delete, Goal
from buildbot.domain.status import CommitStatus, Posted, describe
from buildbot.ports import BuildStory, StatusReport


def build_as_json(
    story: BuildStory,
    *,
    page_url: str | None = None,
    registry_url: str | None = None,
    log_tail: Sequence[str] | None = None,
) -> dict[str, object]:
    """Everything that a person may ask about a build, ready for `json.dumps`.

    `page_url` and `registry_url` are where people see it (the bot's page, the registry's); `log_tail` is what is known
    of the log now, by default what was stored. Text is as it came, also lone surrogates: dump it as ASCII.
    """
    build, stored = story.build, story.build.seen.log
    tail = stored.tail if log_tail is None and stored is not None else log_tail
    return {
        **_asked(build),
        **_pushed(build),
        **_seen(build),
        "page_url": page_url,
        "registry_url": registry_url,
        "status": _status(story.status, build) if story.status else None,
        "steps": [{"at": step.at.isoformat(), "what": step.what} for step in story.steps],
        "failed_step": (stored.failed_step or None) if stored else None,
        "log_tail": None if tail is None else list(tail),
    }


def _asked(build: Build) -> dict[str, object]:
    request = build.request
    return {
        "id": build.id,
        "rule": request.rule,
        "registry": request.registry,
        "repository": request.repository,
        "image_tags": list(request.image_tags),
        "context": request.context,
        "dockerfile_path": request.dockerfile_path,
        "pull_robot": request.pull_robot,
        "status_context": request.status_context,
        "rebuild_of": build.rebuild_of,
        "warning": build.warning,
    }


def _pushed(build: Build) -> dict[str, object]:
    return {
        "forge": build.source.forge,
        "source": build.source.full_name,
        "source_url": build.source.html_url,
        "ref": build.ref,
        "commit": build.commit,
        "message": build.message,
        "pusher": build.pusher,
        "compare_url": build.compare_url,
        "found_by": "sweep" if build.is_swept else None,
    }


def _seen(build: Build) -> dict[str, object]:
    seen = build.seen
    return {
        "phase": str(seen.phase),
        "is_final": build.is_final,
        "description": describe(build),
        "because": seen.because,
        "line": {"for": str(seen.line), "place": seen.place} if seen.line else None,
        "created_at": build.created_at.isoformat(),
        "finished_at": _time(seen.finished_at),
        "goal": _goal(build.goal),
        "cancel": _cancel(seen.delete) if seen.delete else None,
        "attempt": seen.attempt,
        "quay_id": seen.quay_id,
        "quay_phase": seen.quay_phase,
        "quay_attempt": seen.quay_attempt,
    }


def _goal(goal: Goal) -> dict[str, object]:
    return {"kind": str(goal.kind), "reason": str(goal.reason) if goal.reason else None, "detail": goal.detail}


def _cancel(delete: Delete) -> dict[str, object]:
    return {
        "reason": str(delete.reason),
        "detail": delete.detail,
        "sent_at": delete.sent_at.isoformat(),
        "state": str(delete.state),
        "refusal": delete.refusal,
    }


def _status(report: StatusReport, build: Build) -> dict[str, object]:
    return {
        "context": report.context,
        "sha": report.sha,
        "wanted": _commit_status(report.wanted),
        "posted": _posted(report.posted, build) if report.posted else None,
        "stopped": report.stopped,
        "delayed": report.delayed,
    }


def _posted(posted: Posted, build: Build) -> dict[str, object]:
    is_own = posted.owner == build.id
    return _commit_status(posted.status) | {"at": posted.at.isoformat(), "is_of_this_build": is_own}


def _commit_status(status: CommitStatus) -> dict[str, object]:
    return {"state": str(status.state), "description": status.description, "target_url": status.target_url}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
