"""A Quay and a GitHub in one, as far as builds and statuses go, quick enough to be the other side of a load.

The stateful sandboxes of `buildbot.sandbox` answer as the real ones do, at some hundred calls a second. This answers
the same shapes of the same routes from a table, some ten thousand a second, and notes when what came. It keeps no time
of its own: who serves it hands the moment in, be it real (`remote_process`) or simulated.

How long a build takes follows from its commit, so two programs that are compared have the same builds. Builds of one
repository run side by side, or one at a time as Quay's own build manager has it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

STARTING = ((0.0, "build-scheduled"), (0.25, "unpacking"), (1.25, "pulling"), (2.3, "building"))
PUSHING_SECONDS = 1.0
_BUILDS = re.compile(r"/api/v1/repository/([^/]+/[^/]+)/build(?:/([^/]+)?)?(/status|/logs)?")
_STATUSES = re.compile(r"/repos/([^/]+/[^/]+)/statuses/([0-9a-f]{40})")
_CONTENTS = re.compile(r"/repos/[^/]+/[^/]+/contents/.+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
Answer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Course:
    """How builds go: seconds in the queue and from there to the end, both within a span, by the commit's digits.

    `varies`: how much builds of one repository differ among themselves, as a share of the repository's own usual time
    (which lies in the span); None: each build is anywhere in the span. `ending`: of so many builds one takes another
    time, so many seconds and up to so many more.
    """

    queued: tuple[float, float] = (0.5, 2.0)
    building: tuple[float, float] = (9.0, 15.0)
    varies: float | None = None
    one_at_a_time: bool = False
    ending: tuple[int, float, float] | None = None

    def seconds(self, repository: str, sha: str) -> tuple[float, float]:
        """(in the queue, from there to the end) for a build."""
        queued = _within(self.queued, _digits(sha[:8]))
        if self.ending is not None and int(sha[16:24], 16) % self.ending[0] == 0:
            return queued, _within((self.ending[1], self.ending[1] + self.ending[2]), _digits(sha[8:16]))
        if self.varies is None:
            return queued, _within(self.building, _digits(sha[8:16]))
        usual = _within(self.building, _digits(hashlib.sha256(repository.encode()).hexdigest()[:8]))
        return queued, usual * (1 + self.varies * (2 * _digits(sha[8:16]) - 1))


def _digits(text: str) -> float:
    return int(text, 16) / float(16 ** len(text))


def _within(span: tuple[float, float], share: float) -> float:
    return span[0] + (span[1] - span[0]) * share


@dataclass(slots=True)
class RemoteBuild:
    """A build, its whole life known from the moment it is asked for. Times are by the server's clock."""

    id: str
    repository: str
    sha: str
    archive_url: str
    tags: list[str]
    requested: float
    starts: float
    ends: float
    is_cancelled: bool = False

    def phase(self, now: float) -> str:
        """The phase as Quay would call it."""
        if self.is_cancelled:
            return "cancelled"
        if now < self.starts:
            return "waiting"
        if now >= self.ends:
            return "complete"
        if now >= self.ends - PUSHING_SECONDS:
            return "pushing"
        return [word for since, word in STARTING if now >= self.starts + since][-1]


@dataclass(slots=True)
class Facts:
    """What happened: calls by operation, builds, when each commit's status came, when each repository was last listed.

    `statuses` are (commit, state, when) in order.
    """

    calls: dict[str, int] = field(default_factory=dict)
    requested: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    statuses: list[tuple[str, str, float]] = field(default_factory=list)
    looked_at: dict[str, float] = field(default_factory=dict)


class Remote:
    """The state of both. `answer` takes one call and is all there is to it."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.facts = Facts()
        self._builds: dict[str, RemoteBuild] = {}
        self._by_repository: dict[str, list[RemoteBuild]] = {}

    def answer(self, method: str, target: str, body: bytes, now: float) -> Answer:
        """The status and body that answer a call. `now` is in seconds since the epoch."""
        path, _, query = target.partition("?")
        if found := _BUILDS.fullmatch(path):
            return self._quay(method, found[1], found[2], found[3], query, body, now)
        if found := _STATUSES.fullmatch(path):
            return self._status(found[2], body, now)
        return self._else(path, now)

    def _else(self, path: str, now: float) -> Answer:
        if path == "/ready":
            return 200, b"{}"
        if path == "/facts":
            return 200, json.dumps({one.name: getattr(self.facts, one.name) for one in fields(self.facts)}).encode()
        if path == "/reset":
            self.__init__(self.course)  # type: ignore[misc]  # a new one in its place
            return 200, b"{}"
        return self._account(path, now)

    def _account(self, path: str, now: float) -> Answer:
        if path == "/user":
            self._count("whoAmI")
            return 200, b'{"login": "ci-bot", "id": 7}'
        if path.endswith("/installation"):
            self._count("installation")
            return 200, b'{"id": 4242}'
        if path.endswith("/access_tokens"):
            self._count("accessToken")
            until = datetime.fromtimestamp(now + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return 201, json.dumps({"token": "ghs_" + "x" * 36, "expires_at": until}).encode()
        if _CONTENTS.fullmatch(path):
            self._count("hasFile")
            return 200, b'{"type": "file", "name": "Dockerfile"}'
        return 404, b'{"message": "Not Found"}'

    def _count(self, operation: str) -> None:
        self.facts.calls[operation] = self.facts.calls.get(operation, 0) + 1

    # ── Quay ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _quay(
        self, method: str, repository: str, build_id: str | None, part: str | None, query: str, body: bytes, now: float
    ) -> Answer:
        if build_id is None:
            return self._request(repository, body, now) if method == "POST" else self._list(repository, query, now)
        build = self._builds.get(build_id)
        if build is None:
            return 404, b'{"message": "Not Found", "error_type": "not_found", "status": 404}'
        if method == "DELETE":
            self._count("cancelRepoBuild")
            build.is_cancelled = True
            return 201, b'"Okay"\n'
        if part == "/logs":
            self._count("getRepoBuildLogs")
            return 200, b'{"start": 0, "total": 0, "logs": []}\n'
        self._count("getRepoBuild")
        return 200, json.dumps(_shown(build, now)).encode()

    def _request(self, repository: str, body: bytes, now: float) -> Answer:
        self._count("requestRepoBuild")
        asked: dict[str, Any] = json.loads(body)
        found = _COMMIT.search(asked["archive_url"])
        sha = found[0] if found else ""
        build = self._new(repository, sha, asked, now)
        self._builds[build.id] = build
        self._by_repository.setdefault(repository, []).append(build)
        self.facts.requested.setdefault(sha, now)
        self.facts.ended[sha] = build.ends
        return 201, json.dumps(_shown(build, now)).encode()

    def _new(self, repository: str, sha: str, asked: dict[str, Any], now: float) -> RemoteBuild:
        queued, building = self.course.seconds(repository, sha)
        starts, earlier = now + queued, self._by_repository.get(repository)
        if self.course.one_at_a_time and earlier:
            starts = max(starts, earlier[-1].ends)
        build_id = f"{len(self._builds):08x}-0000-4000-8000-{sha[:12]}"
        return RemoteBuild(
            build_id, repository, sha, asked["archive_url"], asked["docker_tags"], now, starts, starts + building
        )

    def _list(self, repository: str, query: str, now: float) -> Answer:
        self._count("getRepoBuilds")
        self.facts.looked_at[repository] = now
        since = float(parse_qs(query).get("since", ["0"])[0])
        builds = [one for one in self._by_repository.get(repository, []) if one.requested >= since]
        return 200, json.dumps({"builds": [_shown(one, now) for one in reversed(builds)]}).encode()

    # ── GitHub ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _status(self, sha: str, body: bytes, now: float) -> Answer:
        self._count("postStatus")
        self.facts.statuses.append((sha, json.loads(body)["state"], now))
        return 201, b'{"id": 1, "state": "pending"}'


def _shown(build: RemoteBuild, now: float) -> dict[str, Any]:
    namespace, _, name = build.repository.partition("/")
    return {
        "id": build.id,
        "phase": build.phase(now),
        "started": format_datetime(datetime.fromtimestamp(build.requested, UTC).replace(tzinfo=None)),
        "display_name": build.sha[:7],
        "status": {},
        "subdirectory": "/Dockerfile",
        "dockerfile_path": "/Dockerfile",
        "context": "/",
        "tags": build.tags,
        "manual_user": "bot",
        "is_writer": True,
        "trigger": None,
        "trigger_metadata": {},
        "resource_key": None,
        "pull_robot": None,
        "repository": {"namespace": namespace, "name": name},
        "error": None,
        "archive_url": build.archive_url,
    }
