"""What goes wrong at GitLab beside what may go wrong at every forge: limits, busy statuses, slow replication."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from buildbot.sandbox.faults import Faults
from buildbot.sandbox.gitlab_state import State

_PAGE = "<!DOCTYPE html><html><head><title>GitLab is not responding (502)</title></head><body>Whoops</body></html>"


class GitLabFaults(Faults):
    """The switches of every forge, and GitLab's own."""

    def __init__(self, state: State, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        super().__init__("GitLab", sleep, _PAGE)
        self._state = state

    def throttle(self, times: int = 1, retry_after: int | None = None) -> None:
        """The next calls of the API are answered 429, with `Retry-After` (seconds) or without."""
        self._state.throttled_calls, self._state.retry_after = times, retry_after

    def busy(self, times: int = 1) -> None:
        """For the next statuses another update is in progress: 409."""
        self._state.busy_calls = times

    def unreplicated(self, project: str, times: int = 1) -> None:
        """For the next statuses of the project GitLab knows of no such commit, as straight after a push."""
        found = self._state.find(project)
        if found is None:
            raise LookupError(f"the sandbox GitLab has no project {project}; add it first")
        found.unreplicated_calls = times

    def revoke(self, token: str) -> None:
        """The token is a bad credential from now on."""
        self._state.revoked.add(token)

    def clear(self) -> None:
        """Forget every planned fault and be up and quick; revoked tokens stay so."""
        super().clear()
        self._state.throttled_calls = self._state.busy_calls = 0
        for project in self._state.projects.values():
            project.unreplicated_calls = 0
