"""Baseline (c), its logic: a push is planned in memory, and one task per build asks for it, polls it, reports it.

What most bots look like, and what this one would be without rows: nothing survives a restart, nothing is de-duplicated
or superseded, and each build is looked at every three seconds on its own. It does as few calls as such a bot can: one
request, one pending, the polls, one final. How it calls Quay and GitHub is handed in, so the same logic runs on sockets
(`gidgethub_bot`) and in simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

POLL_SECONDS = 3.0
STATES = {"complete": "success", "error": "failure", "cancelled": "error", "expired": "error"}


class QuayCalls(Protocol):
    """The two calls to Quay that such a bot needs."""

    async def request(self, repository: str, archive_url: str, tags: Sequence[str]) -> str:
        """Ask for a build; its id."""

    async def phase(self, repository: str, build: str) -> str:
        """The phase of a build."""


class StatusCalls(Protocol):
    """The one call to GitHub."""

    async def post(self, full_name: str, sha: str, state: str, description: str, installation: int) -> None:
        """Post a commit status."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A build to ask for."""

    full_name: str
    sha: str
    repository: str
    archive_url: str
    tags: tuple[str, ...]
    installation: int


class InMemoryBot:
    """The bot. `sources` says which Quay repository a source repository is built to.

    `tells_first`: the pending is posted before the build is asked for, and not straight after; bots do either.
    """

    def __init__(
        self, quay: QuayCalls, github: StatusCalls, sources: Mapping[str, str], *, tells_first: bool = False
    ) -> None:
        self._tells_first = tells_first
        self._quay = quay
        self._github = github
        self._sources = sources
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, push: Mapping[str, Any]) -> Plan | None:
        """Plan what a push asks for and begin it; None when it asks for nothing."""
        plan = self._planned(push)
        if plan is not None:
            task = asyncio.create_task(self._build(plan))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return plan

    async def close(self) -> None:
        """Drop everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _planned(self, push: Mapping[str, Any]) -> Plan | None:
        full_name, sha, ref = push["repository"]["full_name"], push["after"], push["ref"]
        repository = self._sources.get(full_name.lower())
        if repository is None or push["deleted"] or not ref.startswith("refs/heads/"):
            return None
        branch = ref.removeprefix("refs/heads/").replace("/", "-")
        archive_url = f"https://github.com/{full_name}/archive/{sha}.tar.gz"
        installation = int(push.get("installation", {}).get("id", 0))
        return Plan(full_name, sha, repository, archive_url, (branch, f"sha-{sha[:7]}"), installation)

    async def _build(self, plan: Plan) -> None:
        if self._tells_first:
            await self._post(plan, "pending", "asking for a build")
        build = await self._quay.request(plan.repository, plan.archive_url, plan.tags)
        if not self._tells_first:
            await self._post(plan, "pending", "building")
        state = None
        while state is None:
            await asyncio.sleep(POLL_SECONDS)
            state = STATES.get(await self._quay.phase(plan.repository, build))
        await self._post(plan, state, "built" if state == "success" else "the build failed")

    async def _post(self, plan: Plan, state: str, description: str) -> None:
        await self._github.post(plan.full_name, plan.sha, state, description, plan.installation)
