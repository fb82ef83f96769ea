"""The sandbox Bitbucket Cloud's API: rights, statuses by key, refs, comparisons in pages, files."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.sandbox.bitbucket_world import BOT_URL, REPO, BitbucketWorld, bitbucket_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    async with bitbucket_world() as it:
        yield it


def message(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["type"] == "error"
    return str(body["error"]["message"])


# Rights


async def test_a_public_repository_is_read_by_everybody_and_a_private_one_by_its_readers(world: BitbucketWorld) -> None:
    assert (await world.get(""))["mainbranch"] == {"type": "branch", "name": "main"}
    world.bitbucket.set_private(REPO)
    hidden = await world.ask("GET", "", world.bitbucket.issue_access_token("stranger"))
    assert (hidden.status_code, message(hidden)) == (404, "Repository acme/api not found.")
    assert (await world.get("", world.token()))["is_private"] is True


async def test_a_token_that_is_nobodys_is_refused_even_for_what_is_public(world: BitbucketWorld) -> None:
    answer = await world.ask("GET", "", "ATCTT-wrong")
    assert (answer.status_code, "invalid, expired" in message(answer)) == (401, True)


async def test_each_kind_of_token_is_carried_in_its_own_way(world: BitbucketWorld) -> None:
    told = world.bitbucket.issue_api_token("ada", collaborator=REPO)
    basic = {"authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}
    bearer = {"authorization": f"Bearer {told.partition(':')[2]}"}
    user = f"{world.bitbucket.api_url}/user"
    assert (await world.client.get(user, headers=basic)).json()["nickname"] == "ada"
    assert (await world.client.get(user, headers=bearer)).status_code == 401
    access = {"authorization": f"Bearer {world.token()}"}
    assert "not supported for this endpoint" in message(await world.client.get(user, headers=access))


async def test_a_status_needs_a_token_with_the_scope(world: BitbucketWorld) -> None:
    assert (await world.post_status(None)).status_code == 401
    refused = await world.post_status(world.token("ci-bot", "pullrequest"))
    assert refused.status_code == 403
    assert refused.json()["error"]["detail"]["required"] == ["repository"]


async def test_a_former_name_is_redirected(world: BitbucketWorld) -> None:
    world.bitbucket.rename(REPO, "acme/service")
    answer = await world.ask("GET", "/refs/branches/main?x=1")
    assert answer.status_code == 301
    assert answer.headers["location"].endswith("/2.0/repositories/acme/service/refs/branches/main?x=1")


# Statuses


async def test_the_same_key_overwrites_and_another_does_not(world: BitbucketWorld) -> None:
    token = world.token()
    first = await world.post_status(token, refname="main")
    world.clock.turn(minutes=1)
    second = await world.post_status(token, state="SUCCESSFUL")
    await world.post_status(token, key="another")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["created_on"] == first.json()["created_on"] < second.json()["updated_on"]
    listed = (await world.get(f"/commit/{world.head}/statuses"))["values"]
    assert [(one["key"], one["state"]) for one in listed] == [("quay/api", "SUCCESSFUL"), ("another", "INPROGRESS")]


async def test_only_the_creator_or_an_admin_overwrites(world: BitbucketWorld) -> None:
    await world.post_status(world.token("ci-bot"))
    assert (await world.post_status(world.token("new-bot"), state="FAILED")).status_code == 403
    admin = world.bitbucket.issue_access_token("acme")
    assert (await world.post_status(admin, state="FAILED")).status_code == 200
    (stands,) = world.bitbucket.statuses(REPO, world.head)
    assert (stands.state, stands.creator) == ("FAILED", "ci-bot")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("key", "k" * 41, "Ensure this value has at most 40 characters (it has 41)."),
        ("key", None, "This field is required."),
        ("url", None, "This field is required."),
        ("url", "ftp://x", "Enter a valid URL."),
        ("state", "PENDING", "PENDING is not a valid choice."),
        ("description", "d" * 256, "Ensure this value has at most 255 characters (it has 256)."),
    ],
)
async def test_a_wrong_status_is_refused_with_its_field(
    world: BitbucketWorld, name: str, value: str | None, said: str
) -> None:
    answer = await world.post_status(world.token(), **{name: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["fields"] == {name: [said]}
    assert world.bitbucket.statuses(REPO, world.head) == []


async def test_a_key_of_forty_characters_is_taken(world: BitbucketWorld) -> None:
    assert (await world.post_status(world.token(), key="k" * 40)).status_code == 201


async def test_a_commit_that_is_not_there_has_no_status(world: BitbucketWorld) -> None:
    answer = await world.post_status(world.token(), "d" * 40)
    assert (answer.status_code, message(answer)) == (404, "Commit not found")


async def test_statuses_come_back_as_events_that_wait_in_the_outbox(world: BitbucketWorld) -> None:
    world.bitbucket.add_hook(REPO, BOT_URL, events=("repo:commit_status_created", "repo:commit_status_updated"))
    token = world.token()
    await world.post_status(token)
    await world.post_status(token, state="FAILED")
    assert world.bot.received == []
    await world.bitbucket.flush()
    keys = [one.headers["x-event-key"] for one in world.bot.received]
    assert keys == ["repo:commit_status_created", "repo:commit_status_updated"]


# Reading


async def test_refs_are_found_by_name_and_kind(world: BitbucketWorld) -> None:
    tag = await world.bitbucket.push_tag(REPO, "v1", annotated=True)
    assert (await world.get("/refs/tags/v1"))["target"]["hash"] == tag.sha
    assert (await world.get("/refs/branches/main"))["target"]["hash"] == world.head
    assert (await world.ask("GET", "/refs/branches/v1")).status_code == 404
    assert (await world.get(f"/commit/{tag.after}"))["hash"] == tag.sha


async def test_a_comparison_has_pages_and_the_newer_commit_first(world: BitbucketWorld) -> None:
    before = world.head
    await world.bitbucket.commit_and_push(REPO, files={f"{number}": "x" for number in range(5)})
    world.bitbucket.state.page_length = 2
    path, pages = f"/diffstat/{world.head}..{before}?topic=false", []
    while path:
        pages.append(await world.get(path))
        path = pages[-1].get("next", "").partition(REPO)[2]
    assert [[one["new"]["path"] for one in page["values"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]
    (backwards, *_) = (await world.get(f"/diffstat/{before}..{world.head}?topic=false"))["values"]
    assert (backwards["status"], backwards["new"]) == ("removed", None)


async def test_three_dots_leave_out_what_the_other_side_changed(world: BitbucketWorld) -> None:
    await world.bitbucket.commit_and_push(REPO, ref="topic", files={"theirs": "2"})
    await world.bitbucket.commit_and_push(REPO, files={"ours": "1"})
    topic = world.repository.refs["refs/heads/topic"]

    async def paths(query: str) -> set[str]:
        told = (await world.get(f"/diffstat/{world.head}..{topic}?{query}"))["values"]
        return {(one["new"] or one["old"])["path"] for one in told}

    assert await paths("topic=false") == {"ours", "theirs"}
    assert await paths("topic=true") == {"ours"}


async def test_a_file_is_sent_raw_and_described_with_format_meta(world: BitbucketWorld) -> None:
    await world.bitbucket.commit_and_push(REPO, files={"docker/Dockerfile": "FROM x"})
    assert (await world.ask("GET", f"/src/{world.head}/docker/Dockerfile")).text == "FROM x"
    assert (await world.get(f"/src/{world.head}/docker/Dockerfile?format=meta"))["type"] == "commit_file"
    assert (await world.get(f"/src/{world.head}/docker?format=meta"))["type"] == "commit_directory"
    assert [one["path"] for one in (await world.get(f"/src/{world.head}/docker"))["values"]] == ["docker/Dockerfile"]
    missing = await world.ask("GET", f"/src/{world.head}/gone")
    assert (missing.status_code, message(missing)) == (404, "No such file or directory: gone")


async def test_what_it_does_not_speak_is_not_found(world: BitbucketWorld) -> None:
    answer = await world.client.get(f"{world.bitbucket.api_url}/workspaces")
    assert (answer.status_code, message(answer)) == (404, "Resource not found")
