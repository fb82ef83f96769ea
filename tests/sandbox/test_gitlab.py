"""What users do at the sandbox GitLab, what its hooks are told, and how they are sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from buildbot.sandbox.git_repository import Change
from buildbot.sandbox.gitlab import GitLab
from buildbot.sandbox.gitlab_hooks import NOT_SENT, Hook, signature
from tests.sandbox.github_world import Received
from tests.sandbox.gitlab_world import BOT_URL, PATH, World, bearer, gitlab_world

pytestmark = pytest.mark.anyio
PAYLOADS = Path(__file__).parent.parent / "forges" / "gitlab" / "payloads"
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture
async def gitlab() -> AsyncIterator[World]:
    async with gitlab_world() as world:
        yield world


def only(received: list[Received]) -> Received:
    (one,) = received
    return one


# What is told


@pytest.mark.parametrize(("recorded", "is_tag"), [("push-branch-plain.json", False), ("push-tag-created.json", True)])
async def test_a_payload_has_the_keys_and_types_of_a_recorded_one(gitlab: World, recorded: str, is_tag: bool) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="t")
    if is_tag:
        await gitlab.gitlab.push_tag(PATH, "v1.0.0")
    else:
        await gitlab.gitlab.commit_and_push(PATH, files={"README.md": "x"})
    theirs, ours = json.loads((PAYLOADS / recorded).read_bytes()), only(gitlab.bot.received).payload
    assert_alike(theirs, ours, "")


def assert_alike(theirs: object, ours: object, path: str) -> None:
    assert type(theirs) is type(ours) or None in (theirs, ours), path
    if isinstance(theirs, dict) and isinstance(ours, dict):
        assert theirs.keys() <= ours.keys(), path
        for key, value in theirs.items():
            assert_alike(value, ours[key], f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and theirs and ours:
        assert_alike(theirs[0], ours[0], f"{path}.0")


async def test_a_push_of_many_commits_lists_the_last_twenty_and_their_number(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="t")
    await gitlab.gitlab.push_commits(PATH, [Change(f"commit {number}", {"a": str(number)}) for number in range(25)])
    told = only(gitlab.bot.received).payload
    assert (told["total_commits_count"], len(told["commits"])) == (25, 20)
    assert (told["commits"][0]["message"], told["commits"][-1]["message"]) == ("commit 5", "commit 24")


async def test_an_annotated_tag_tells_its_object_its_commit_and_its_message(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="t")
    pushed = await gitlab.gitlab.push_tag(PATH, "v1", annotated=True)
    told = only(gitlab.bot.received)
    assert told.headers["x-gitlab-event"] == "Tag Push Hook"
    assert (told.payload["after"], told.payload["checkout_sha"]) == (pushed.after, gitlab.head)
    assert (told.payload["object_kind"], told.payload["message"]) == ("tag_push", "v1\n")


async def test_a_deletion_has_zeros_and_no_checkout(gitlab: World) -> None:
    await gitlab.gitlab.commit_and_push(PATH, ref="topic", deliver=False)
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="t")
    await gitlab.gitlab.delete_ref(PATH, "topic")
    told = only(gitlab.bot.received).payload
    assert (told["after"], told["checkout_sha"], told["commits"]) == ("0" * 40, None, [])


async def test_a_hook_hears_only_what_it_is_subscribed_to(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="t", push_events=False)
    await gitlab.gitlab.commit_and_push(PATH)
    assert gitlab.bot.received == []
    await gitlab.gitlab.push_tag(PATH, "v1")
    assert only(gitlab.bot.received).headers["x-gitlab-event"] == "Tag Push Hook"


async def test_a_system_hook_hears_of_every_project_under_its_own_name(gitlab: World) -> None:
    gitlab.gitlab.add_system_hook(BOT_URL, token="t")
    gitlab.gitlab.add_repository("other/thing")
    await gitlab.gitlab.commit_and_push(PATH)
    await gitlab.gitlab.push_tag("other/thing", "v1")
    assert [one.headers["x-gitlab-event"] for one in gitlab.bot.received] == ["System Hook"] * 2
    assert [one.payload["object_kind"] for one in gitlab.bot.received] == ["push", "tag_push"]


async def test_hooks_of_one_event_share_its_id_and_have_keys_of_their_own(gitlab: World) -> None:
    for _ in range(2):
        gitlab.gitlab.add_hook(PATH, BOT_URL, token="t")
    await gitlab.gitlab.commit_and_push(PATH)
    first, second = gitlab.bot.received
    assert first.headers["x-gitlab-event-uuid"] == second.headers["x-gitlab-event-uuid"]
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


async def test_the_test_button_lists_newest_first_and_before_is_the_last_listed(gitlab: World) -> None:
    hook = gitlab.gitlab.add_hook(PATH, BOT_URL, token="t")
    first = gitlab.head
    assert (await gitlab.gitlab.test_hook(hook)).status_code == 202
    one = only(gitlab.bot.received).payload
    assert (one["before"], one["after"], one["total_commits_count"]) == (first, first, 1)
    gitlab.bot.received.clear()
    await gitlab.gitlab.commit_and_push(PATH, deliver=False)
    await gitlab.gitlab.test_hook(hook)
    two = only(gitlab.bot.received).payload
    assert [commit["id"] for commit in two["commits"]] == [gitlab.head, first]
    assert (two["before"], two["after"]) == (first, gitlab.head)


# How it is sent


async def test_a_plain_token_is_sent_along_and_nothing_is_signed(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="hush")
    await gitlab.gitlab.commit_and_push(PATH)
    headers = only(gitlab.bot.received).headers
    assert headers["x-gitlab-token"] == "hush"
    assert "webhook-signature" not in headers
    assert {"webhook-id", "webhook-timestamp", "x-gitlab-instance", "x-gitlab-webhook-uuid"} <= headers.keys()


async def test_a_signing_token_signs_id_time_and_body_anew_each_time(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, signing_token=WHSEC)
    (delivery,) = (await gitlab.gitlab.commit_and_push(PATH)).deliveries
    gitlab.clock.turn(minutes=10)
    await gitlab.gitlab.deliver(delivery)
    first, second = gitlab.bot.received
    for one in (first, second):
        id_, at = one.headers["webhook-id"], one.headers["webhook-timestamp"]
        assert one.headers["webhook-signature"] == signature(WHSEC, id_, at, one.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 600
    assert "x-gitlab-token" not in first.headers


def test_the_signature_is_that_of_the_published_vector() -> None:
    body = b'{"object_kind":"push","ref":"refs/heads/main"}'
    made = signature(WHSEC, "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", "1767225600", body)
    assert made == "v1,nx+J523ec8vnN6hW8Pbaej0tZpeVhtIMRkf7knxA6ac="


async def test_a_tamperer_may_change_what_is_sent(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="hush")
    (delivery,) = (await gitlab.gitlab.commit_and_push(PATH, deliver=False)).deliveries
    assert gitlab.gitlab.outbox == [delivery]
    await gitlab.gitlab.deliver(delivery, body=b"{}", headers={"X-Gitlab-Token": None, "X-Gitlab-Event": "Odd Hook"})
    told = only(gitlab.bot.received)
    assert (told.body, told.headers["x-gitlab-event"]) == (b"{}", "Odd Hook")
    assert "x-gitlab-token" not in told.headers
    assert gitlab.gitlab.outbox == []


async def test_a_hook_that_fails_is_switched_off_and_comes_back(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="hush")
    gitlab.bot.status = 401
    for _ in range(4):
        await gitlab.gitlab.commit_and_push(PATH)
    (silent,) = (await gitlab.gitlab.commit_and_push(PATH)).attempts
    assert (silent.status_code, len(gitlab.bot.received)) == (NOT_SENT, 4)
    gitlab.clock.turn(minutes=1)
    gitlab.bot.status = 202
    (sent,) = (await gitlab.gitlab.commit_and_push(PATH)).attempts
    assert sent.status_code == 202


def test_the_pauses_of_a_failing_hook_double_up_to_a_day_and_end_for_good() -> None:
    hook, now, pauses = Hook(1, "u", BOT_URL), GitLab().now(), []
    for _ in range(39):
        hook.note(is_success=False, now=now)
        pauses.append(None if hook.disabled_until is None else hook.disabled_until - now)
    assert pauses[:6] == [None, None, None, *(timedelta(minutes=many) for many in (1, 2, 4))]
    assert pauses[-1] == timedelta(days=1)
    hook.note(is_success=False, now=now)
    assert hook.disabled_until is not None
    assert hook.disabled_until.year == 9999


async def test_an_address_where_nobody_listens_is_a_result() -> None:
    gitlab = GitLab()
    gitlab.add_repository(PATH)
    gitlab.add_hook(PATH, "http://127.0.0.1:9/nobody", token="t")
    (attempt,) = (await gitlab.commit_and_push(PATH)).attempts
    assert attempt.status_code == 0
    assert attempt.describe()["response_status"] == "internal error"


# The site


async def test_archives_of_public_projects_are_open_and_only_the_zip_says_what_it_is(gitlab: World) -> None:
    base = f"/{PATH}/-/archive/{gitlab.head}/api-{gitlab.head}"
    packed = await gitlab.web.get(f"{base}.zip")
    assert (packed.status_code, packed.headers["content-type"]) == (200, "application/zip")
    assert (await gitlab.web.get(f"{base}.tar.gz")).headers["content-type"] == "application/octet-stream"
    gone = await gitlab.web.get(f"/{PATH}/-/archive/{'d' * 40}/api.zip")
    assert (gone.status_code, gone.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert (await gitlab.web.get(f"{base}.rar")).status_code == 404


@pytest.mark.parametrize("visibility", ["internal", "private"])
async def test_archives_of_others_lead_to_the_page_to_sign_in(gitlab: World, visibility: str) -> None:
    gitlab.gitlab.set_visibility(PATH, visibility)
    url = f"/{PATH}/-/archive/{gitlab.head}/api-{gitlab.head}.zip"
    answer = await gitlab.web.get(url, headers=bearer(gitlab.token))
    assert (answer.status_code, answer.headers["location"]) == (302, "http://gitlab.test/users/sign_in")
    page = await gitlab.web.get("/users/sign_in")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (await gitlab.web.get("/acme/gone/-/archive/main/x.zip")).status_code == 302


async def test_calls_and_faults_are_those_of_every_forge(gitlab: World) -> None:
    gitlab.gitlab.faults.fail(502, on="GET /user")
    assert (await gitlab.api.get("/user", headers=bearer(gitlab.token))).status_code == 502
    gitlab.gitlab.faults.down()
    with pytest.raises(httpx.ConnectError, match="sandbox GitLab is down"):
        await gitlab.api.get("/user")
    assert [(one.method, one.path, one.status) for one in gitlab.gitlab.calls] == [
        ("GET", "/user", 502),
        ("GET", "/user", 0),
    ]


def test_what_is_not_there_or_not_possible_is_said() -> None:
    gitlab = GitLab("http://gitlab.test/")
    assert gitlab.api_url == "http://gitlab.test/api/v4"
    gitlab.url = "http://127.0.0.1:1/"
    assert gitlab.url == "http://127.0.0.1:1"
    with pytest.raises(LookupError, match="has no project acme/gone"):
        gitlab.repository("acme/gone")
    with pytest.raises(LookupError, match="add it first"):
        gitlab.faults.unreplicated("acme/gone")
    with pytest.raises(ValueError, match="none of private, internal, public"):
        gitlab.add_repository("acme/x", visibility="secret")
