"""Builds in any state, in one line each: what the tests of the domain start from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from buildbot.domain.build import Build, BuildId, BuildPhase, BuildRequest, CancelReason, Goal, GoalKind, Seen
from buildbot.domain.push import Source

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SHA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"

REQUEST = BuildRequest(
    rule="api",
    registry="quay",
    repository="acme/api",
    image_tags=("main", "sha-1a2b3c4"),
    archive_url=f"https://github.com/acme/api/archive/{SHA}.tar.gz",
    context=f"/api-{SHA}",
    dockerfile_path=f"/api-{SHA}/Dockerfile",
    status_context="quay/api",
)
SUPERSEDED = Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "9f8e7d6")
QUEUED_ONLY = Goal(GoalKind.CANCEL_QUEUED, CancelReason.SUPERSEDED, "9f8e7d6")


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def in_(**span: float) -> datetime:
    return NOW + timedelta(**span)


def a_build(seen: Seen | None = None, *, goal: Goal | None = None, private: bool = False) -> Build:
    """A build of main, planned a minute ago, as far along as `seen` says."""
    return Build(
        id=BuildId("b1"),
        seq=1,
        source=Source("github", "42", "acme/api", private=private),
        ref="refs/heads/main",
        commit=SHA,
        tag_object=None,
        request=REQUEST,
        created_at=ago(minutes=1),
        goal=goal or Goal(),
        seen=seen or Seen(),
    )


def requesting(**changes: object) -> Seen:
    """Asked ten seconds ago, as the first attempt; nobody knows what became of it."""
    seen = Seen(phase=BuildPhase.REQUESTING, attempt=1, asked_at=ago(seconds=10))
    return replace(seen, **changes)  # type: ignore[arg-type]  # the names are checked when it runs


def accepted(quay_phase: str = "waiting", **changes: object) -> Seen:
    """Quay has it and has just said so."""
    phase = BuildPhase.WAITING if quay_phase == "waiting" else BuildPhase.BUILDING
    seen = Seen(
        phase=phase,
        attempt=1,
        quay_id="q1",
        quay_phase=quay_phase,
        quay_phase_since=NOW,
        accepted_at=ago(minutes=5),
        observed_at=NOW,
    )
    return replace(seen, **changes)  # type: ignore[arg-type]  # the names are checked when it runs


def planned(**changes: object) -> Seen:
    """Not asked, or certainly not there."""
    return replace(Seen(), **changes)  # type: ignore[arg-type]  # the names are checked when it runs
