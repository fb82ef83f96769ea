"""The wall's clock set forward or back by an hour while builds run: nothing is lost, nothing runs twice.

Set forward it costs no time either; at most a build that Quay has not begun is asked for anew, as one that waits too
long is. Set back it delays what is under way by as much, since what is due is written down by the wall's clock, and
nothing else: what is pushed then is built at once.
"""

from __future__ import annotations

import pytest

from buildbot.sandbox.github import Push
from tests.stories.test_crashes import STANDSTILL, builds_of
from tests.stories.world import FAST, REPOSITORY, World, until

pytestmark = pytest.mark.anyio

HOUR = 3600.0
LEASE = 'lease = "10s"'


async def under_way(world: World) -> Push:
    """A push whose build waits at Quay, and whose commit says so."""
    world.setting.store = LEASE
    world.quay.speed = STANDSTILL
    push = await world.github.commit_and_push(REPOSITORY)
    await until(lambda: [build.phase for build in world.quay.builds] == ["waiting"])
    await until(lambda: len(world.statuses(push.sha)) == 1)
    return push


async def assert_run_once(world: World, push: Push, tag: str = "main") -> None:
    """One build ran, one image of that commit is there, and the commit says so."""
    assert (await world.final_status(push.sha)).state == "success"
    assert [build.phase for build in builds_of(world, push) if build.phase != "cancelled"] == ["complete"]
    assert world.image_commit(tag) == push.sha


async def test_a_clock_that_is_set_forward_costs_no_build_and_no_time(world: World) -> None:
    async with world.bot():
        push = await under_way(world)
        world.watch.wall_ahead += HOUR
        world.quay.speed = FAST
        await assert_run_once(world, push)


async def test_a_clock_that_is_set_back_delays_what_is_under_way_and_nothing_else(world: World) -> None:
    async with world.bot():
        push = await under_way(world)
        world.watch.wall_ahead -= HOUR
        world.quay.speed = FAST
        other = await world.github.commit_and_push(REPOSITORY, ref="release/1")
        await assert_run_once(world, other, "release-1")
        world.watch.forward(HOUR)
        await assert_run_once(world, push)


async def test_a_clock_that_is_set_forward_and_back_again_loses_nothing(world: World) -> None:
    async with world.bot():
        push = await under_way(world)
        world.watch.wall_ahead += HOUR
        polls = len(world.quay.calls)
        await until(lambda: len(world.quay.calls) > polls)
        world.watch.wall_ahead -= HOUR
        world.quay.speed = FAST
        world.watch.forward(HOUR)
        await assert_run_once(world, push)
