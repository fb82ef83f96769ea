"""What is sent to Gitea and what its answers mean, over a scripted wire. What all forges share: `test_contract`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import httpx
import pytest

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.gitea.api import CONTEXT_LIMIT, GiteaApi
from buildbot.ports import (
    CallError,
    Refused,
    Repository,
    StatusTarget,
    Throttled,
    Unanswered,
    Unavailable,
    Vanished,
)
from tests.forges.wire import NOW, SECOND, SHA, TAG, answer, page
from tests.forges.wire import wired as wired_at

pytestmark = pytest.mark.anyio
REPO = "acme/api"
TARGET = StatusTarget(REPO, SHA, "refs/heads/main", "quay/api")
PENDING = CommitStatus(StatusState.PENDING, "queued at Quay", "https://b.test/1")
COMMIT = f"GET /repos/acme/api/git/commits/{SHA}?stat=false&verification=false&files=false"
SHOWN = {
    "id": 7,
    "full_name": "acme/api",
    "private": True,
    "internal": False,
    "default_branch": "main",
    "html_url": "https://gitea.test/acme/api",
}
wired = partial(wired_at, api_path="/api/v1")


def api(client: httpx.AsyncClient) -> GiteaApi:
    return GiteaApi(
        client,
        api_url="https://gitea.test/api/v1",
        auth=TokenAuth("t0ken-t0ken-t0ken-t0ken", forge="Gitea"),
        request_timeout=20 * SECOND,
        retry_pause=timedelta(0),
        now=lambda: NOW,
    )


def said(status: int, message: str, **headers: str) -> httpx.Response:
    """A refusal in Gitea's form."""
    return answer(status, {"message": message, "url": "https://gitea.test/api/swagger"}, **headers)


NO_OBJECT = said(500, f"object does not exist [id: {SHA}, rel_path: ]")
NOT_FOUND = said(404, "The target couldn't be found.")
THERE = answer(200, {"sha": SHA})


# Statuses


@pytest.mark.parametrize("state", list(StatusState))
async def test_a_status_is_posted_in_giteas_words(state: StatusState) -> None:
    async with wired(answer(201, {"id": 1, "status": str(state)})) as (client, wire):
        await api(client).post_status(TARGET, CommitStatus(state, "done", "https://b.test/1"))
    assert wire.asked == [f"POST /repos/acme/api/statuses/{SHA}"]
    expected = {"state": str(state), "description": "done", "context": "quay/api", "target_url": "https://b.test/1"}
    assert wire.body() == expected
    assert wire.requests[0].headers["authorization"] == "token t0ken-t0ken-t0ken-t0ken"


async def test_what_gitea_could_not_keep_is_not_sent() -> None:
    target = StatusTarget(REPO, SHA, "refs/heads/main", "q" * 300)
    async with wired(page(201)) as (client, wire):
        await api(client).post_status(target, CommitStatus(StatusState.ERROR, "a\x00b", "javascript:alert(1)"))
    assert wire.body()["description"] == "a\ufffdb"
    assert len(wire.body()["context"]) == CONTEXT_LIMIT
    assert "target_url" not in wire.body()


@pytest.mark.parametrize("refusal", [NO_OBJECT, NOT_FOUND], ids=["Gitea", "Forgejo"])
async def test_a_commit_that_is_not_there_is_found_out_by_looking_for_it(refusal: httpx.Response) -> None:
    async with wired(refusal, NOT_FOUND, answer(200, SHOWN)) as (client, wire):
        with pytest.raises(Vanished, match=f"no commit {SHA}"):
            await api(client).post_status(TARGET, PENDING)
    assert wire.asked == [f"POST /repos/acme/api/statuses/{SHA}", COMMIT, "GET /repos/acme/api"]


@pytest.mark.parametrize("refusal", [NO_OBJECT, NOT_FOUND])
async def test_a_repository_that_is_not_seen_is_a_refusal(refusal: httpx.Response) -> None:
    async with wired(refusal, NOT_FOUND, NOT_FOUND) as (client, _):
        with pytest.raises(Refused, match="does not see the repository acme/api"):
            await api(client).post_status(TARGET, PENDING)


async def test_a_500_about_a_commit_that_is_there_is_trouble_that_passes() -> None:
    async with wired(said(500, "database is locked"), THERE) as (client, wire):
        with pytest.raises(Unanswered, match="database is locked"):
            await api(client).post_status(TARGET, PENDING)
    assert len(wire.requests) == 2


@pytest.mark.parametrize("looking", [httpx.ReadTimeout("x"), said(403, "no scope"), said(429, "slow")])
async def test_where_it_cannot_be_found_out_the_first_answer_stands(looking: httpx.Response | Exception) -> None:
    async with wired(NO_OBJECT, looking) as (client, _):
        with pytest.raises(Unanswered, match="500"):
            await api(client).post_status(TARGET, PENDING)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (said(403, "user should have a permission to write to a repo"), Refused),
        (said(423, "repo is archived"), Refused),
        (said(429, "slow"), Throttled),
        (page(404), Unavailable),
        (page(500), Unanswered),
        (page(502), Unanswered),
        (answer(200, {"id": 1}), Unanswered),
    ],
)
async def test_every_other_refusal_is_believed_at_once(response: httpx.Response, kind: type[CallError]) -> None:
    async with wired(response) as (client, wire):
        with pytest.raises(kind):
            await api(client).post_status(TARGET, PENDING)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("sha", ["HEAD", SHA[:7], "../x", SHA + "\n"])
async def test_only_whole_commit_ids_are_posted_to(sha: str) -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="not a whole commit id"):
            await api(client).post_status(StatusTarget(REPO, sha, "refs/heads/main", "c"), PENDING)


async def test_a_token_that_may_not_ask_for_its_user_has_a_name_all_the_same() -> None:
    async with wired(said(403, "token does not have at least one of required scope(s): [read:user]")) as (client, _):
        forge = api(client)
        assert [await forge.credential(REPO), await forge.credential(REPO)] == ["token:gitea.test"] * 2


# Reading


async def test_every_part_of_a_name_is_encoded() -> None:
    name = "fix/#7-größe%2F?&+"
    async with wired(answer(200, {"name": name, "commit": {"id": SHA}})) as (client, wire):
        assert await api(client).head(REPO, f"refs/heads/{name}") == SHA
    assert wire.asked == ["GET /repos/acme/api/branches/fix/%237-gr%C3%B6%C3%9Fe%252F%3F%26%2B"]


async def test_a_tags_head_is_its_commit() -> None:
    async with wired(answer(200, {"name": "v1", "id": TAG, "commit": {"sha": SHA}})) as (client, wire):
        assert await api(client).head(REPO, "refs/tags/v1") == SHA
    assert wire.asked == ["GET /repos/acme/api/tags/v1"]


async def test_a_tags_object_is_peeled_by_asking_for_it_as_a_commit() -> None:
    async with wired(answer(200, {"sha": SHA})) as (client, wire):
        assert await api(client).commit_of_tag(REPO, TAG) == SHA
    assert wire.asked[0].startswith(f"GET /repos/acme/api/git/commits/{TAG}?")


async def test_a_ref_of_another_name_is_not_the_one() -> None:
    async with wired(answer(200, {"name": "main-2", "commit": {"id": SHA}})) as (client, _):
        with pytest.raises(Vanished):
            await api(client).head(REPO, "refs/heads/main")


async def test_only_branches_and_tags_have_heads() -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="neither a branch nor a tag"):
            await api(client).head(REPO, "refs/pull/1/head")


@pytest.mark.parametrize("shown", [{"private": True, "internal": False}, {"private": False, "internal": True}])
async def test_what_needs_a_credential_counts_as_private(shown: dict[str, bool]) -> None:
    async with wired(answer(200, SHOWN | shown)) as (client, _):
        found = await api(client).repository(REPO)
    assert found == Repository("7", "acme/api", True, "main", "https://gitea.test/acme/api")


async def test_an_empty_repository_has_no_default_branch() -> None:
    async with wired(answer(200, SHOWN | {"default_branch": "", "internal": None})) as (client, _):
        assert (await api(client).repository(REPO)).default_branch == ""


@pytest.mark.parametrize("lacking", ["id", "full_name", "private", "html_url"])
async def test_a_description_without_a_field_names_it(lacking: str) -> None:
    async with wired(answer(200, {**SHOWN, lacking: None})) as (client, _):
        with pytest.raises(Unanswered, match=f"{lacking} is null"):
            await api(client).repository(REPO)


async def test_a_comparison_that_makes_no_sense_says_so() -> None:
    async with wired(answer(200, {"total_commits": "1", "commits": []})) as (client, wire):
        with pytest.raises(Unanswered, match="total_commits is not an integer"):
            await api(client).changed_paths(REPO, TAG, SHA)
    assert wire.asked == [f"GET /repos/acme/api/compare/{TAG}...{SHA}?stat=false&verification=false"]


@pytest.mark.parametrize(
    ("shown", "is_file"),
    [
        ({"type": "file"}, True),
        ({"type": "symlink", "target": "x"}, True),
        ({"type": "submodule"}, False),
        ([{"type": "file"}], False),
    ],
)
async def test_only_files_and_links_are_files(shown: object, is_file: bool) -> None:
    async with wired(answer(200, shown)) as (client, wire):
        assert await api(client).has_file(REPO, SHA, "a b/Dockerfile") is is_file
    assert wire.asked == [f"GET /repos/acme/api/contents/a%20b/Dockerfile?ref={SHA}"]


async def streamed(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_an_archive_from_a_store_is_fetched_there_without_the_token() -> None:
    moved = answer(302, location="https://store.test/api.tar.gz?X-Amz-Signature=1")
    packed = httpx.Response(200, content=streamed(b"pack", b"ed"), headers={"content-type": "application/octet-stream"})
    async with wired(moved, packed) as (client, wire), api(client).archive(REPO, SHA) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"packed"
    assert wire.asked[0] == f"GET /repos/acme/api/archive/{SHA}.tar.gz"
    assert "authorization" in wire.requests[0].headers
    assert "authorization" not in wire.requests[1].headers
    assert wire.requests[1].url.host == "store.test"
