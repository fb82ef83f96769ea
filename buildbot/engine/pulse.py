"""What makes a loop look: news from this process at once, what it knows to be due at its time, and everything else (the
command line's doing, another instance's) within half a second, because it looks that often anyway."""

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

    def beat_in(self, seconds: float) -> None:
        """Let the loop look when something is due sooner than its nap would end; only as exact as the nap if later."""
        if seconds < LONGEST_NAP:
            asyncio.get_running_loop().call_later(max(0.0, seconds), self.beat)

    async def nap(self) -> None:
        """Wait for a beat, at most half a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_NAP):
                await self._alarm.wait()
        self._alarm.clear()
