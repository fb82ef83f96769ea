"""When to ask again: back-off after failures, and how often to look at a build.

Pure functions of what is known, tested by tables. A poll is a question, not work: it may be rare while nothing can have
changed (deep in Quay's queue) and should be frequent when the end is near, since someone waits for the status.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from buildbot.domain.build import BuildPhase, Seen

FIRST_BACKOFF = timedelta(seconds=1)
LONGEST_BACKOFF = timedelta(minutes=1)
WIDEST_POLL = 6
SURELY_RUNNING = 0.85
"""Of a repository's usual build time: before that few builds end, and a look would most likely be for nothing."""


def backoff(failures: int) -> timedelta:
    """How long to wait after so many failures in a row: 1 s doubling to a minute."""
    doublings = min(max(failures - 1, 0), 16)
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << doublings))


def poll_after(seen: Seen, now: datetime, shortest: timedelta, typical: timedelta | None) -> timedelta:
    """How long until the next look at an accepted build, never below `shortest`.

    `typical` is how long builds of this repository usually take from their acceptance to their end, None if unknown:
    then the first looks are where a build most likely still runs, and the close ones where someone waits for its end.
    What fails early is noticed later for it, by a minute at most in a build of a few minutes.
    """
    if seen.phase is BuildPhase.WAITING:
        return _while_waiting(seen, now, shortest)
    if seen.quay_phase in {"internalerror", "expired"}:
        return shortest * 3
    return _while_building(seen, shortest, typical)


def _while_waiting(seen: Seen, now: datetime, shortest: timedelta) -> timedelta:
    waited = now - (seen.quay_phase_since or now)
    return _clamp(shortest + waited / 8, shortest)


def _while_building(seen: Seen, shortest: timedelta, typical: timedelta | None) -> timedelta:
    if typical is None:
        return min(shortest + seen.ran / 25, shortest * 2.5)
    early = typical * SURELY_RUNNING - seen.ran
    if early > timedelta():
        return max(shortest, min(early, max(shortest * WIDEST_POLL, shortest * 10 + seen.ran / 2)))
    overdue = max(seen.ran - typical * 2, timedelta())
    near = min(typical / 10, shortest * 1.7)
    return _clamp(near + overdue / 20, shortest)


def _clamp(interval: timedelta, shortest: timedelta) -> timedelta:
    return max(shortest, min(interval, shortest * WIDEST_POLL))
