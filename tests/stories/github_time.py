"""Seconds of GitHub's in which a ref moves once: all that its payloads tell of order is a time in whole seconds.

Of several pushes to one ref within a second, two of which are delivered late and in the wrong order, nobody can tell
which came first: a limit that no story can judge. So stories that deliver out of order let GitHub's time pass quickly,
and wait for its next second.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from buildbot.sandbox.github import GitHub

TIMES_FASTER = 60.0


class GitHubTime:
    """GitHub's time, which passes quickly from now on."""

    def __init__(self, github: GitHub) -> None:
        began, born = time.monotonic(), datetime.now(UTC)
        github.state.now = lambda: born + timedelta(seconds=(time.monotonic() - began) * TIMES_FASTER)
        self._github = github
        self._pushed_at: dict[tuple[str, str], int] = {}

    async def next_second(self, repository: str, ref: str) -> None:
        """Wait for a second in which nobody has pushed to the ref yet."""
        while self._pushed_at.get((repository, ref)) == (second := self._second()):  # noqa: ASYNC110  time is awaited
            await asyncio.sleep(0.2 / TIMES_FASTER)
        self._pushed_at[repository, ref] = second

    def _second(self) -> int:
        return int(self._github.now().timestamp())
