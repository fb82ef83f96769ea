"""How the sandbox Bitbucket sends: signatures, tries after a 5xx, the limit of 256 KB, tampering."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator

import httpx
import pytest

from buildbot.sandbox.bitbucket_hooks import signature
from tests.sandbox.bitbucket_world import BOT_URL, REPO, BitbucketWorld, bitbucket_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    async with bitbucket_world() as it:
        yield it


def test_the_signature_is_that_of_the_documentation() -> None:
    told = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature("It's a Secret to Everybody", b"Hello, World!") == told


async def test_a_hook_with_a_secret_signs_and_one_without_does_not(world: BitbucketWorld) -> None:
    world.bitbucket.add_hook(REPO, BOT_URL, secret="hush")
    world.bitbucket.add_hook(REPO, BOT_URL)
    await world.bitbucket.commit_and_push(REPO)
    signed, unsigned = world.bot.received
    digest = hmac.new(b"hush", signed.body, "sha256").hexdigest()
    assert signed.headers["x-hub-signature"] == f"sha256={digest}"
    assert "x-hub-signature" not in unsigned.headers
    assert signed.headers["x-request-uuid"] != unsigned.headers["x-request-uuid"]


@pytest.mark.parametrize(("status", "tries"), [(202, 1), (404, 1), (400, 1), (500, 3), (503, 3)])
async def test_only_a_5xx_is_tried_again_at_once_under_the_same_id(
    world: BitbucketWorld, status: int, tries: int
) -> None:
    world.bot.status = status
    world.bitbucket.add_hook(REPO, BOT_URL)
    push = await world.bitbucket.commit_and_push(REPO)
    numbers = [one.headers["x-attempt-number"] for one in world.bot.received]
    assert numbers == [str(number) for number in range(1, tries + 1)]
    assert len({one.headers["x-request-uuid"] for one in world.bot.received}) == 1
    assert [one.number for one in push.attempts] == [tries]
    assert [one.status_code for one in world.bitbucket.sender.log] == [status] * tries


async def test_a_receiver_that_is_away_is_a_result_and_not_tried_again(world: BitbucketWorld) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
        world.bitbucket.sender.client = client
        world.bitbucket.add_hook(REPO, BOT_URL)
        (attempt,) = (await world.bitbucket.commit_and_push(REPO)).attempts
    assert (attempt.number, attempt.status_code) == (1, 0)


@pytest.mark.parametrize(("length", "is_sent"), [(100_000, True), (300_000, False)])
async def test_over_256_kilobytes_nothing_is_sent(world: BitbucketWorld, length: int, is_sent: bool) -> None:
    world.bitbucket.add_hook(REPO, BOT_URL)
    push = await world.bitbucket.push_refs(REPO, {"topic": world.head}, deliver=False)
    assert len(push.deliveries) == 1
    large = await world.bitbucket.commit_and_push(REPO, message="x" * (length // 2))
    assert bool(large.deliveries) is is_sent


async def test_a_tampered_delivery_keeps_the_signature_of_the_true_one(world: BitbucketWorld) -> None:
    world.bitbucket.add_hook(REPO, BOT_URL, secret="hush")
    push = await world.bitbucket.commit_and_push(REPO, deliver=False)
    (delivery,) = push.deliveries
    await world.bitbucket.deliver(delivery, body=b"{}", headers={"X-Event-Key": None})
    (received,) = world.bot.received
    assert received.body == b"{}"
    assert received.headers["x-hub-signature"] == signature("hush", delivery.body)
    assert "x-event-key" not in received.headers
