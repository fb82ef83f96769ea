"""What makes a loop look: news from this process at once, what it knows to be due at its time, and everything else (the
command line's doing, another instance's) within half a second, because it looks that often anyway.

With thousands of things in hand something is due at every moment, and to look costs a transaction. So due times are
gathered by ticks: nobody waits longer for it than for one, and there are at most so many looks a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import math

LONGEST_NAP = 0.5
TICK_SECONDS = 0.02
FARTHEST_SECONDS = 60.0
"""What is due later is found by the look that happens twice a second anyway."""
CLOCKS_APART_SECONDS = 0.001
"""The loop's clock and the wall's: who looks a little too early looks for nothing."""


class Pulse:
    """An alarm that any number of things may set off and one loop waits for. `news` counts those that told of news."""

    def __init__(self) -> None:
        self.news = 0
        self._alarm = asyncio.Event()
        self._ticks: set[int] = set()

    def beat(self) -> None:
        """There is news: let the loop look now."""
        self.news += 1
        self._alarm.set()

    def beat_in(self, seconds: float) -> None:
        """Let the loop look when something is due, at the end of the tick in which it is."""
        if seconds <= 0:
            self._alarm.set()
        elif seconds <= FARTHEST_SECONDS:
            loop = asyncio.get_running_loop()
            tick = math.ceil((loop.time() + seconds + CLOCKS_APART_SECONDS) / TICK_SECONDS)
            if tick not in self._ticks:
                self._ticks.add(tick)
                loop.call_at(tick * TICK_SECONDS, self._ticked, tick)

    def _ticked(self, tick: int) -> None:
        self._ticks.discard(tick)
        self._alarm.set()

    async def nap(self) -> None:
        """Wait for a beat, at most half a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_NAP):
                await self._alarm.wait()
        self._alarm.clear()
