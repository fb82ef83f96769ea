"""What the page of a build says, as values: the template only arranges them.

A person comes here from a red or yellow dot on a commit and wants three things in this order: how it stands, why, and
what to do. So the sentence of the status comes first, whole where the forge cut it, then what was pushed and asked, the
steps, what the forge was told, the log, and the commands that act on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never

from buildbot.domain.build import Build, Delete, DeleteState, Goal, GoalKind
from buildbot.domain.lifecycle import QUAY_ATTEMPTS, cancelled_in_words, in_words
from buildbot.domain.push import short
from buildbot.domain.status import CommitStatus, Posted, cut, describe, image_of
from buildbot.ports import BuildStory, StatusReport
from buildbot.web.hostile_text import quoted, web_address

RELOAD_SECONDS = 10
MESSAGE_LIMIT = 200
TITLE_LIMIT = 80
LOG_ANCHOR = "#log"


@dataclass(frozen=True, slots=True)
class Fact:
    """A name with what it stands for. `href` is a link that is fit to be followed; `is_code`: shown as typed."""

    name: str
    text: str
    href: str | None = None
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step: when (`at` for machines, `time` for people), how long after the beginning, what."""

    at: str
    time: str
    elapsed: str
    what: str


@dataclass(frozen=True, slots=True)
class BuildView:
    """Everything on the page. `reload_seconds` is None once the build is final; `log_note` says why `log` is empty."""

    id: str
    title: str
    phase: str
    headline: str
    reason: str
    warning: str
    when: str
    reload_seconds: int | None
    pushed: tuple[Fact, ...]
    asked: tuple[Fact, ...]
    progress: tuple[Fact, ...]
    steps: tuple[StepLine, ...]
    status: tuple[Fact, ...]
    log: tuple[str, ...]
    log_note: str
    links: tuple[Fact, ...]
    commands: tuple[Fact, ...]


def build_view(story: BuildStory, log: Sequence[str] | None, registry_page: str | None, now: datetime) -> BuildView:
    """The page of a build as of `now`."""
    build = story.build
    headline = _capital(describe(build))
    return BuildView(
        id=build.id,
        title=cut(f"{_capital(build.seen.phase)}: {image_of(build)}", TITLE_LIMIT),
        phase=str(build.seen.phase),
        headline=headline,
        reason=_rest_of_reason(build, headline),
        warning=_capital(build.warning),
        when=_when(build, now),
        reload_seconds=None if build.is_final else RELOAD_SECONDS,
        pushed=_pushed(build),
        asked=_asked(build),
        progress=_progress(build),
        steps=tuple(_step_line(step.at, step.what, build.created_at) for step in story.steps),
        status=_status(story.status, build),
        log=tuple(log or ()),
        log_note=_why_no_log(build, log),
        links=_links(build, registry_page),
        commands=_commands(build),
    )


def _rest_of_reason(build: Build, headline: str) -> str:
    because = " ".join(build.seen.because.split())
    return "" if because.lower() in headline.lower() else _capital(because)


def _when(build: Build, now: datetime) -> str:
    ended = build.seen.finished_at
    if ended is None:
        return f"Under way for {_span(now - build.created_at)}."
    return f"Ended {_utc(ended)}, {_span(ended - build.created_at)} after it was planned."


def _pushed(build: Build) -> tuple[Fact, ...]:
    source, privacy = build.source, " (private)" if build.source.private else ""
    message = next(iter((build.message or "").splitlines()), "")
    facts = [
        Fact("Source", f"{source.full_name}{privacy}", web_address(source.html_url)),
        Fact(build.kind.capitalize(), build.ref_name, is_code=True),
        _commit(build),
        Fact("Message", cut(message, MESSAGE_LIMIT)),
        Fact("Pushed by", build.pusher or ""),
        Fact("Found by the sweep", "no delivery told of this push" if build.is_swept else ""),
    ]
    if compare := web_address(build.compare_url):
        facts.append(Fact("Changes", "compare with what was there before", compare))
    return _told(facts)


def _commit(build: Build) -> Fact:
    if build.commit is None:
        return Fact("Commit", "not known yet: the tag is being looked up")
    repository = web_address(build.source.html_url)
    href = web_address(f"{repository.rstrip('/')}/commit/{quoted(build.commit)}") if repository else None
    return Fact("Commit", short(build.commit), href, is_code=True)


def _asked(build: Build) -> tuple[Fact, ...]:
    request = build.request
    return _told(
        [
            Fact("Rule", request.rule),
            Fact("Registry", request.registry),
            Fact("Repository", request.repository, is_code=True),
            Fact("Image tags", ", ".join(request.image_tags), is_code=True),
            Fact("Dockerfile", request.dockerfile_path, is_code=True),
            Fact("Context", request.context, is_code=True),
            Fact("Pulls as", request.pull_robot or "", is_code=True),
            Fact("Timeout", in_words(request.timeout) if request.timeout else ""),
        ]
    )


def _progress(build: Build) -> tuple[Fact, ...]:
    seen = build.seen
    return _told(
        [
            Fact("Wanted", _wanted(build.goal)),
            Fact("Cancel", _cancel(seen.delete) if seen.delete else ""),
            Fact("Attempt", _attempt(build)),
            Fact("Quay says", _quay_says(build)),
            Fact("Quay's build", seen.quay_id or "", is_code=True),
            Fact("Failed step", seen.log.failed_step if seen.log and build.is_final else "", is_code=True),
        ]
    )


def _wanted(goal: Goal) -> str:
    why = f": {cancelled_in_words(goal.reason, goal.detail)}" if goal.reason else ""
    match goal.kind:
        case GoalKind.BUILD:
            return ""
        case GoalKind.CANCEL:
            return f"to be cancelled{why}"
        case GoalKind.CANCEL_QUEUED:
            return f"to be cancelled unless it has begun to build{why}"
        case _ as never:
            assert_never(never)


def _cancel(delete: Delete) -> str:
    why = cancelled_in_words(delete.reason, delete.detail)
    asked = f"Quay was asked at {_utc(delete.sent_at)} ({why})"
    match delete.state:
        case DeleteState.SENT:
            return asked
        case DeleteState.UNANSWERED:
            return f"{asked} and did not answer"
        case DeleteState.REFUSED:
            return f"{asked} and refused: {delete.refusal}"
        case _ as never:
            assert_never(never)


def _attempt(build: Build) -> str:
    if build.seen.attempt == 0:
        return "Quay has not been asked yet"
    return "" if build.seen.attempt == 1 else f"asked Quay {build.seen.attempt} times"


def _quay_says(build: Build) -> str:
    seen = build.seen
    if not seen.quay_phase:
        return ""
    again = f" (attempt {seen.quay_attempt} of {QUAY_ATTEMPTS})" if seen.quay_attempt > 1 else ""
    since = f" since {_utc(seen.quay_phase_since)}" if seen.quay_phase_since else ""
    return f"{seen.quay_phase}{again}{since}"


def _step_line(at: datetime, what: str, beginning: datetime) -> StepLine:
    return StepLine(at.astimezone(UTC).isoformat(timespec="seconds"), _utc(at), f"+{_span(at - beginning)}", what)


def _status(report: StatusReport | None, build: Build) -> tuple[Fact, ...]:
    if report is None:
        return (Fact("Status", _why_no_status(build)),)
    posted, is_ours = report.posted, report.posted is not None and report.posted.owner == build.id
    facts = [Fact("Context", report.context, is_code=True), Fact("Posted", _posted(posted, is_ours=is_ours))]
    if posted is None or not is_ours or not _say_the_same(posted.status, report.wanted):
        facts.append(Fact("Wanted", _spoken(report.wanted)))
    if report.stopped:
        facts.append(Fact("Given up", report.stopped))
    elif report.delayed:
        facts.append(Fact("Not yet, because", report.delayed))
    return tuple(facts)


def _why_no_status(build: Build) -> str:
    if build.commit is None:
        return "none yet: the commit that the tag points to is not known"
    return f"a later build of this commit reports as {build.request.status_context}; this one is told of here alone"


def _posted(posted: Posted | None, *, is_ours: bool) -> str:
    if posted is None:
        return "nothing yet"
    whose = "" if is_ours else "of an earlier build, "
    return f"{whose}{_utc(posted.at)}: {_spoken(posted.status)}"


def _say_the_same(one: CommitStatus, other: CommitStatus) -> bool:
    return (one.state, one.description) == (other.state, other.description)


def _spoken(status: CommitStatus) -> str:
    return f"{status.state}, “{status.description}”"


def _why_no_log(build: Build, log: Sequence[str] | None) -> str:
    if log is not None:
        return "" if log else "It is empty so far."
    if build.seen.quay_id is not None:
        return "It cannot be read from Quay just now."
    return "There is none: Quay does not have this build."


def _links(build: Build, registry_page: str | None) -> tuple[Fact, ...]:
    links = [Fact("", "The end of the log", LOG_ANCHOR), Fact("", "This build at Quay", web_address(registry_page))]
    if build.rebuild_of:
        links.append(Fact("", "The build that this one repeats", f"./{quoted(build.rebuild_of)}"))
    return tuple(link for link in links if link.href)


def _commands(build: Build) -> tuple[Fact, ...]:
    rebuild = Fact("To build the same again", f"buildbot builds rebuild {build.id}")
    log = Fact("To read the whole log", f"buildbot builds logs {build.id}")
    cancel = Fact("To cancel it", f"buildbot builds cancel {build.id}")
    known_log = (log,) if build.seen.quay_id else ()
    return (*known_log, rebuild) if build.is_final else (*known_log, cancel)


def _told(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if fact.text)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    return in_words(max(span, timedelta()))
