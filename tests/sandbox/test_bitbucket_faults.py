"""What may go wrong at the sandbox Bitbucket Cloud, each used up and none of it for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.bitbucket_world import REPO, BitbucketWorld, bitbucket_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    async with bitbucket_world() as it:
        yield it


@pytest.mark.parametrize("retry_after", [None, 30])
async def test_too_many_calls_are_told_so(world: BitbucketWorld, retry_after: int | None) -> None:
    world.bitbucket.faults.throttle(2, retry_after)
    answers = [await world.ask("GET", "") for _ in range(3)]
    assert [one.status_code for one in answers] == [429, 429, 200]
    assert answers[0].headers.get("retry-after") == (None if retry_after is None else "30")


async def test_a_comparison_may_take_too_long(world: BitbucketWorld) -> None:
    world.bitbucket.faults.slow_diff()
    path = f"/diffstat/{world.head}..{world.head}?topic=false"
    assert (await world.ask("GET", path)).status_code == 555
    assert (await world.get(path))["values"] == []


async def test_a_commit_may_not_be_known_yet(world: BitbucketWorld) -> None:
    token = world.token()
    world.bitbucket.faults.unreplicated(REPO)
    assert [(await world.post_status(token)).status_code for _ in range(2)] == [404, 201]
    with pytest.raises(LookupError, match="add it first"):
        world.bitbucket.faults.unreplicated("acme/gone")


async def test_a_revoked_token_is_nobodys(world: BitbucketWorld) -> None:
    token = world.token()
    world.bitbucket.faults.revoke(token)
    assert (await world.post_status(token)).status_code == 401


async def test_clear_forgets_what_was_planned(world: BitbucketWorld) -> None:
    faults = world.bitbucket.faults
    faults.throttle(5)
    faults.slow_diff(5)
    faults.unreplicated(REPO, 5)
    faults.fail(times=5)
    faults.clear()
    assert (await world.post_status(world.token())).status_code == 201
    await world.get(f"/diffstat/{world.head}..{world.head}?topic=false")


async def test_calls_are_written_down_without_the_apis_own_path(world: BitbucketWorld) -> None:
    await world.get("")
    assert world.bitbucket.calls[-1] == ("GET", "/repositories/acme/api", 200)
