"""The commit status a build wants, and when it is worth another call to the forge. Pure functions of values.

People read a status to learn whether to wait, to fix or to shrug. So its text says what it waits for, who superseded
it, in which step it failed. A forge counts every write, so between the first pending and the end at most two more go
out, each only when the *class* of the news changed (queued → building → Quay retries) and the last write is a minute
old. What was posted is compared with what is wanted now: a pending whose build has ended meanwhile is never sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from buildbot.domain.build import Build, BuildId, BuildPhase, Seen
from buildbot.domain.lifecycle import RETRYING, in_words

DESCRIPTION_LIMIT = 140
REF_LIMIT = 40
LATER_PENDINGS = 2
PENDING_PAUSE = timedelta(minutes=1)


class StatusState(StrEnum):
    """The four states every forge knows in some spelling (these are GitHub's)."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"

    @property
    def is_final(self) -> bool:
        return self is not StatusState.PENDING


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What a commit should show under one context.

    `stage` classes the pendings ("queued", "building", "retrying", "blocked"): only a change of it is worth another
    pending. `description` fits every forge (140 characters, GitHub's limit, the smallest).
    """

    state: StatusState
    description: str
    target_url: str | None = None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """What was last sent for a status, for which build, when, and how many pendings that build has had by then."""

    status: CommitStatus
    owner: BuildId
    at: datetime
    pendings: int


@dataclass(frozen=True, slots=True)
class Post:
    """Send what is wanted, now."""


@dataclass(frozen=True, slots=True)
class Later:
    """Look again at `until`: the news is worth a pending, but the last write is too fresh."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Nothing:
    """What stands at the forge is all that has to be said for now."""


def status_of(build: Build, target_url: str | None = None) -> CommitStatus:
    """The status that a build wants now."""
    text = describe(build) + (f"; {build.warning}" if build.warning else "")
    text = f"{text[0].upper()}{text[1:]}"
    match build.seen.phase:
        case BuildPhase.SUCCEEDED:
            return CommitStatus(StatusState.SUCCESS, cut(text), target_url)
        case BuildPhase.FAILED:
            return CommitStatus(StatusState.FAILURE, cut(text), target_url)
        case BuildPhase.ERRORED | BuildPhase.CANCELLED:
            return CommitStatus(StatusState.ERROR, cut(text), target_url)
        case BuildPhase.PLANNED | BuildPhase.REQUESTING | BuildPhase.WAITING | BuildPhase.BUILDING:
            return CommitStatus(StatusState.PENDING, cut(text), target_url, _stage(build.seen))
        case _ as never:
            assert_never(never)


def next_post(wanted: CommitStatus, owner: BuildId, posted: Posted | None, now: datetime) -> Post | Later | Nothing:
    """Whether the wanted status is worth a call now. `owner` is the build that wants it."""
    if posted is None or posted.owner != owner:
        return Post()
    last = posted.status
    if wanted.state.is_final:
        is_told = (wanted.state, wanted.description) == (last.state, last.description)
        return Nothing() if is_told else Post()
    if last.state.is_final:
        return Post()
    if wanted.stage == last.stage or posted.pendings > LATER_PENDINGS:
        return Nothing()
    due = posted.at + PENDING_PAUSE
    return Post() if now >= due else Later(due)


def describe(build: Build) -> str:
    """Where the build stands, in words."""
    seen, what = build.seen, image_of(build)
    match seen.phase:
        case BuildPhase.PLANNED | BuildPhase.REQUESTING:
            return f"{build.ref_name}: {seen.because}" if seen.because else f"asking Quay to build {what}"
        case BuildPhase.WAITING:
            return _waiting(build)
        case BuildPhase.BUILDING:
            return _building(build, what)
        case BuildPhase.SUCCEEDED:
            took = _took(seen)
            return f"built {what}" + (f" in {took}" if took else "")
        case BuildPhase.FAILED | BuildPhase.ERRORED | BuildPhase.CANCELLED:
            return _with_ref(seen.because or str(seen.phase), build.ref_name)
        case _ as never:
            assert_never(never)


def image_of(build: Build) -> str:
    """ "acme/api:main, sha-1a2b3c4"."""
    return f"{build.request.repository}:{', '.join(build.request.image_tags)}"


def cut(text: str, limit: int = DESCRIPTION_LIMIT) -> str:
    """The text on one line, at most `limit` characters, with an ellipsis where something is missing."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _with_ref(text: str, ref: str) -> str:
    suffix = f" ({cut(ref, REF_LIMIT)})"
    return cut(text, DESCRIPTION_LIMIT - len(suffix)) + suffix


def _stage(seen: Seen) -> str:
    if seen.because and seen.phase in {BuildPhase.PLANNED, BuildPhase.REQUESTING}:
        return "blocked"
    if seen.silent_since is not None:
        return "blocked"
    if seen.phase is not BuildPhase.BUILDING:
        return "queued"
    return "retrying" if seen.quay_attempt > 1 or seen.quay_phase in RETRYING else "building"


def _waiting(build: Build) -> str:
    seen, repository = build.seen, build.request.repository
    if seen.silent_since is not None:
        return _silent(build)
    if seen.ahead:
        return f"queued behind {seen.ahead} build{'' if seen.ahead == 1 else 's'} of {repository} ({build.ref_name})"
    return f"queued at Quay: {image_of(build)}"


def _building(build: Build, what: str) -> str:
    seen = build.seen
    if seen.silent_since is not None:
        return _silent(build)
    if seen.quay_phase in RETRYING:
        return f"attempt {seen.quay_attempt} failed, Quay retries {what}"
    refused = f"; too late to cancel: {seen.delete.refusal}" if seen.delete and seen.delete.refusal else ""
    again = f", attempt {seen.quay_attempt}" if seen.quay_attempt > 1 else ""
    return f"building {what}{again}{refused}"


def _silent(build: Build) -> str:
    seen = build.seen
    since = f"{seen.silent_since:%H:%M} UTC" if seen.silent_since else "a while"
    return f"{build.ref_name}: no word from Quay since {since}: {seen.because}"


def _took(seen: Seen) -> str:
    start = seen.building_since or seen.accepted_at
    return in_words(seen.finished_at - start) if start and seen.finished_at else ""
