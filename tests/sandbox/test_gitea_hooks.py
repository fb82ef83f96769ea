"""Webhooks of the sandbox Gitea: families of headers, signatures, forms, what is told of which act."""

from __future__ import annotations

import hmac
from typing import Any

import httpx
import pytest

from buildbot.sandbox.git_repository import NO_COMMIT
from buildbot.sandbox.gitea_hooks import ContentType, Hook
from tests.sandbox.gitea_world import BOT_URL, REPO, GiteaWorld, both, gitea_world

pytestmark = pytest.mark.anyio


def told(world: GiteaWorld) -> list[tuple[str, Any]]:
    return [(one.event, one.payload["ref"]) for one in world.bot.received]


@both
async def test_all_families_of_headers_come_side_by_side_and_forgejos_only_from_forgejo(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        world.gitea.add_hook(REPO, BOT_URL, secret="hush")
        await world.gitea.commit_and_push(REPO)
    (received,) = world.bot.received
    signature = hmac.digest(b"hush", received.body, "sha256").hex()
    assert received.headers["x-gitea-signature"] == received.headers["x-gogs-signature"] == signature
    assert received.headers["x-hub-signature-256"] == f"sha256={signature}"
    assert received.headers["x-hub-signature"] == f"sha1={hmac.digest(b'hush', received.body, 'sha1').hex()}"
    assert received.headers.get("x-forgejo-signature") == (signature if forgejo else None)
    assert received.headers.get("x-forgejo-event") == ("push" if forgejo else None)
    assert received.headers["x-gitea-delivery"] == received.headers["x-github-delivery"]
    assert received.headers["x-gitea-event"] == received.headers["x-gitea-event-type"] == "push"


async def test_without_a_secret_the_signatures_are_there_and_empty() -> None:
    async with gitea_world(forgejo=True) as world:
        world.gitea.add_hook(REPO, BOT_URL)
        await world.gitea.commit_and_push(REPO)
    headers = world.bot.received[0].headers
    assert (headers["x-gitea-signature"], headers["x-forgejo-signature"]) == ("", "")
    assert (headers["x-hub-signature"], headers["x-hub-signature-256"]) == ("sha1=", "sha256=")


@pytest.mark.parametrize("content_type", ["json", "form"])
async def test_a_form_is_signed_over_the_json_in_it(content_type: ContentType) -> None:
    async with gitea_world() as world:
        world.gitea.add_hook(REPO, BOT_URL, secret="hush", content_type=content_type)
        push = await world.gitea.commit_and_push(REPO, message="größe + 100%")
    (received,) = world.bot.received
    assert received.body.startswith(b"payload=") is (content_type == "form")
    assert received.headers["x-gitea-signature"] == hmac.digest(b"hush", push.deliveries[0].json, "sha256").hex()
    assert received.payload["head_commit"]["message"] == "größe + 100%"


@both
async def test_a_new_branch_is_told_twice_and_its_deletion_only_as_a_deletion(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        world.gitea.add_hook(REPO, BOT_URL, kind="gitea")
        await world.gitea.commit_and_push(REPO, ref="a/b")
        await world.gitea.delete_ref(REPO, "a/b")
    assert told(world) == [("push", "refs/heads/a/b"), ("create", "a/b"), ("delete", "a/b")]
    assert "after" not in world.bot.received[2].payload


async def test_hooks_of_forgejos_kind_have_the_whole_ref() -> None:
    async with gitea_world(forgejo=True) as world:
        world.gitea.add_hook(REPO, BOT_URL)
        await world.gitea.commit_and_push(REPO, ref="a/b")
        await world.gitea.delete_ref(REPO, "a/b")
    assert told(world)[1:] == [("create", "refs/heads/a/b"), ("delete", "refs/heads/a/b")]


async def test_a_deleted_tag_is_told_as_a_push_and_as_a_deletion() -> None:
    async with gitea_world() as world:
        world.gitea.add_hook(REPO, BOT_URL, events=("push", "delete"))
        tag = await world.gitea.push_tag(REPO, "v1", annotated=True)
        await world.gitea.delete_ref(REPO, "refs/tags/v1")
    created, pushed, deleted = world.bot.received
    assert (created.payload["after"], created.payload["head_commit"]["id"]) == (tag.after, world.head)
    assert created.payload["commits"] == []
    assert (pushed.payload["after"], pushed.payload["head_commit"]) == (NO_COMMIT, None)
    assert (deleted.event, deleted.payload["ref_type"]) == ("delete", "tag")


async def test_hooks_hear_only_of_what_they_asked_for_and_of_their_own_repository() -> None:
    async with gitea_world() as world:
        world.gitea.add_repository("acme/web")
        world.gitea.add_hook("acme/web", BOT_URL)
        world.gitea.add_hook(REPO, BOT_URL, events=("create",))
        await world.gitea.commit_and_push(REPO)
    assert world.bot.received == []


async def test_only_forgejo_has_hooks_of_its_own_kind() -> None:
    async with gitea_world() as world:
        with pytest.raises(ValueError, match="Forgejo's kind"):
            world.gitea.add_hook(REPO, BOT_URL, kind="forgejo")


async def test_a_replay_is_the_same_payload_under_a_new_id() -> None:
    async with gitea_world() as world:
        world.gitea.add_hook(REPO, BOT_URL)
        (attempt,) = (await world.gitea.commit_and_push(REPO)).attempts
        await world.gitea.sender.replay(attempt)
    first, second = world.bot.received
    assert first.guid != second.guid
    assert first.body == second.body


async def test_the_test_button_sends_a_push_that_did_not_move() -> None:
    async with gitea_world() as world:
        hook = world.gitea.add_hook(REPO, BOT_URL, secret="hush")
        await world.gitea.test_hook(hook)
        answer = await world.ask("POST", f"/hooks/{hook.id}/tests", world.token(role="admin"))
    assert answer.status_code == 204
    for received in world.bot.received:
        payload = received.payload
        assert (received.event, payload["before"], payload["after"]) == ("push", world.head, world.head)
        assert payload["commits"][0]["added"] is None
        assert payload["head_commit"]["timestamp"].startswith("0001-")
    assert len(world.bot.received) == 2


async def test_a_tamperer_may_change_what_was_signed_and_drop_headers() -> None:
    async with gitea_world() as world:
        world.gitea.add_hook(REPO, BOT_URL, secret="hush")
        push = await world.gitea.commit_and_push(REPO, deliver=False)
        await world.gitea.deliver(push.deliveries[0], body=b"{}", headers={"X-Gitea-Event": None, "X-More": "1"})
    (received,) = world.bot.received
    assert (received.body, received.headers["x-more"], "x-gitea-event" in received.headers) == (b"{}", "1", False)
    assert world.gitea.outbox == []


async def test_what_the_hook_answered_is_kept_and_a_refused_connection_is_an_answer_too() -> None:
    async with gitea_world() as world:
        world.gitea.add_hook(REPO, BOT_URL)
        world.bot.status = 503
        (attempt,) = (await world.gitea.commit_and_push(REPO)).attempts
        assert (attempt.status_code, attempt.answer, attempt.delivered_at) == (503, "noted", world.clock())
        world.gitea.sender.client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
        (attempt,) = (await world.gitea.commit_and_push(REPO)).attempts
        await world.gitea.sender.client.aclose()
        assert (attempt.status_code, attempt.answer) == (0, "Delivery: ConnectError")
        assert len(world.gitea.sender.log) == 2


def refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_a_secret_does_not_show_in_the_repr() -> None:
    assert "hush" not in repr(Hook(1, BOT_URL, 1, secret="hush"))
