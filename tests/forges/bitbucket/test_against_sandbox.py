"""Bitbucket Cloud's adapter against its sandbox, beyond the contract that all forges share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from buildbot.domain.push import Ignored, PushEvent
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.bitbucket.api import DIFFSTAT_PAGES
from buildbot.forges.bitbucket.probes import has_repository, is_token_good, may_post_status
from buildbot.forges.probes import ProbeResult
from buildbot.ports import Refused, StatusTarget, Throttled, Unavailable, Vanished
from buildbot.sandbox.bitbucket_hooks import Delivery
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.world import HOOK_URL, REPO, wire_headers

pytestmark = pytest.mark.anyio
PENDING = CommitStatus(StatusState.PENDING, "queued", "https://builds.test/builds/1")


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    sandbox = BitbucketWorld.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        yield BitbucketWorld(client, sandbox)


def read(world: BitbucketWorld, delivery: Delivery) -> tuple[PushEvent, ...] | Ignored:
    headers = wire_headers(delivery.headers())
    _, event = world.webhook.identify(headers)
    return world.webhook.read(event, world.webhook.decode(headers, delivery.body))


async def test_several_refs_of_one_push_are_read_each_with_its_commit(world: BitbucketWorld) -> None:
    old = await world.sandbox.commit_and_push(REPO, ref="old")
    tag = await world.sandbox.push_tag(REPO, "v0", at=world.head, annotated=True)
    await world.sandbox.commit_and_push(REPO)
    world.add_hook("hush")
    refs = {"topic": world.head, "refs/tags/v1": tag.after, "old": None}
    (delivery,) = (await world.sandbox.push_refs(REPO, refs, deliver=False)).deliveries
    told = read(world, delivery)
    assert not isinstance(told, Ignored)
    assert [(push.ref, push.before, push.commit) for push in told] == [
        ("refs/heads/topic", None, world.head),
        ("refs/tags/v1", None, tag.sha),
        ("refs/heads/old", old.sha, None),
    ]


async def test_a_delivery_without_changes_and_statuses_that_come_back_are_ignored(world: BitbucketWorld) -> None:
    world.sandbox.add_hook(REPO, HOOK_URL, events=("repo:push", "repo:commit_status_created"))
    await world.sandbox.push_refs(REPO, {}, deliver=False)
    await world.post(world.target(world.head), PENDING)
    nothing, status = (read(world, delivery) for delivery in world.sandbox.outbox)
    assert nothing == Ignored("no ref was moved")
    assert isinstance(status, Ignored)
    assert "repo:commit_status_created" in status.reason


async def test_a_delivery_that_is_tried_again_keeps_its_id(world: BitbucketWorld) -> None:
    world.add_hook("hush")
    (delivery,) = (await world.sandbox.commit_and_push(REPO, deliver=False)).deliveries
    ids = {world.webhook.identify(wire_headers(delivery.headers(attempt)))[0] for attempt in (1, 2, 3)}
    assert len(ids) == 1


async def test_what_builders_are_told_to_fetch_is_there(world: BitbucketWorld) -> None:
    world.add_hook("hush")
    push = world.read(await world.sandbox.commit_and_push(REPO, deliver=False))
    answer = await world.client.get(push.archive.url.replace("{sha}", push.commit or ""))
    assert answer.headers["content-type"] == "application/zip"
    assert f"{push.archive.root.strip('/')}/Dockerfile".encode() in answer.content


async def test_two_long_contexts_are_two_statuses(world: BitbucketWorld) -> None:
    contexts = ["quay/" + "x" * 60 + end for end in ("a", "b")]
    for context in contexts:
        await world.post(StatusTarget(REPO, world.head, "refs/heads/main", context), PENDING)
        await world.post(StatusTarget(REPO, world.head, "refs/heads/main", context), PENDING)
    assert [one.name for one in world.sandbox.statuses(REPO, world.head)] == contexts


async def test_another_accounts_status_is_not_overwritten(world: BitbucketWorld) -> None:
    await world.post(world.target(world.head), PENDING)
    world.forge = world.forge_with(world.sandbox.issue_access_token("new-bot", collaborator=REPO))
    with pytest.raises(Refused, match="Only the creator"):
        await world.post(world.target(world.head), PENDING)


async def test_a_commit_that_is_not_replicated_yet_has_vanished_for_a_moment(world: BitbucketWorld) -> None:
    world.sandbox.faults.unreplicated(REPO)
    with pytest.raises(Vanished):
        await world.post(world.target(world.head), PENDING)
    await world.post(world.target(world.head), PENDING)


async def test_a_comparison_that_takes_too_long_is_unknown_and_not_asked_again(world: BitbucketWorld) -> None:
    world.sandbox.faults.slow_diff()
    assert await world.forge.changed_paths(REPO, world.head, world.head) is None
    assert await world.forge.changed_paths(REPO, world.head, world.head) == ()


@pytest.mark.parametrize(("pages", "is_told"), [(DIFFSTAT_PAGES, True), (DIFFSTAT_PAGES + 1, False)])
async def test_a_comparison_is_read_page_by_page_up_to_a_limit(
    world: BitbucketWorld, pages: int, is_told: bool
) -> None:
    world.sandbox.state.page_length = 1
    before, files = world.head, {f"{number:02}": f"{number}" for number in range(pages)}
    await world.sandbox.commit_and_push(REPO, files=files, deliver=False)
    told = await world.forge.changed_paths(REPO, before, world.head)
    assert told == (tuple(sorted(files)) if is_told else None)


async def test_a_limit_of_calls_says_when_to_come_back(world: BitbucketWorld) -> None:
    world.sandbox.faults.throttle(retry_after=90)
    with pytest.raises(Throttled):
        await world.post(world.target(world.head), PENDING)


async def test_a_persons_token_does_all_but_fetch_private_archives(world: BitbucketWorld) -> None:
    world.hide()
    world.forge = world.forge_with(world.sandbox.issue_api_token("ada", collaborator=REPO))
    await world.post(world.target(world.head), PENDING)
    assert await world.forge.credential(REPO) == "user:ada"
    assert await world.forge.has_file(REPO, world.head, "Dockerfile")
    with pytest.raises(Unavailable, match="a page to log in"):
        async with world.forge.archive(REPO, world.head):
            pytest.fail("only access tokens open it")


async def test_doctor_finds_a_good_token_good(world: BitbucketWorld) -> None:
    person = world.forge_with(world.sandbox.issue_api_token("ada", collaborator=REPO))
    bot = world.forge_with(world.sandbox.issue_access_token("ci-bot", collaborator=REPO))
    assert (await is_token_good(person)).detail == "the token is ada's"
    assert (await is_token_good(bot)).result is ProbeResult.UNTOLD
    assert (await has_repository(bot, REPO)).result is ProbeResult.YES
    assert (await may_post_status(bot, REPO)).result is ProbeResult.YES
    assert world.sandbox.statuses(REPO, world.head) == []


async def test_doctor_finds_a_token_without_the_scope_wanting(world: BitbucketWorld) -> None:
    token = world.sandbox.issue_access_token("ci-bot", scopes=("pullrequest",), collaborator=REPO)
    found = await may_post_status(world.forge_with(token), REPO)
    assert (found.result, "needs repository" in found.detail) == (ProbeResult.NO, True)
