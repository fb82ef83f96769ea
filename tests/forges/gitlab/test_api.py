"""GitLab as the engine sees it, call by call; what holds of every forge is in `test_contract`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.gitlab.api import DIFFS_LIMIT, GitLabApi, TokenOwner, state_of
from buildbot.ports import (
    CallError,
    CredentialRefused,
    Refused,
    Repository,
    StatusTarget,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)
from buildbot.sandbox.gitlab import GitLab
from buildbot.sandbox.serving import serving
from tests.forges.gitlab.wire import API_URL, NOW, SECOND, SHA, TAG, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO = "group/sub/api"
PROJECT = "/projects/group%2Fsub%2Fapi"
TARGET = StatusTarget(REPO, SHA, "refs/heads/fix/#7", "quay/api")
PENDING = CommitStatus(StatusState.PENDING, "queued at Quay", "https://builds.test/builds/1", "queued")
SUCCESS = CommitStatus(StatusState.SUCCESS, "built")
STANDS = "Cannot transition status via :{} from :{} (Reason(s): Status cannot transition)"
SHOWN = {
    "id": 7,
    "path_with_namespace": REPO,
    "visibility": "private",
    "default_branch": "main",
    "web_url": "https://gitlab.test/group/sub/api",
}


def api(client: httpx.AsyncClient) -> GitLabApi:
    return GitLabApi(
        client,
        api_url=API_URL,
        auth=TokenAuth("glpat-t0ken", forge="GitLab"),
        request_timeout=20 * SECOND,
        retry_pause=timedelta(0),
        now=lambda: NOW,
    )


# Statuses


async def test_a_status_is_posted_as_gitlab_wants_it() -> None:
    async with wired(answer(201, {"id": 1})) as (client, wire):
        await api(client).post_status(TARGET, PENDING)
    assert wire.asked == [f"POST {PROJECT}/statuses/{SHA}"]
    assert wire.body() == {
        "state": "pending",
        "name": "quay/api",
        "ref": "fix/#7",
        "description": "queued at Quay",
        "target_url": "https://builds.test/builds/1",
    }
    assert wire.tokens == ["glpat-t0ken"]


@pytest.mark.parametrize(
    ("state", "stage", "word"),
    [
        (StatusState.PENDING, "", "pending"),
        (StatusState.PENDING, "queued", "pending"),
        (StatusState.PENDING, "blocked", "pending"),
        (StatusState.PENDING, "building", "running"),
        (StatusState.PENDING, "retrying", "running"),
        (StatusState.SUCCESS, "", "success"),
        (StatusState.FAILURE, "", "failed"),
        (StatusState.ERROR, "", "failed"),
    ],
)
def test_every_state_has_a_word_of_gitlabs(state: StatusState, stage: str, word: str) -> None:
    assert state_of(CommitStatus(state, "x", None, stage)) == word


async def test_texts_fit_and_a_tags_status_names_the_tag() -> None:
    target = StatusTarget(REPO, SHA, "refs/tags/v1", "q" * 300)
    async with wired(answer(201, {"id": 1})) as (client, wire):
        await api(client).post_status(target, CommitStatus(StatusState.SUCCESS, "d" * 300, "ftp://x"))
    body = wire.body()
    assert (len(body["name"]), len(body["description"]), body["ref"]) == (255, 255, "v1")
    assert "target_url" not in body


@pytest.mark.parametrize(
    ("status", "stands"),
    [
        (PENDING, "pending"),
        (PENDING, "running"),
        (PENDING, "success"),
        (CommitStatus(StatusState.PENDING, "x", None, "building"), "running"),
        (SUCCESS, "success"),
        (CommitStatus(StatusState.ERROR, "x"), "failed"),
    ],
)
async def test_a_status_that_stands_as_wanted_or_further_is_done(status: CommitStatus, stands: str) -> None:
    async with wired(said(400, STANDS.format("enqueue", stands))) as (client, wire):
        await api(client).post_status(TARGET, status)
    assert len(wire.requests) == 1


async def test_an_end_that_gitlab_does_not_take_is_a_refusal_in_its_words() -> None:
    async with wired(said(400, STANDS.format("succeed", "canceled"))) as (client, _):
        with pytest.raises(Refused, match="from :canceled"):
            await api(client).post_status(TARGET, SUCCESS)


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (said(404, "404 Commit Not Found"), Vanished, "404 Commit Not Found"),
        (said(404, "404 References for commit Not Found"), Refused, "no branch or tag contains"),
        (said(404, "404 Project Not Found"), Refused, "does not see the project"),
        (page(404), Unavailable, "wrong `api_url`"),
        (said(401, "401 Unauthorized"), CredentialRefused, "401 Unauthorized"),
        (said(403, "403 Forbidden"), Refused, "403 Forbidden"),
        (answer(403, {"error": "insufficient_scope"}), Refused, "insufficient_scope"),
        (said(409, "Another update to this commit status is in progress"), Unavailable, "in progress"),
        (said(422, "The number of jobs has exceeded the limit of 500"), Refused, "exceeded the limit"),
        (httpx.Response(429, text="Retry later\n"), Throttled, "no more calls"),
        (said(400, {"description": ["is too long"]}), Refused, "description is too long"),
        (said(405, "405 Not Allowed"), Refused, "405"),
        (said(500, "500 Internal Server Error"), Unanswered, "500"),
        (page(502), Unanswered, "502"),
        (page(200), Unanswered, "200"),
        (httpx.ReadTimeout(""), Unanswered, "in time"),
        (httpx.ConnectError("refused"), Unreachable, "cannot reach"),
    ],
)
async def test_a_status_that_is_not_taken_is_tried_once_and_the_error_says_what_to_do(
    response: httpx.Response | Exception, kind: type[CallError], words: str
) -> None:
    async with wired(response) as (client, wire):
        with pytest.raises(kind, match=words) as caught:
            await api(client).post_status(TARGET, PENDING)
    assert len(wire.requests) == 1
    assert "t0ken" not in str(caught.value)


async def test_a_status_of_a_moved_project_is_sent_again_by_its_number() -> None:
    moved = said(405, "Non GET methods are not allowed for moved projects")
    where = said(301, "301 Moved Permanently", location=f"{API_URL}/projects/7")
    async with wired(moved, where, answer(200, SHOWN), answer(201, {"id": 1})) as (client, wire):
        await api(client).post_status(TARGET, PENDING)
    assert wire.asked == [
        f"POST {PROJECT}/statuses/{SHA}",
        f"GET {PROJECT}",
        "GET /projects/7",
        f"POST /projects/7/statuses/{SHA}",
    ]
    assert wire.body(0) == wire.body(3)


@pytest.mark.parametrize("sha", ["HEAD", "../x", SHA[:7], ""])
async def test_what_is_no_commit_is_not_even_asked(sha: str) -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="not a whole commit id"):
            await api(client).post_status(StatusTarget(REPO, sha, "refs/heads/main", "x"), PENDING)


# Credentials


@pytest.mark.parametrize("refusal", [said(403, "403 Forbidden"), said(404, "404 Not Found")])
async def test_a_token_that_may_not_ask_for_its_user_has_a_name_all_the_same(refusal: httpx.Response) -> None:
    async with wired(refusal) as (client, _):
        forge = api(client)
        assert await forge.credential(REPO) == "token:gitlab.test"
        assert await forge.credential(REPO) == "token:gitlab.test"


async def test_a_passing_failure_to_ask_for_the_user_is_not_remembered() -> None:
    async with wired(page(404), answer(200, {"username": "ci-bot"})) as (client, _):
        forge = api(client)
        assert await forge.credential(REPO) == "token:gitlab.test"
        assert await forge.credential(REPO) == "user:ci-bot"


async def test_a_tokens_owner_is_told_with_scopes_and_end_where_gitlab_shows_them() -> None:
    who, own = answer(200, {"username": "ci"}), answer(200, {"scopes": ["api"], "expires_at": "2026-12-31"})
    async with wired(who, own, who, said(401, "401 Unauthorized")) as (client, _):
        assert await api(client).user() == TokenOwner("ci", frozenset({"api"}), "2026-12-31")
        with pytest.raises(CredentialRefused):
            await api(client).user()
    async with wired(who, said(404, "404 Not Found")) as (client, _):
        assert await api(client).user() == TokenOwner("ci", None, None)


# Refs and tags


async def test_every_part_of_a_branchs_name_is_encoded_its_slashes_too() -> None:
    async with wired(answer(200, {"name": "x", "commit": {"id": SHA}})) as (client, wire):
        assert await api(client).head(REPO, "refs/heads/fix/#7-größe%2F?&+") == SHA
    assert wire.asked == [f"GET {PROJECT}/repository/branches/fix%2F%237-gr%C3%B6%C3%9Fe%252F%3F%26%2B"]


async def test_the_head_of_a_tag_is_its_commit() -> None:
    async with wired(answer(200, {"name": "v1", "target": TAG, "commit": {"id": SHA}})) as (client, wire):
        assert await api(client).head(REPO, "refs/tags/v1") == SHA
    assert wire.asked == [f"GET {PROJECT}/repository/tags/v1"]


async def test_only_branches_and_tags_have_heads() -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="neither a branch nor a tag"):
            await api(client).head(REPO, "refs/keep-around/1")


@pytest.mark.parametrize("body", [{}, {"commit": None}, {"commit": {}}, {"commit": {"id": "main"}}])
async def test_an_answer_without_a_commit_makes_no_sense(body: dict[str, object]) -> None:
    async with wired(answer(200, body)) as (client, _):
        with pytest.raises(Unanswered, match="makes no sense"):
            await api(client).head(REPO, "refs/heads/main")


async def test_where_gitlab_shows_the_commit_behind_a_tags_object_that_is_it() -> None:
    async with wired(answer(200, {"id": SHA})) as (client, wire):
        assert await api(client).commit_of_tag(REPO, TAG) == SHA
    assert wire.asked == [f"GET {PROJECT}/repository/commits/{TAG}"]


def tag(target: str, commit: str = SHA) -> dict[str, object]:
    return {"name": "v", "target": target, "commit": {"id": commit}}


async def test_else_the_tag_is_looked_for_among_all() -> None:
    gone, full = said(404, "404 Commit Not Found"), answer(200, [tag("f" * 40)] * 100)
    async with wired(gone, full, answer(200, [tag("e" * 40), tag(TAG)])) as (client, wire):
        assert await api(client).commit_of_tag(REPO, TAG) == SHA
    assert [line.partition("?")[2] for line in wire.asked[1:]] == [
        "order_by=updated&sort=desc&per_page=100&page=1",
        "order_by=updated&sort=desc&per_page=100&page=2",
    ]


async def test_a_tag_object_that_no_tag_has_has_vanished() -> None:
    gone = said(404, "404 Commit Not Found")
    async with wired(gone, answer(200, [tag("f" * 40)])) as (client, _):
        with pytest.raises(Vanished, match="no tag whose object"):
            await api(client).commit_of_tag(REPO, TAG)
    async with wired(gone, *[answer(200, [tag("f" * 40)] * 100)] * 10) as (client, _):
        with pytest.raises(Vanished, match="no tag whose object"):
            await api(client).commit_of_tag(REPO, TAG)


# Repositories


async def test_a_project_is_described_under_its_present_path() -> None:
    async with wired(answer(200, SHOWN)) as (client, _):
        found = await api(client).repository(REPO)
    assert found == Repository("7", REPO, True, "main", "https://gitlab.test/group/sub/api")


@pytest.mark.parametrize(("visibility", "private"), [("public", False), ("internal", True), ("private", True)])
async def test_what_needs_a_credential_is_private(visibility: str, private: bool) -> None:
    async with wired(answer(200, SHOWN | {"visibility": visibility, "default_branch": None})) as (client, _):
        found = await api(client).repository(REPO)
    assert (found.private, found.default_branch) == (private, "")


@pytest.mark.parametrize("lacking", ["id", "path_with_namespace", "visibility", "web_url"])
async def test_a_description_without_a_field_names_it(lacking: str) -> None:
    async with wired(answer(200, {**SHOWN, lacking: None})) as (client, _):
        with pytest.raises(Unanswered, match=f"{lacking} is null"):
            await api(client).repository(REPO)


# Comparing


def diff(old: str, new: str | None = None) -> dict[str, object]:
    return {"old_path": old, "new_path": new or old, "renamed_file": new is not None}


async def changed(**body: object) -> tuple[str, ...] | None:
    async with wired(answer(200, {"diffs": [], "compare_timeout": False} | body)) as (client, wire):
        told = await api(client).changed_paths(REPO, TAG, SHA)
    assert wire.asked == [f"GET {PROJECT}/repository/compare?from={TAG}&to={SHA}&straight=true"]
    return told


async def test_a_renamed_file_changed_under_both_names() -> None:
    assert await changed(diffs=[diff("b", "c"), diff("a"), diff("a")]) == ("a", "b", "c")
    assert await changed() == ()


@pytest.mark.parametrize(
    "body",
    [
        {"compare_timeout": True, "diffs": [diff("a")]},
        {"compare_timeout": None},
        {"diffs": None},
        {"diffs": [diff(f"{number}") for number in range(DIFFS_LIMIT)]},
        {"diffs": [{"new_path": "a"}]},
        {"diffs": [diff("a\ufffd")]},
        {"diffs": [diff('"a\\303\\244"')]},
    ],
)
async def test_a_comparison_that_may_leave_something_out_proves_nothing(body: dict[str, object]) -> None:
    assert await changed(**body) is None


async def test_a_comparison_larger_than_may_be_read_proves_nothing_and_is_asked_for_once() -> None:
    async with wired(httpx.Response(200, content=b"x" * 8_000_001)) as (client, _):
        assert await api(client).changed_paths(REPO, TAG, SHA) is None


# Files and archives


async def test_a_file_is_asked_for_by_its_whole_path() -> None:
    async with wired(answer(200, {"file_path": "x"})) as (client, wire):
        assert await api(client).has_file(REPO, SHA, "docker/größe #1/Dockerfile")
    assert wire.asked == [f"GET {PROJECT}/repository/files/docker%2Fgr%C3%B6%C3%9Fe%20%231%2FDockerfile?ref={SHA}"]


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (said(404, "404 Commit Not Found"), Vanished),
        (said(404, "404 Project Not Found"), Vanished),
        (said(403, "403 Forbidden"), Refused),
        (page(404), Unavailable),
    ],
)
async def test_only_a_file_that_is_not_there_is_a_no(response: httpx.Response, kind: type[CallError]) -> None:
    async with wired(said(404, "404 File Not Found")) as (client, _):
        assert not await api(client).has_file(REPO, SHA, "Dockerfile")
    async with wired(response) as (client, _):
        with pytest.raises(kind):
            await api(client).has_file(REPO, SHA, "Dockerfile")


async def pieces(*some: bytes) -> AsyncIterator[bytes]:
    for piece in some:
        yield piece


async def test_an_archive_is_asked_for_with_the_token_and_comes_in_pieces() -> None:
    sent = httpx.Response(200, content=pieces(b"one", b"two"), headers={"content-type": "application/octet-stream"})
    async with wired(sent) as (client, wire), api(client).archive(REPO, SHA) as archive:
        assert [piece async for piece in archive] == [b"one", b"two"]
    assert wire.asked == [f"GET {PROJECT}/repository/archive.tar.gz?sha={SHA}"]
    assert wire.tokens == ["glpat-t0ken"]


# Over real connections


async def test_paths_with_slashes_survive_a_real_connection() -> None:
    gitlab = GitLab()
    gitlab.add_repository(REPO, visibility="private", files={"docker/größe #1/Dockerfile": "FROM x\n"})
    token = gitlab.issue_token("ci-bot", member=REPO)
    async with serving(gitlab.app) as url, httpx.AsyncClient() as client:
        gitlab.url = url
        auth = TokenAuth(token)
        forge = GitLabApi(client, api_url=gitlab.api_url, auth=auth, request_timeout=20 * SECOND)
        sha = await forge.head(REPO, "refs/heads/main")
        await forge.post_status(StatusTarget(REPO, sha, "refs/heads/main", "quay/api"), SUCCESS)
        assert await forge.has_file(REPO, sha, "docker/größe #1/Dockerfile")
        gitlab.rename(REPO, "other/sub/service")
        await forge.post_status(StatusTarget(REPO, sha, "refs/heads/main", "quay/api"), PENDING)
        async with forge.archive(REPO, sha) as archive:
            packed = b"".join([piece async for piece in archive])
    assert [one.state for one in gitlab.statuses("other/sub/service", sha)] == ["success", "pending"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
        assert opened.getnames() == [f"service-{sha}-{sha}/docker/größe #1/Dockerfile"]
