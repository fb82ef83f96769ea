"""The loop under both loops: it looks again where there may be something to find, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta

from buildbot.engine.lease_loop import LeaseLoop
from tests.engine.virtual_time import VirtualLoop

LEASE = timedelta(seconds=10)


class Counting(LeaseLoop[int]):
    """Works through what is due: `dues` are how many things become due at a look, `pause` how long each takes."""

    def __init__(self, most: int, pause: float) -> None:
        super().__init__(most, LEASE)
        self.due = 0
        self.looks: list[float] = []
        self.begun: list[float] = []
        self._pause = pause

    async def _claim(self, room: int) -> Sequence[int]:
        self.looks.append(asyncio.get_running_loop().time())
        taken = min(room, self.due)
        self.due -= taken
        return range(taken)

    async def _work(self, leased: int) -> None:  # noqa: ARG002  one is like the other
        self.begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._pause)

    async def _renew(self, leased: Sequence[int]) -> None:
        pass

    async def run_for(self, seconds: float) -> None:
        """Run so long."""
        running = asyncio.create_task(self.run())
        await asyncio.sleep(seconds)
        await self.stop()
        await running


def in_time(work: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


def test_what_there_was_no_room_for_is_begun_as_soon_as_there_is() -> None:
    async def story() -> None:
        loop = Counting(most=2, pause=0.1)
        loop.due = 5
        await loop.run_for(0.45)
        assert [round(moment, 2) for moment in loop.begun] == [0.0, 0.0, 0.1, 0.1, 0.2]

    in_time(story())


def test_the_end_of_a_task_is_no_reason_to_look_where_there_was_room() -> None:
    async def story() -> None:
        loop = Counting(most=50, pause=0.1)
        loop.due = 20
        await loop.run_for(0.45)
        assert len(loop.begun) == 20
        assert len(loop.looks) == 1

    in_time(story())


def test_after_news_the_end_of_a_task_is_a_reason_to_look() -> None:
    async def story() -> None:
        loop = Counting(most=50, pause=0.1)
        loop.due = 1
        asyncio.get_running_loop().call_later(0.05, loop.pulse.beat)
        await loop.run_for(0.45)
        assert [round(moment, 2) for moment in loop.looks] == [0.0, 0.05, 0.1]

    in_time(story())
