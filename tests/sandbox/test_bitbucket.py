"""Users of the sandbox Bitbucket Cloud: what one push of one or several refs leads to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from buildbot.sandbox.git_repository import NotFastForward
from tests.sandbox.bitbucket_world import BOT_URL, REPO, BitbucketWorld, bitbucket_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    async with bitbucket_world() as it:
        yield it


def changes(body: bytes) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(body)["push"]["changes"]
    return told


async def test_a_push_is_told_to_the_hooks_of_its_repository_that_hear_of_pushes(world: BitbucketWorld) -> None:
    world.bitbucket.add_repository("acme/other")
    world.bitbucket.add_hook("acme/other", BOT_URL)
    world.bitbucket.add_hook(REPO, BOT_URL, events=("repo:commit_status_created",))
    world.bitbucket.add_hook(REPO, BOT_URL)
    push = await world.bitbucket.commit_and_push(REPO)
    (received,) = world.bot.received
    assert received.headers["x-event-key"] == "repo:push"
    assert changes(received.body)[0]["new"]["target"]["hash"] == push.sha


async def test_several_refs_of_one_push_are_told_in_one_delivery(world: BitbucketWorld) -> None:
    await world.bitbucket.commit_and_push(REPO, ref="old")
    await world.bitbucket.commit_and_push(REPO)
    world.bitbucket.add_hook(REPO, BOT_URL)
    pushed = await world.bitbucket.push_refs(REPO, {"topic": world.head, "refs/tags/v1": world.head, "old": None})
    (received,) = world.bot.received
    told = [(one["created"], one["closed"], (one["new"] or one["old"])["name"]) for one in changes(received.body)]
    assert told == [(True, False, "topic"), (True, False, "v1"), (False, True, "old")]
    assert [update.ref for update in pushed.updates] == ["refs/heads/topic", "refs/tags/v1", "refs/heads/old"]
    assert [attempt.status_code for attempt in pushed.attempts] == [202]
    assert set(world.repository.refs) == {"refs/heads/main", "refs/heads/topic", "refs/tags/v1"}


async def test_a_push_of_no_refs_is_a_delivery_without_changes(world: BitbucketWorld) -> None:
    world.bitbucket.add_hook(REPO, BOT_URL)
    await world.bitbucket.push_refs(REPO, {})
    assert changes(world.bot.received[0].body) == []


async def test_a_delivery_that_is_held_back_waits_in_the_outbox(world: BitbucketWorld) -> None:
    world.bitbucket.add_hook(REPO, BOT_URL)
    pushed = await world.bitbucket.push_refs(REPO, {"topic": world.head}, deliver=False)
    assert world.bot.received == []
    assert tuple(world.bitbucket.outbox) == pushed.deliveries
    await world.bitbucket.flush()
    assert (len(world.bot.received), world.bitbucket.outbox) == (1, [])


async def test_a_ref_moves_back_only_by_force(world: BitbucketWorld) -> None:
    before = world.head
    await world.bitbucket.commit_and_push(REPO)
    with pytest.raises(NotFastForward):
        await world.bitbucket.push_refs(REPO, {"main": before})
    world.bitbucket.add_hook(REPO, BOT_URL)
    await world.bitbucket.push_refs(REPO, {"main": before}, force=True)
    (change,) = changes(world.bot.received[0].body)
    assert (change["forced"], change["commits"]) == (True, [])


async def test_a_renamed_repository_keeps_its_id_and_is_found_under_both_names(world: BitbucketWorld) -> None:
    uuid = world.bitbucket.uuid(REPO)
    world.bitbucket.rename(REPO, "acme/service")
    assert world.bitbucket.uuid("acme/service") == world.bitbucket.uuid(REPO) == uuid
    with pytest.raises(LookupError, match="add it with add_repository"):
        world.bitbucket.repository("acme/gone")
