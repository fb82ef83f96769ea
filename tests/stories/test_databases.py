"""A database that is full, locked, dead or frozen: what is answered 2xx is kept, and nobody has to help afterwards."""

from __future__ import annotations

import asyncio
import resource
import signal
import time

import pytest

from buildbot.sandbox.github import Push
from tests.postgres import Postgres
from tests.stories.program import Program, program
from tests.stories.test_crashes import ON_POSTGRES, ON_SQLITE, STANDSTILL, assert_built_once
from tests.stories.world import FAST, REPOSITORY, World, until

pytestmark = pytest.mark.anyio

LOCKED_SECONDS = 10.0
ROOM_LEFT = 400_000
"""Bytes: enough for some pushes."""


async def pushed(world: World, *numbers: int) -> list[Push]:
    """A push to a branch of its own for each number."""
    return [await world.github.commit_and_push(REPOSITORY, ref=f"release/{number}") for number in numbers]


async def assert_each_was_built_once(world: World, pushes: list[Push]) -> None:
    for push in pushes:
        await assert_built_once(world, push, push.ref.removeprefix("refs/heads/").replace("/", "-"))


def answers(pushes: list[Push]) -> set[int]:
    """How their deliveries were answered."""
    return {push.attempts[0].status_code for push in pushes}


def leave_room(bot: Program, size: int) -> None:
    """Let none of the program's files grow beyond that many bytes, as on a disk that is full then."""
    assert bot.process is not None
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@ON_SQLITE
async def test_killed_on_a_disk_that_became_full_it_has_kept_all_that_it_answered(world: World) -> None:
    world.quay.speed = STANDSTILL
    async with program(world) as bot:
        leave_room(bot, (world.folder / "buildbot.db-wal").stat().st_size + ROOM_LEFT)
        pushes = await pushed(world, 0, 1)
        while 503 not in answers(pushes):
            pushes += await pushed(world, len(pushes))
        assert answers(pushes) == {202, 503}
        await bot.kill()
        taken = {push.deliveries[0].guid for push in pushes if push.attempts[0].status_code == 202}
        assert set(world.rows("SELECT guid FROM deliveries")) == taken
        world.quay.speed = FAST
        await bot.start()
        for push in pushes:
            if push.attempts[0].status_code == 503:
                assert (await world.github.deliver(push.deliveries[0])).status_code == 202
        await assert_each_was_built_once(world, pushes)


@ON_SQLITE
async def test_locked_by_another_process_for_ten_seconds_it_takes_nothing_and_goes_on_by_itself(world: World) -> None:
    world.quay.speed = STANDSTILL
    async with program(world) as bot:
        running = await pushed(world, 1)
        await until(lambda: len(world.quay.builds) == 1)
        with world.held_store():
            began = time.monotonic()
            refused = await pushed(world, 2)
            world.quay.speed = FAST
            assert (await world.get("/livez")).status_code == 200
            await asyncio.sleep(LOCKED_SECONDS - (time.monotonic() - began))
        assert answers(refused) == {503}
        assert (await world.github.deliver(refused[0].deliveries[0])).status_code == 202
        await assert_each_was_built_once(world, [*running, *refused])
        assert not [line for line in bot.log if "exception" in line]


@ON_POSTGRES
async def test_postgresql_that_is_killed_has_kept_what_was_answered_and_is_used_again(
    world: World, postgres: Postgres
) -> None:
    async with program(world) as bot:
        pushes = await pushed(world, *range(4))
        postgres.stop(signal.SIGKILL)
        try:
            refused = await pushed(world, 4, 5)
        finally:
            postgres.start()
        assert (answers(pushes), answers(refused)) == ({202}, {503})
        for push in refused:
            assert (await world.github.deliver(push.deliveries[0])).status_code == 202
        await assert_each_was_built_once(world, [*pushes, *refused])
        assert not [line for line in bot.log if "exception" in line]


@ON_POSTGRES
async def test_while_postgresql_stands_still_nobody_is_answered_and_then_all_goes_on(
    world: World, postgres: Postgres
) -> None:
    async with program(world) as bot:
        pushes = await pushed(world, *range(3))
        with postgres.frozen():
            answering = asyncio.ensure_future(world.github.commit_and_push(REPOSITORY, ref="release/3"))
            done, _ = await asyncio.wait({answering}, timeout=3)
            assert not done
            assert (await world.get("/livez")).status_code == 200
        pushes.append(await answering)
        assert answers(pushes) == {202}
        await assert_each_was_built_once(world, pushes)
        assert not [line for line in bot.log if "exception" in line]


@ON_POSTGRES
async def test_told_to_stop_while_postgresql_stands_still_it_stops_and_says_what_was_left(
    world: World, postgres: Postgres
) -> None:
    async with program(world) as bot:
        pushes = await pushed(world, 1)
        with postgres.frozen():
            assert await bot.stop() == 0
        assert bot.told("stopping without the database")
        assert bot.told("stopped")
        assert not [line for line in bot.log if "exception" in line]
        await bot.start()
        await assert_each_was_built_once(world, pushes)
