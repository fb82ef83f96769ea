"""What waits for a registry or a forge is due at once, and whoever works on it meanwhile does not put it off again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from buildbot.ports import StatusProgress
from tests.store.world import API, World, sent

pytestmark = pytest.mark.anyio

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WEB = replace(API, name="web", registry="other", repository="acme/web", branches=("web",))


async def put_off(world: World) -> None:
    """A build at each of two registries, put off for a minute."""
    await world.push("a", "b")
    await world.push(None, "c", ref="refs/heads/web", rules=(WEB,))
    for claim in await world.store.claim_repositories("one", world.now, MINUTE, 10):
        await world.store.release(claim, world.now + MINUTE)


async def due(world: World) -> list[str]:
    claims = await world.store.claim_repositories("one", world.now, MINUTE, 10)
    return sorted(claim.registry for claim in claims)


async def test_what_waits_for_a_registry_is_due_and_nothing_else(world: World) -> None:
    await put_off(world)
    assert await due(world) == []
    await world.store.hurry(["quay", "unheard-of"], [], world.now)
    assert await due(world) == ["quay"]


async def test_what_waits_for_a_forge_is_due_at_every_registry(world: World) -> None:
    await put_off(world)
    await world.store.hurry([], ["another"], world.now)
    assert await due(world) == []
    await world.store.hurry([], ["github"], world.now)
    assert await due(world) == ["other", "quay"]


async def test_a_pass_under_way_does_not_put_off_what_was_hurried_meanwhile(world: World) -> None:
    await world.build("a", "b")
    claim = await world.claim()
    await world.store.hurry(["quay"], [], world.now)
    await world.store.release(claim, world.now + DAY)
    assert await due(world) == ["quay"]


async def test_a_build_that_waits_for_news_alone_is_due_too(world: World) -> None:
    await world.build("a", "b")
    await world.store.release(await world.claim(), None)
    await world.store.hurry(["quay"], [], world.now)
    assert await due(world) == ["quay"]


async def test_a_repository_that_rests_goes_on_resting(world: World) -> None:
    await world.end(await world.build("a", "b"))
    await world.store.hurry(["quay"], ["github"], world.now)
    assert await due(world) == []


async def test_a_status_that_was_put_off_is_due_and_one_that_was_delivered_or_given_up_is_not(world: World) -> None:
    for letters, rest in (("ab", None), ("bc", None), ("cd", "no right to")):
        await world.build(*letters)
        status = await world.due_status()
        posted = sent(status, world.now) if letters == "bc" else None
        waits = world.now + DAY if letters == "ab" else None
        await world.store.save_status(status, StatusProgress(posted, waits, stopped=rest))
    await world.store.hurry(["quay"], ["another"], world.now)
    assert await world.due_statuses() == ()
    await world.store.hurry([], ["github"], world.now)
    assert [status.sha[0] for status in await world.due_statuses()] == ["b"]


async def test_a_post_under_way_does_not_put_off_what_was_hurried_meanwhile(world: World) -> None:
    await world.build("a", "b")
    status = await world.due_status()
    await world.store.hurry([], ["github"], world.now)
    await world.store.save_status(status, StatusProgress(None, world.now + DAY))
    assert (await world.due_status()).posted is None
