"""Pushes become builds become statuses."""

from __future__ import annotations

import pytest

from tests.stories.world import World, until

pytestmark = pytest.mark.anyio


async def test_a_push_becomes_a_build_and_a_green_status(world: World) -> None:
    async with world.bot():
        push = await world.github.commit_and_push("acme/api", message="Add a thing")
        assert [attempt.status_code for attempt in push.attempts] == [202]
        status = await world.final_status(push.sha)
    assert status.state == "success"
    assert status.description is not None
    assert status.description.startswith(f"Built acme/api:main, sha-{push.sha[:7]}, latest")
    assert world.image_commit("main") == push.sha
    assert world.image_commit("latest") == push.sha
    assert [one.state for one in world.statuses(push.sha)] == ["pending", "success"]


async def test_a_newer_push_supersedes_the_build_of_an_older_one(world: World) -> None:
    world.quay.speed = 5
    async with world.bot():
        older = await world.github.commit_and_push("acme/api", message="One")
        await until(lambda: len(world.quay.builds) == 1)
        newer = await world.github.commit_and_push("acme/api", message="Two")
        assert (await world.final_status(older.sha)).description == f"Superseded by {newer.sha[:7]} (main)"
        assert (await world.final_status(newer.sha)).state == "success"
    assert world.image_commit("main") == newer.sha
