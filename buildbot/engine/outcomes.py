"""From what a call did or raised to what the lifecycle can learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from buildbot.domain.lifecycle import WORKING, Accepted, Blocked, Failed, Failure, PhaseRead, QueueFull
from buildbot.engine.pacing import DEFAULT_PAUSE, LONG_PAUSE, Clock, Closed, Line
from buildbot.ports import (
    BuildRecord,
    CallError,
    CredentialRefused,
    NotSent,
    Refused,
    Throttled,
    Unreachable,
    Vanished,
)

UNFINISHED = WORKING | {"waiting"}


def request_failure(error: CallError | Closed, line: Line, clock: Clock) -> Failed | Blocked | QueueFull:
    """What a failed requestRepoBuild means: it alone may be refused for a full queue."""
    if isinstance(error, Throttled) and not error.by_proxy:
        return QueueFull(str(error), error.retry_at)
    return failure_of(error, line, clock)


def failure_of(error: CallError | Closed, line: Line, clock: Clock) -> Failed | Blocked:
    """What a failed call means. What is wrong with the whole line is no failure of the one build."""
    match error:
        case Closed():
            return Blocked(str(error), error.until)
        case Throttled(by_proxy=True):
            return Blocked(str(error), error.retry_at or clock.now() + DEFAULT_PAUSE)
        case Unreachable() | CredentialRefused():
            return Blocked(line.trouble or str(error), next_probe(error, line, clock))
        case Throttled():
            return Failed(Failure.NOT_SENT, str(error), error.retry_at)
        case NotSent():
            return Failed(Failure.NOT_SENT, str(error))
        case Refused():
            return Failed(Failure.REFUSED, str(error))
        case Vanished():
            return Failed(Failure.VANISHED, str(error))
        case _:
            return Failed(Failure.UNANSWERED, str(error))


def next_probe(error: CallError, line: Line, clock: Clock) -> datetime:
    """When to call again after an error that is about the whole line."""
    if closed := line.closed():
        return closed.until
    return clock.now() + (LONG_PAUSE if isinstance(error, CredentialRefused) else DEFAULT_PAUSE)


def phase_in_list(record: BuildRecord, records: Sequence[BuildRecord]) -> PhaseRead:
    """What a list of all builds (newest first) tells about one of them."""
    older = records[records.index(record) + 1 :]
    others = [other for other in records if other.id != record.id]
    return PhaseRead(
        phase=record.phase,
        active=sum(other.phase in WORKING for other in others),
        ahead=sum(other.phase in UNFINISHED for other in older),
    )


def accepted(record: BuildRecord, read: PhaseRead | None = None) -> Accepted:
    """A build that Quay has: from the answer to the request, or found in the list."""
    return Accepted(record.id, record.started, record.tags, read or PhaseRead(record.phase))


def average(known: timedelta | None, newest: timedelta) -> timedelta:
    """A repository's usual build time, following the newest ones."""
    return newest if known is None else known * 0.7 + newest * 0.3
