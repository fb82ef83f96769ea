"""GitHub as the engine sees it: statuses, refs, tags, repositories, and whose budget a write spends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.github.api import Auth, GitHubApi, TokenAuth, TokenOwner
from buildbot.ports import (
    CallError,
    CredentialRefused,
    Forge,
    Refused,
    Repository,
    StatusTarget,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)
from tests.forges.github.wire import API_URL, NOW, SECOND, SHA, TAG, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO = "acme/api"
TARGET = StatusTarget(REPO, SHA, "refs/heads/main", "quay/api")
PENDING = CommitStatus(StatusState.PENDING, "queued at Quay", "https://builds.test/builds/1")
DENIED = "Resource not accessible by integration"


def api(client: httpx.AsyncClient, auth: Auth | None = None) -> GitHubApi:
    return GitHubApi(
        client,
        api_url=API_URL,
        auth=auth or TokenAuth("t0ken"),
        request_timeout=20 * SECOND,
        retry_pause=timedelta(0),
        now=lambda: NOW,
    )


class Renewable:
    """An `Auth` with a new token whenever one was refused."""

    def __init__(self) -> None:
        self.renewals = 0

    async def token(self, full_name: str) -> str:  # noqa: ARG002
        return f"token-{self.renewals}"

    async def renewed(self, full_name: str, refused: str) -> str | None:
        assert refused == f"token-{self.renewals}"
        self.renewals += 1
        return await self.token(full_name)

    async def credential(self, full_name: str) -> str | None:
        return f"installation:{len(full_name)}"


# Statuses


@pytest.mark.parametrize("state", list(StatusState))
async def test_a_status_is_posted_as_github_wants_it(state: StatusState) -> None:
    async with wired(answer(201, {"id": 1})) as (client, wire):
        forge: Forge = api(client)
        await forge.post_status(TARGET, CommitStatus(state, "done", "https://b.test/1"))
    assert wire.asked == [f"POST /repos/acme/api/statuses/{SHA}"]
    assert wire.body() == {
        "state": str(state),
        "description": "done",
        "context": "quay/api",
        "target_url": "https://b.test/1",
    }
    assert wire.tokens == ["t0ken"]


async def posted(context: str = "quay/api", description: str = "d", target: str | None = None) -> dict[str, object]:
    async with wired(answer(201, {"id": 1})) as (client, wire):
        await api(client).post_status(
            replace(TARGET, context=context), CommitStatus(StatusState.SUCCESS, description, target)
        )
    return wire.body()


@pytest.mark.parametrize("character", ["x", "ß", "\U0001f600"])
async def test_a_description_is_cut_to_140_characters(character: str) -> None:
    assert (await posted(description=character * 140))["description"] == character * 140
    assert (await posted(description=character * 141))["description"] == character * 139 + "…"


async def test_long_contexts_are_cut_and_stay_different() -> None:
    first, second = "q" * 300 + "a", "q" * 300 + "b"
    cut = (await posted(context=first))["context"]
    assert isinstance(cut, str)
    assert len(cut) == 255
    assert cut == (await posted(context=first))["context"]
    assert cut != (await posted(context=second))["context"]
    assert (await posted(context="q" * 255))["context"] == "q" * 255


@pytest.mark.parametrize("target", [None, "", "javascript:alert(1)", "ftp://x", "/builds/1"])
async def test_what_is_no_http_address_is_not_a_target(target: str | None) -> None:
    assert "target_url" not in await posted(target=target)


async def test_text_that_no_encoder_takes_is_replaced() -> None:
    body = await posted(context="a\x00b", description="\ud800")
    assert (body["context"], body["description"]) == ("a\ufffdb", "\ufffd")


MAXIMUM = "This SHA and context has reached the maximum number of statuses."


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (said(422, f"No commit found for SHA: {SHA}"), Vanished, "No commit found"),
        (answer(422, {"message": "Validation Failed", "errors": [{"message": MAXIMUM}]}), Refused, MAXIMUM),
        (answer(422, {"message": "Validation Failed", "errors": MAXIMUM}), Refused, MAXIMUM),
        (said(422, "Validation Failed"), Refused, "Validation Failed"),
        (said(404, "Not Found"), Refused, "may not write its commit statuses"),
        (page(404), Unavailable, "wrong `api_url`"),
        (said(401, "Bad credentials"), CredentialRefused, "Bad credentials"),
        (said(403, DENIED), Refused, DENIED),
        (said(403, "slow", retry_after="5"), Throttled, "slow"),
        (said(429, "slow"), Throttled, "slow"),
        (said(500, "oops"), Unanswered, "500"),
        (page(502), Unanswered, "502"),
        (answer(200, {"id": 1}), Unanswered, "200"),
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


async def test_the_end_of_a_limit_is_told() -> None:
    async with wired(said(403, "slow", retry_after="90")) as (client, _):
        with pytest.raises(Throttled) as caught:
            await api(client).post_status(TARGET, PENDING)
    assert caught.value.retry_at == NOW + timedelta(seconds=90)


async def test_a_status_follows_a_renamed_repository() -> None:
    moved = said(301, "Moved Permanently", location=f"{API_URL}/repositories/7/statuses/{SHA}")
    async with wired(moved, answer(201, {"id": 1})) as (client, wire):
        await api(client).post_status(TARGET, PENDING)
    assert wire.asked[1] == f"POST /repositories/7/statuses/{SHA}"
    assert wire.body(1)["description"] == "queued at Quay"


@pytest.mark.parametrize(
    ("name", "sha"), [("acme", SHA), ("acme/..", SHA), ("a/b?x", SHA), (REPO, "HEAD"), (REPO, "../x")]
)
async def test_what_could_lead_elsewhere_is_not_even_asked(name: str, sha: str) -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused):
            await api(client).post_status(replace(TARGET, full_name=name, sha=sha), PENDING)


# Credentials


async def test_a_401_renews_the_credential_once_and_repeats_once() -> None:
    auth = Renewable()
    async with wired(said(401, "Bad credentials"), answer(201, {"id": 1})) as (client, wire):
        await api(client, auth).post_status(TARGET, PENDING)
    assert wire.tokens == ["token-0", "token-1"]
    assert wire.body(0) == wire.body(1)


async def test_a_second_401_is_the_end_of_it() -> None:
    auth = Renewable()
    async with wired(said(401, "Bad credentials"), said(401, "Bad credentials")) as (client, _):
        with pytest.raises(CredentialRefused, match="acme/api"):
            await api(client, auth).post_status(TARGET, PENDING)
    assert auth.renewals == 1


async def test_a_401_page_of_a_proxy_condemns_no_credential() -> None:
    async with wired(page(401)) as (client, _):
        with pytest.raises(Unavailable):
            await api(client, Renewable()).post_status(TARGET, PENDING)


async def test_one_token_is_one_budget_and_nobody_is_asked_whose() -> None:
    async with wired() as (client, wire):
        names = {await api(client).credential(f"acme/{name}") for name in "abc"}
    assert (names, wire.asked) == ({"token:github.test"}, [])


async def test_a_201_is_taken_at_its_word_so_that_no_status_is_sent_twice() -> None:
    async with wired(page(201)) as (client, wire):
        await api(client).post_status(TARGET, PENDING)
    assert len(wire.requests) == 1


async def test_a_credential_that_has_a_name_is_not_asked_for() -> None:
    async with wired() as (client, _):
        assert await api(client, Renewable()).credential(REPO) == "installation:8"


# Refs and tags


def ref(name: str, kind: str, sha: str) -> httpx.Response:
    return answer(200, {"ref": name, "object": {"type": kind, "sha": sha}})


def tag(kind: str, sha: str) -> httpx.Response:
    return answer(200, {"tag": "v1", "object": {"type": kind, "sha": sha}})


async def test_the_head_of_a_branch_is_its_commit() -> None:
    async with wired(ref("refs/heads/main", "commit", SHA)) as (client, wire):
        assert await api(client).head(REPO, "refs/heads/main") == SHA
    assert wire.asked == ["GET /repos/acme/api/git/ref/heads/main"]


async def test_every_part_of_a_branchs_name_is_encoded() -> None:
    name = "refs/heads/fix/#7-größe%2F?&+"
    async with wired(ref(name, "commit", SHA)) as (client, wire):
        assert await api(client).head(REPO, name) == SHA
    assert wire.asked == ["GET /repos/acme/api/git/ref/heads/fix/%237-gr%C3%B6%C3%9Fe%252F%3F%26%2B"]


async def test_the_head_of_an_annotated_tag_is_peeled() -> None:
    async with wired(ref("refs/tags/v1", "tag", TAG), tag("commit", SHA)) as (client, wire):
        assert await api(client).head(REPO, "refs/tags/v1") == SHA
    assert wire.asked[1] == f"GET /repos/acme/api/git/tags/{TAG}"


@pytest.mark.parametrize("response", [said(404, "Not Found"), said(409, "Git Repository is empty.")])
async def test_a_ref_that_is_not_there_has_vanished(response: httpx.Response) -> None:
    async with wired(response) as (client, _):
        with pytest.raises(Vanished):
            await api(client).head(REPO, "refs/heads/gone")


async def test_a_ref_that_only_begins_alike_is_not_the_one() -> None:
    async with wired(ref("refs/heads/main-2", "commit", SHA)) as (client, _):
        with pytest.raises(Vanished):
            await api(client).head(REPO, "refs/heads/main")


async def test_only_branches_and_tags_have_heads() -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="neither a branch nor a tag"):
            await api(client).head(REPO, "refs/pull/1/head")


async def test_tags_of_tags_are_peeled_five_deep_and_no_deeper() -> None:
    nested = tag("tag", TAG)
    async with wired(*[nested] * 4, tag("commit", SHA)) as (client, _):
        assert await api(client).commit_of_tag(REPO, TAG) == SHA
    async with wired(*[nested] * 5) as (client, _):
        with pytest.raises(Refused, match="not to a commit"):
            await api(client).commit_of_tag(REPO, TAG)


@pytest.mark.parametrize("kind", ["tree", "blob", "odd\n"])
async def test_a_tag_of_something_else_has_no_commit(kind: str) -> None:
    async with wired(tag(kind, SHA)) as (client, _):
        with pytest.raises((Refused, Unanswered)):
            await api(client).commit_of_tag(REPO, TAG)


async def test_a_lightweight_tags_object_is_the_commit() -> None:
    async with wired(said(404, "Not Found"), answer(200, {"sha": SHA})) as (client, wire):
        assert await api(client).commit_of_tag(REPO, SHA) == SHA
    assert wire.asked == [f"GET /repos/acme/api/git/tags/{SHA}", f"GET /repos/acme/api/commits/{SHA}"]


async def test_a_tag_object_that_is_nowhere_has_vanished() -> None:
    async with wired(said(404, "Not Found"), said(422, f"No commit found for SHA: {TAG}")) as (client, _):
        with pytest.raises(Vanished, match="No commit found"):
            await api(client).commit_of_tag(REPO, TAG)


@pytest.mark.parametrize(
    "body", [{}, {"object": None}, {"object": {"type": "commit"}}, {"object": {"type": "commit", "sha": "main"}}]
)
async def test_an_answer_without_a_commit_makes_no_sense(body: dict[str, object]) -> None:
    async with wired(answer(200, {"ref": "refs/heads/main"} | body)) as (client, _):
        with pytest.raises(Unanswered, match="makes no sense"):
            await api(client).head(REPO, "refs/heads/main")


# Repositories, and reading in general

SHOWN = {
    "id": 7,
    "full_name": "acme/api",
    "private": True,
    "default_branch": "main",
    "html_url": "https://github.test/acme/api",
}


async def test_a_repository_is_described_under_its_present_name() -> None:
    moved = said(301, "Moved Permanently", location="/api/v3/repositories/7")
    async with wired(moved, answer(200, SHOWN)) as (client, _):
        found = await api(client).repository("acme/old")
    assert found == Repository("7", "acme/api", True, "main", "https://github.test/acme/api")


@pytest.mark.parametrize("lacking", sorted(SHOWN.keys() - {"html_url"}))
async def test_a_description_without_a_field_names_it(lacking: str) -> None:
    async with wired(answer(200, {**SHOWN, lacking: None})) as (client, _):
        with pytest.raises(Unanswered, match=f"{lacking} is null"):
            await api(client).repository(REPO)


async def test_a_description_without_a_page_is_one_all_the_same() -> None:
    async with wired(answer(200, {**SHOWN, "html_url": None})) as (client, _):
        assert (await api(client).repository(REPO)).html_url == ""


@pytest.mark.parametrize(
    "passing", [httpx.ConnectError("x"), httpx.ReadError("x"), said(500, "x"), page(502), page(200)]
)
async def test_a_read_is_tried_again_after_what_may_pass(passing: httpx.Response | Exception) -> None:
    async with wired(passing, passing, answer(200, SHOWN)) as (client, _):
        assert (await api(client).repository(REPO)).id == "7"


async def test_a_read_is_tried_three_times() -> None:
    async with wired(*[said(500, "x")] * 3) as (client, _):
        with pytest.raises(Unanswered):
            await api(client).repository(REPO)


@pytest.mark.parametrize("lasting", [httpx.ReadTimeout("x"), said(404, "x"), said(403, "x"), said(429, "x"), page(404)])
async def test_a_read_is_not_tried_again_after_a_refusal_or_a_timeout(lasting: httpx.Response | Exception) -> None:
    async with wired(lasting) as (client, _):
        with pytest.raises(CallError):
            await api(client).repository(REPO)


async def test_a_tokens_owner_is_told_with_scopes_and_end() -> None:
    headers = {"x_oauth_scopes": "repo:status, read:org", "github_authentication_token_expiration": "2026-02-01"}
    async with wired(answer(200, {"login": "ci"}, **headers), answer(200, {"login": "ci"})) as (client, _):
        owner = await api(client).user()
        assert owner == TokenOwner("ci", frozenset({"repo:status", "read:org"}), "2026-02-01")
        assert (await api(client).user()).scopes is None


# Comparing, files and archives

COMPARE = f"/repos/acme/api/compare/{TAG}...{SHA}?per_page=1"


def file(name: str, before: str | None = None) -> dict[str, object]:
    return {"filename": name, "status": "modified", "previous_filename": before}


async def changed(**body: object) -> tuple[str, ...] | None:
    async with wired(answer(200, {"status": "ahead", "files": []} | body)) as (client, wire):
        told = await api(client).changed_paths(REPO, TAG, SHA)
    assert wire.asked == [f"GET {COMPARE}"]
    return told


async def test_a_renamed_file_changed_under_both_names() -> None:
    assert await changed(files=[file("c", before="b"), file("a")]) == ("a", "b", "c")
    assert await changed() == ()
    assert await changed(status="identical") == ()


@pytest.mark.parametrize(
    "body",
    [
        {"status": "diverged", "files": [file("a")]},
        {"status": "behind"},
        {"status": "odd"},
        {"files": None},
        {"files": [file(str(number)) for number in range(300)]},
        {"files": [file("a\ufffd")]},
    ],
)
async def test_a_comparison_that_may_leave_something_out_proves_nothing(body: dict[str, object]) -> None:
    assert await changed(**body) is None


async def test_of_a_commit_that_is_gone_nothing_is_known() -> None:
    async with wired(said(404, "Not Found")) as (client, _):
        assert await api(client).changed_paths(REPO, TAG, SHA) is None


@pytest.mark.parametrize(
    ("body", "there"),
    [
        ({"type": "file", "path": "x"}, True),
        ({"type": "submodule"}, False),
        ({"type": "symlink"}, False),
        ([{"type": "file"}], False),
    ],
)
async def test_a_file_is_there_if_it_is_one(body: object, there: bool) -> None:
    async with wired(answer(200, body)) as (client, wire):
        assert await api(client).has_file(REPO, SHA, "docker/größe #1/Dockerfile") is there
    assert wire.asked == [f"GET /repos/acme/api/contents/docker/gr%C3%B6%C3%9Fe%20%231/Dockerfile?ref={SHA}"]


async def test_a_file_is_missing_only_if_its_commit_is_not() -> None:
    missing = said(404, "Not Found")
    async with wired(missing, answer(200, {"sha": SHA})) as (client, wire):
        assert not await api(client).has_file(REPO, SHA, "Dockerfile")
    assert wire.asked[1] == f"GET /repos/acme/api/commits/{SHA}"
    async with wired(missing, said(422, f"No commit found for SHA: {SHA}")) as (client, _):
        with pytest.raises(Vanished, match="No commit found"):
            await api(client).has_file(REPO, SHA, "Dockerfile")


async def test_an_archive_is_asked_of_the_api_and_fetched_elsewhere_without_the_token() -> None:
    moved = httpx.Response(302, headers={"location": "https://codeload.test/x?token=pass"})

    async def sent() -> AsyncIterator[bytes]:
        yield b"packed"

    packed = httpx.Response(200, content=sent(), headers={"content-type": "application/x-gzip"})
    async with wired(moved, packed) as (client, wire), api(client).archive(REPO, SHA) as archive:
        assert b"".join([piece async for piece in archive]) == b"packed"
    assert wire.asked[0] == f"GET /repos/acme/api/tarball/{SHA}"
    assert "authorization" not in wire.requests[1].headers
