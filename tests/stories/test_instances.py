"""Several instances of the real program on one PostgreSQL: any takes a push, any may die, together they are one bot."""

from __future__ import annotations

import httpx
import pytest

from buildbot.sandbox.github import Push
from tests.stories.fleet import Instance, instances
from tests.stories.test_crashes import assert_built_once, builds_of
from tests.stories.world import REPOSITORY, World, until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)]


async def push_to(world: World, one: Instance, ref: str = "main") -> Push:
    """A push whose delivery that instance takes."""
    world.hear_pushes(one.url)
    push = await world.github.commit_and_push(REPOSITORY, ref=ref)
    assert push.attempts[0].status_code == 202
    return push


async def test_pushes_taken_by_any_instance_are_built_once_and_the_newest_has_the_tag(world: World) -> None:
    async with instances(world) as running:
        pushes = [await push_to(world, running[number % 2]) for number in range(10)]
        await assert_built_once(world, pushes[-1])
        for push in pushes:
            await world.final_status(push.sha)
            assert len(builds_of(world, push)) <= 1


async def test_a_delivery_sent_to_both_is_one_build(world: World) -> None:
    async with instances(world) as (one, two):
        push = await push_to(world, one)
        world.hear_pushes(two.url)
        again = await world.github.deliver(push.deliveries[0])
        assert again.status_code == 200
        await assert_built_once(world, push)


async def test_an_instance_that_is_killed_is_replaced_by_the_other_within_a_lease(world: World) -> None:
    async with instances(world) as (one, two):
        pushes = [await push_to(world, one, f"release/{number}") for number in range(5)]
        await one.kill()
        pushes.append(await push_to(world, two))
        for push in pushes:
            tag = push.ref.removeprefix("refs/heads/").replace("/", "-")
            await assert_built_once(world, push, tag)


async def test_each_takes_its_share_and_all_of_it_when_the_other_has_stopped(world: World) -> None:
    async with instances(world) as (one, two):
        await until(lambda: one.shares == [2] and two.shares == [2])
        assert await two.stop() == 0
        await until(lambda: one.shares == [2, 1])
        async with httpx.AsyncClient() as client:
            assert "buildbot_instances 1.0" in (await client.get(f"{one.url}/metrics")).text
