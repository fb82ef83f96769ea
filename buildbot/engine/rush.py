"""Deliveries first: while very many come in at once, the loops wait a moment before they take up new work.

A forge waits seconds for its answer and no longer, a build may begin a little later. What is more, a repository that is
looked at once for ten pushes costs a fraction of what it costs ten times. So a burst is recorded first. Beside a rush
that does not end the loops go on every `LONGEST`, with a `FEW` at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 8
"""So many deliveries being recorded at once are a rush: at less, everything is done as it comes."""

CALM, LONGEST = 0.02, 0.5
"""Seconds: without so many for this long a rush is over, and no loop waits longer for its end."""

FEW = 8
"""So many things are taken up at once beside a rush: each may keep the loop for milliseconds."""


class Rush:
    """Counts the deliveries that are being recorded."""

    def __init__(self) -> None:
        self._under_way = 0
        self._seen_at = float("-inf")

    @contextmanager
    def taking(self) -> Iterator[None]:
        """One more delivery is being recorded."""
        self._under_way += 1
        if self._is_on():
            self._seen_at = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            if self._is_on():
                self._seen_at = asyncio.get_running_loop().time()
            self._under_way -= 1

    async def over(self) -> bool:
        """Wait until no rush is on, for `LONGEST` at most; whether that is so."""
        loop = asyncio.get_running_loop()
        patience = loop.time() + LONGEST
        while (now := loop.time()) < patience and (self._is_on() or now < self._seen_at + CALM):  # noqa: ASYNC110
            await asyncio.sleep(CALM)
        return now < patience

    def _is_on(self) -> bool:
        return self._under_way >= MANY
