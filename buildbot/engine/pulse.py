"""What makes a loop look: news from this process at once, news from others (the command line, another instance) within
half a second, and otherwise the time at which something is due."""

from __future__ import annotations

import asyncio
import contextlib

LONGEST_NAP = 0.5


class Pulse:
    """An alarm that any number of things may set off and one loop waits for."""

    def __init__(self) -> None:
        self._alarm = asyncio.Event()

    def beat(self) -> None:
        """Let the loop look now."""
        self._alarm.set()

    async def nap(self, seconds: float = LONGEST_NAP) -> None:
        """Wait for a beat, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(seconds, LONGEST_NAP))):
                await self._alarm.wait()
        self._alarm.clear()
