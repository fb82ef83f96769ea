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

from buildbot.domain.build import Build, BuildId, BuildPhase, Seen, WaitingLine
from buildbot.domain.lifecycle import QUAY_ATTEMPTS, RETRYING, in_words
from buildbot.domain.log import plain

DESCRIPTION_LIMIT = 140
REF_LIMIT = 40
WARNING_LIMIT = 60
REFUSAL_LIMIT = 50
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


def may_own_status(build: Build) -> bool:
    """Whether there is a commit status that the build may have: its commit is known, and it is, or was, wanted."""
    return build.commit is not None and build.seen.phase not in {BuildPhase.COMPARING, BuildPhase.SKIPPED}


def status_of(build: Build, target_url: str | None = None) -> CommitStatus:
    """The status that a build wants now."""
    warning = f"; {cut(build.warning, WARNING_LIMIT)}" if build.warning else ""
    text = describe(build, DESCRIPTION_LIMIT - len(warning)) + warning
    text = f"{text[0].upper()}{text[1:]}"
    match build.seen.phase:
        case BuildPhase.SUCCEEDED | BuildPhase.SKIPPED:  # no status is posted of what was skipped
            return CommitStatus(StatusState.SUCCESS, text, target_url)
        case BuildPhase.FAILED:
            return CommitStatus(StatusState.FAILURE, text, target_url)
        case BuildPhase.ERRORED | BuildPhase.CANCELLED:
            return CommitStatus(StatusState.ERROR, text, target_url)
        case (
            BuildPhase.COMPARING | BuildPhase.PLANNED | BuildPhase.REQUESTING | BuildPhase.WAITING | BuildPhase.BUILDING
        ):
            return CommitStatus(StatusState.PENDING, text, target_url, _stage(build.seen))
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


def describe(build: Build, limit: int = DESCRIPTION_LIMIT) -> str:
    """Where the build stands, in words that name its ref, on one line of at most `limit` characters."""
    seen = build.seen
    match seen.phase:
        case BuildPhase.COMPARING:
            return _about_ref("", seen.because or "finding out what changed", build, limit)
        case BuildPhase.PLANNED | BuildPhase.REQUESTING:
            if seen.because:
                return _fitted("", seen.because, _place(seen) + _in_brackets(build), limit)
            return _about_image("asking Quay to build ", build, "", limit)
        case BuildPhase.WAITING:
            return _waiting(build, limit)
        case BuildPhase.BUILDING:
            return _building(build, limit)
        case BuildPhase.SUCCEEDED:
            took = _took(seen)
            return _about_image("built ", build, f" in {took}" if took else "", limit)
        case BuildPhase.FAILED | BuildPhase.ERRORED | BuildPhase.CANCELLED | BuildPhase.SKIPPED:
            return _about_ref("", seen.because or str(seen.phase), build, limit)
        case _ as never:
            assert_never(never)


def image_of(build: Build) -> str:
    """ "acme/api:main, sha-1a2b3c4"."""
    return f"{build.request.repository}:{', '.join(build.request.image_tags)}"


def cut(text: str, limit: int = DESCRIPTION_LIMIT) -> str:
    """The text on one line, at most `limit` characters, with an ellipsis where something is missing.

    Colours, control characters and those that turn the direction of writing go: some of it is what others wrote.
    """
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def _place(seen: Seen) -> str:
    if seen.line is None or not seen.place:
        return ""
    colon = ":" if seen.line is WaitingLine.PLACE else ","
    return f"{colon} {ordinal(seen.place)} in line"


def ordinal(number: int) -> str:
    """ "1st", "2nd", "3rd", "4th", "11th", "112th"."""
    is_teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _about_ref(lead: str, text: str, build: Build, limit: int) -> str:
    return _fitted(lead, text, _in_brackets(build), limit)


def _about_image(lead: str, build: Build, tail: str, limit: int) -> str:
    # Where the image tags are cut short, the one that is called like the ref may be what is missing.
    plainly = f"{lead}{image_of(build)}{tail}"
    if build.ref_name in build.request.image_tags and len(plainly) <= limit:
        return plainly
    return _fitted(lead, image_of(build), tail + _in_brackets(build), limit)


def _fitted(lead: str, text: str, tail: str, limit: int) -> str:
    return f"{lead}{cut(text, limit - len(lead) - len(tail))}{tail}".strip()


def _in_brackets(build: Build) -> str:
    return f" ({cut(build.ref_name, REF_LIMIT)})"


def _stage(seen: Seen) -> str:
    if seen.because and seen.phase in {BuildPhase.PLANNED, BuildPhase.REQUESTING}:
        return "blocked"
    if seen.silent_since is not None:
        return "blocked"
    if seen.phase is not BuildPhase.BUILDING:
        return "queued"
    return "retrying" if seen.quay_attempt > 1 or seen.quay_phase in RETRYING else "building"


def _waiting(build: Build, limit: int) -> str:
    seen = build.seen
    if seen.silent_since is not None:
        return _about_ref(f"queued at Quay, {_silence(seen)}", seen.because, build, limit)
    if seen.ahead:
        builds = "1 build" if seen.ahead == 1 else f"{seen.ahead} builds"
        return _about_ref(f"queued behind {builds} of ", build.request.repository, build, limit)
    return _about_image("queued at Quay: ", build, "", limit)


def _building(build: Build, limit: int) -> str:
    seen, attempt = build.seen, build.seen.quay_attempt
    if seen.silent_since is not None:
        return _about_ref(f"building, {_silence(seen)}", seen.because, build, limit)
    if seen.quay_phase == "expired" and attempt >= QUAY_ATTEMPTS:
        return _about_image(f"attempt {attempt} failed, finding out why: ", build, "", limit)
    if seen.quay_phase in RETRYING:
        return _about_image(f"attempt {attempt} failed, Quay retries ", build, "", limit)
    refusal = seen.delete.refusal if seen.delete else ""
    again = f", attempt {attempt}" if attempt > 1 else ""
    too_late = f"; too late to cancel: {cut(refusal, REFUSAL_LIMIT)}" if refusal else ""
    return _about_image("building ", build, again + too_late, limit)


def _silence(seen: Seen) -> str:
    return f"no word from Quay since {seen.silent_since:%H:%M} UTC: "


def _took(seen: Seen) -> str:
    start = seen.building_since or seen.accepted_at
    return in_words(seen.finished_at - start) if start and seen.finished_at else ""
