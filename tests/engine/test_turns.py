"""Places handed out in turn: no key waits for all that another has, and no place is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from buildbot.engine.turns import FairTurns

pytestmark = pytest.mark.anyio


class Work:
    """Calls that end when they are told to, in the order in which they were begun."""

    def __init__(self, places: int) -> None:
        self.turns = FairTurns(places)
        self.begun: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._gates: list[asyncio.Event] = []

    async def start(self, *names: str) -> Sequence[asyncio.Task[None]]:
        """Calls named by their key and a number, as "a1"."""
        tasks = [asyncio.create_task(self._call(name)) for name in names]
        self.tasks += tasks
        await settled()
        return tasks

    async def end(self, count: int = 1) -> None:
        for _ in range(count):
            next(gate for gate in self._gates if not gate.is_set()).set()
            await settled()

    async def _call(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.begun.append(name)
            gate = asyncio.Event()
            self._gates.append(gate)
            await gate.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_as_there_are_places_run_at_once() -> None:
    work = Work(2)
    await work.start("a1", "a2", "a3")
    assert work.begun == ["a1", "a2"]
    await work.end(3)
    assert work.begun == ["a1", "a2", "a3"]


async def test_keys_take_turns_however_many_one_has_waiting() -> None:
    work = Work(1)
    await work.start("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    await work.end(7)
    assert work.begun == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_who_gave_up_waiting_takes_no_place() -> None:
    work = Work(1)
    tasks = await work.start("a1", "b1", "c1")
    tasks[1].cancel()
    await work.end(2)
    assert work.begun == ["a1", "c1"]


async def test_a_place_that_comes_to_one_who_is_cancelled_that_moment_goes_to_the_next() -> None:
    work = Work(1)
    tasks = await work.start("a1", "b1", "c1")
    tasks[0].cancel()
    await asyncio.sleep(0)  # the place is on its way to b1 …
    tasks[1].cancel()  # … who is gone when it arrives
    await settled()
    assert work.begun == ["a1", "c1"]
    await work.end(2)


async def test_no_place_is_lost_after_all_that() -> None:
    work = Work(2)
    for _ in range(3):
        tasks = await work.start("a1", "b1", "c1")
        for task in tasks:
            task.cancel()
        await settled()
    work.begun.clear()
    await work.start("a1", "a2")
    assert work.begun == ["a1", "a2"]
    await work.end(8)


async def test_a_place_more_is_taken_at_once_by_whoever_waits() -> None:
    work = Work(1)
    await work.start("a1", "a2", "b1")
    work.turns.set_places(3)
    await settled()
    assert work.begun == ["a1", "a2", "b1"]
    await work.end(3)


async def test_with_fewer_places_than_are_held_nobody_begins_until_enough_are_given_back() -> None:
    work = Work(3)
    await work.start("a1", "a2", "a3", "b1", "b2")
    work.turns.set_places(1)
    await work.end(2)
    assert work.begun == ["a1", "a2", "a3"]
    await work.end(1)
    assert work.begun == ["a1", "a2", "a3", "b1"]
    await work.end(2)
    assert (work.begun[-1], work.turns.places) == ("b2", 1)
