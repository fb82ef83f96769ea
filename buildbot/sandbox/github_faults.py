"""What goes wrong at GitHub beside what may go wrong at every forge: limits, slow replication, revoked tokens.

Planned by a test, or over HTTP, see `github_control`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from buildbot.sandbox.faults import Faults
from buildbot.sandbox.github_state import State

API_PATH = "/api/v3"
_UNICORN = (
    "<!DOCTYPE html><html><head><title>Unicorn! · GitHub</title></head><body>No server is available.</body></html>"
)


class GitHubFaults(Faults):
    """The switches of every forge, and GitHub's own."""

    def __init__(self, state: State, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        super().__init__("GitHub", sleep, _UNICORN)
        self._state = state

    def use_up_rate_limit(self, caller: str) -> None:
        """The caller (a login, or an installation's id) has used up its hour; the sandbox's clock brings the next."""
        self._state.limits.use_up(caller, self._state.now())

    def secondary_limit(self, times: int = 1, status: int = 403, retry_after: int | None = None) -> None:
        """The next calls of the API meet the secondary limit: 403 or 429, with `retry-after` (seconds) or without."""
        limits = self._state.limits
        limits.secondary_calls, limits.secondary_status, limits.retry_after = times, status, retry_after

    def unreplicated(self, repository: str, times: int = 1) -> None:
        """For the next statuses on the repository GitHub knows of no such commit, as straight after a push."""
        found = self._state.find(repository)
        if found is None:
            raise LookupError(f"the sandbox GitHub has no repository {repository}; add it first")
        found.unreplicated_calls = times

    def revoke(self, token: str) -> None:
        """The token is a bad credential from now on."""
        self._state.accounts.revoke(token)

    def clear(self) -> None:
        """Forget every planned fault and be up and quick; used-up limits and revoked tokens stay so."""
        super().clear()
        self._state.limits.secondary_calls = 0
        for repository in self._state.repositories.values():
            repository.unreplicated_calls = 0
