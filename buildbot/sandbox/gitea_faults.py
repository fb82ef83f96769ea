"""What goes wrong at Gitea beside what may at every forge: a proxy that limits, trouble, commits not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from buildbot.sandbox.faults import Faults
from buildbot.sandbox.gitea_state import State

_PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


class GiteaFaults(Faults):
    """The switches of every forge, and Gitea's own."""

    def __init__(self, state: State, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        super().__init__("Gitea", sleep, _PAGE)
        self._state = state

    def throttle(self, times: int = 1, retry_after: int | None = None) -> None:
        """The proxy in front answers the next calls of the API 429, with `Retry-After` (seconds) or without."""
        self._state.throttled_calls, self._state.retry_after = times, retry_after

    def trouble(self, times: int = 1) -> None:
        """The next statuses are answered 500, though their commits are there."""
        self._state.troubled_calls = times

    def unreplicated(self, repository: str, times: int = 1) -> None:
        """For the next calls about a commit of the repository it is not there, as straight after a push."""
        found = self._state.find(repository)
        if found is None:
            raise LookupError(f"the sandbox Gitea has no repository {repository}; add it first")
        found.unreplicated_calls = times

    def revoke(self, token: str) -> None:
        """The token is a bad credential from now on."""
        self._state.tokens.pop(token, None)

    def clear(self) -> None:
        """Forget every planned fault and be up and quick; revoked tokens stay so."""
        super().clear()
        self._state.throttled_calls = self._state.troubled_calls = 0
        for repository in self._state.repositories.values():
            repository.unreplicated_calls = 0
