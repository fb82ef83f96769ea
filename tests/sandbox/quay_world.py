"""A sandbox Quay with the people and repositories of the recorded one, and a clock that tests turn by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_courses import COURSES, Course

SITE = "http://127.0.0.1:8090"
ARCHIVE = "https://github.com/example/app/archive/0123456789abcdef0123456789abcdef01234567.tar.gz"
EXCHANGES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "quay_exchanges.json").read_text())
Faults = list[tuple[str, str | None]]

_ALL_OF_REPO = ("repo:read", "repo:write", "repo:admin", "repo:create")
_TOKENS = {
    "FULL": ("alice", _ALL_OF_REPO),
    "FULL_ORGADMIN": ("alice", (*_ALL_OF_REPO, "org:admin")),
    "READ": ("alice", ("repo:read",)),
    "WRITE": ("alice", ("repo:write",)),
    "RW": ("alice", ("repo:read", "repo:write")),
    "ADMIN": ("alice", ("repo:admin",)),
    "CREATE": ("alice", ("repo:create",)),
    "BADSCOPE": ("alice", ("repo:read", "no:such")),
    "EXPIRED": ("alice", _ALL_OF_REPO),
    "CAROL_READER_FULL": ("carol", _ALL_OF_REPO),
    "DAVE_WRITER_FULL": ("dave", _ALL_OF_REPO),
    "BOB_FULL": ("bob", _ALL_OF_REPO),
    "SUPER": ("quayadmin", (*_ALL_OF_REPO, "super:user")),
}
_COURSE_TO = {
    "waiting": "stuck-waiting",
    "cancelled": "stuck-waiting",
    "complete": "success",
    "pushing": "success",
    "error": "seterror",
}


class World:
    """One Quay, its tokens by name, and `client`, which has no token of its own."""

    def __init__(self) -> None:
        self.now = 1_795_453_200.0
        self.quay = Quay(url=SITE, clock=lambda: self.now)
        self.tokens = {name: self.quay.issue_token(user, scopes) for name, (user, scopes) in _TOKENS.items()}
        self.quay.revoke_token(self.tokens["EXPIRED"])
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.quay.app), base_url=SITE)
        self._settle()

    def _settle(self) -> None:
        quay = self.quay
        for name in ("acme/app", "acme/api", "acme/empty", "acme/other", "rival/secret", "fullorg/app"):
            quay.add_repository(name)
        quay.add_repository("alice/personal")
        quay.add_repository("acme/pub", public=True)
        quay.add_repository("acme/mirror", state="MIRROR")
        for namespace in ("acme", "fullorg"):
            quay.grant(namespace, "alice", "admin")
        quay.grant("acme/app", "carol", "read")
        quay.grant("acme/app", "dave", "write")
        quay.grant("acme/app", "acme+builder", "write")
        quay.add_superuser("quayadmin")
        for account in ("alice", "acme+builder", "acme+puller", "alice+mine"):
            quay.add_account(account, "a password")

    def bearer(self, name: str = "FULL") -> dict[str, str]:
        """The header for one of the tokens."""
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    def turn(self, seconds: float) -> None:
        """Turns the clock."""
        self.now += seconds

    async def ask(self, method: str, path: str, token: str = "FULL", **more: Any) -> httpx.Response:
        """A call to the API, below `/api/v1/repository`."""
        return await self.client.request(method, f"/api/v1/repository{path}", headers=self.bearer(token), **more)

    async def request(
        self, repository: str = "acme/app", course: str | Course = "success", token: str = "FULL", **body: Any
    ) -> Build:
        """A new build that will take that course."""
        self.quay.choose = lambda _: course
        asked = {"archive_url": ARCHIVE, "docker_tags": ["v1"]} | body
        answer = await self.ask("POST", f"/{repository}/build/", token, json=asked)
        assert answer.status_code == 201, answer.text
        return self.quay.build(answer.json()["id"])

    def reach(self, build: Build, phase: str, within: float = 400.0) -> None:
        """Turns the clock until the build shows that phase."""
        seen = [build.phase]
        for _ in range(int(within / 0.1)):
            if self.quay.build(build.id).phase == phase:
                return
            self.turn(0.1)
            seen += [build.phase] if build.phase != seen[-1] else []
        raise AssertionError(f"build never reached {phase}: it went {seen}")

    async def build_in(self, given: Mapping[str, Any]) -> Build:
        """A build in the phase that an exchange was recorded in."""
        repository, phase = given["repository"], given["phase"]
        if given.get("trigger"):
            self.quay.choose = lambda _: "stuck-waiting"
            return self.quay.start_from_trigger(repository, "0" * 40, given["tags"])
        course = COURSES[given.get("course", _COURSE_TO.get(phase, "fail-build"))]
        build = await self._requested(repository, given, course)
        if phase == "cancelled":
            assert self.quay.cancel_in_ui(build.id)
        self.reach(build, phase)
        return build

    async def _requested(self, repository: str, given: Mapping[str, Any], course: Course) -> Build:
        features, is_stranger = self.quay.features, "user" in given
        features.superusers_full_access = is_stranger
        token = "SUPER" if is_stranger else "FULL"
        build = await self.request(repository, course, token, docker_tags=given["tags"])
        features.superusers_full_access = False
        return build

    async def close(self) -> None:
        """Closes the client."""
        await self.client.aclose()
