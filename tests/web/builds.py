"""Builds and their stories for the tests of the pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from buildbot.domain.build import Build, BuildId, BuildPhase, BuildRequest, LogDigest, Seen
from buildbot.domain.push import Source
from buildbot.domain.status import Posted, status_of
from buildbot.ports import BuildStory, StatusReport, Step

BEGINNING = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW = BEGINNING + timedelta(minutes=5)
COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
ID = BuildId("00ff" * 8)

REQUEST = BuildRequest(
    rule="api",
    registry="quay",
    repository="acme/api",
    image_tags=("main", "sha-1a2b3c4"),
    archive_url="https://codeload.example/acme/api/tar.gz/secret-of-the-archive",
    context=f"/api-{COMMIT}/server",
    dockerfile_path=f"/api-{COMMIT}/server/Dockerfile",
    status_context="quay/api",
)
SOURCE = Source("github", "42", "acme/api", html_url="https://github.com/acme/api")


def build(phase: BuildPhase = BuildPhase.BUILDING, **changes: Any) -> Build:
    """A build of acme/api in a phase; `changes` name fields of `Build` or of `Seen`."""
    seen = Seen(phase=phase, attempt=1, quay_id="quay-1", finished_at=NOW if phase.is_final else None)
    of_seen = {name: value for name, value in changes.items() if name in Seen.__dataclass_fields__}
    made = Build(
        id=ID,
        seq=1,
        source=SOURCE,
        ref="refs/heads/main",
        commit=COMMIT,
        tag_object=None,
        request=REQUEST,
        created_at=BEGINNING,
        seen=replace(seen, **of_seen),
        message="Serve faster\n\nBecause it was slow.",
        pusher="ada",
        compare_url="https://github.com/acme/api/compare/0...1",
    )
    return replace(made, **{name: value for name, value in changes.items() if name not in of_seen})


def story(of: Build, *steps: str, posted: bool = True, stopped: str | None = None, delayed: str = "") -> BuildStory:
    """The story of a build whose wanted status stands at the forge (or does not)."""
    wanted = status_of(of, "https://builds.example/builds/1")
    sent = Posted(wanted, of.id, NOW, 1) if posted else None
    report = StatusReport(of.request.status_context, of.commit or "", wanted, sent, stopped, delayed)
    times = (BEGINNING + timedelta(seconds=65 * count) for count in range(len(steps)))
    return BuildStory(of, tuple(Step(at, what) for at, what in zip(times, steps, strict=True)), report)


def digest_of(*lines: str) -> LogDigest:
    """A stored log that ends with these lines."""
    return LogDigest(attempts=1, failed_step="3/7: RUN make", last_line=lines[-1], has_output=True, tail=lines)
