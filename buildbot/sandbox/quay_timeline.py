"""Simulated time: recorded seconds that pass `speed` times faster than the clock's.

Nothing runs in the background. Whoever looks calls `advance`, and everything that was due since is done in order,
each thing at its own time. So a test that turns a fake clock sees the same course on every run, and an hour passes in
no time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Timeline:
    """Things to do at their time; `elapsed` is in recorded seconds since the start."""

    def __init__(self, clock: Callable[[], float], speed: float) -> None:
        self._clock = clock
        self._speed = _checked(speed)
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._mark = (clock(), 0.0)
        self.elapsed = 0.0

    @property
    def speed(self) -> float:
        """How many recorded seconds pass in one of the clock's."""
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        self.advance()
        self._speed = _checked(value)

    @property
    def wall(self) -> float:
        """The clock's time, in seconds since the epoch, at which `elapsed` is or was reached."""
        wall, elapsed = self._mark
        return wall + (self.elapsed - elapsed) / self._speed

    def call_in(self, seconds: float, action: Callable[[], object]) -> None:
        """Does `action` that many recorded seconds from `elapsed` on."""
        self.call_at(self.elapsed + seconds, action)

    def call_at(self, elapsed: float, action: Callable[[], object]) -> None:
        """Does `action` at that time; things due at the same time keep the order in which they were given."""
        heapq.heappush(self._due, (elapsed, next(self._numbers), action))

    def advance(self) -> None:
        """Does all that has become due by the clock. A clock that went backwards counts as one that stood still."""
        wall = self._clock()
        now = self._mark[1] + max(0.0, wall - self._mark[0]) * self._speed
        while self._due and self._due[0][0] <= now:
            self.elapsed, _, action = heapq.heappop(self._due)
            action()
        self.elapsed = now
        self._mark = (wall, now)


def _checked(speed: float) -> float:
    if speed <= 0:
        raise ValueError(f"speed {speed} of the sandbox's Quay: must be above 0")
    return speed
