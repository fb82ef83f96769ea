"""What goes wrong at Bitbucket Cloud beside what may go wrong at every forge: limits, slow differences and commits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from buildbot.sandbox.bitbucket_state import State
from buildbot.sandbox.faults import Faults

_PAGE = "<!DOCTYPE html><html><head><title>Bitbucket</title></head><body>We are having trouble.</body></html>"


class BitbucketFaults(Faults):
    """The switches of every forge, and Bitbucket's own."""

    def __init__(self, state: State, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        super().__init__("Bitbucket", sleep, _PAGE)
        self._state = state

    def throttle(self, times: int = 1, retry_after: int | None = None) -> None:
        """The next calls of the API are answered 429, with `Retry-After` (seconds) or without."""
        self._state.throttled_calls, self._state.retry_after = times, retry_after

    def slow_diff(self, times: int = 1) -> None:
        """The next comparisons take too long: 555."""
        self._state.timed_out_diffs = times

    def unreplicated(self, repository: str, times: int = 1) -> None:
        """For the next statuses of the repository Bitbucket knows of no such commit, as straight after a push."""
        found = self._state.find(repository)
        if found is None:
            raise LookupError(f"the sandbox Bitbucket has no repository {repository}; add it first")
        found.unreplicated_calls = times

    def revoke(self, token: str) -> None:
        """The token is a bad credential from now on."""
        self._state.tokens.pop(token, None)

    def clear(self) -> None:
        """Forget every planned fault and be up and quick; revoked tokens stay so."""
        super().clear()
        self._state.throttled_calls = self._state.timed_out_diffs = 0
        for repository in self._state.repositories.values():
            repository.unreplicated_calls = 0
