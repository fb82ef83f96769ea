"""What is asked of Bitbucket Cloud, to the letter, and what is made of answers that its sandbox never gives."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator

import httpx
import pytest

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.bitbucket.api import DIFFSTAT_PAGES, state_of
from buildbot.ports import CredentialRefused, Refused, StatusTarget, Throttled, Unanswered, Unavailable, Vanished
from tests.forges.bitbucket.wire import API_URL, URL, api, said, wired
from tests.forges.wire import NOW, SECOND, SHA, TAG, answer, page

pytestmark = pytest.mark.anyio
REPO = "acme/api"
TARGET = StatusTarget(REPO, SHA, "refs/heads/fix/#7", "quay/api")
SUCCESS = CommitStatus(StatusState.SUCCESS, "built", "https://builds.test/builds/1")
STATUSES = f"POST /repositories/acme/api/commit/{SHA}/statuses/build"


# Statuses


async def test_a_status_says_all_that_bitbucket_shows() -> None:
    async with wired(answer(201, {"key": "quay/api"})) as (client, wire):
        await api(client).post_status(TARGET, SUCCESS)
    assert wire.asked == [STATUSES]
    assert wire.tokens == ["t0ken-t0ken-t0ken"]
    assert wire.body() == {
        "key": "quay/api",
        "state": "SUCCESSFUL",
        "name": "quay/api",
        "url": "https://builds.test/builds/1",
        "description": "built",
        "refname": "fix/#7",
    }


@pytest.mark.parametrize("address", [None, "javascript:alert(1)"])
async def test_a_status_without_an_address_leads_to_the_commits_page(address: str | None) -> None:
    async with wired(answer(201)) as (client, wire):
        await api(client).post_status(TARGET, CommitStatus(StatusState.PENDING, "queued", address))
    assert wire.body()["url"] == f"{URL}/acme/api/commits/{SHA}"


async def test_a_tags_name_is_not_told_as_a_branch() -> None:
    async with wired(answer(201)) as (client, wire):
        await api(client).post_status(StatusTarget(REPO, SHA, "refs/tags/v1", "quay/api"), SUCCESS)
    assert "refname" not in wire.body()


async def test_long_contexts_have_keys_of_forty_characters_that_differ() -> None:
    contexts = ["quay/" + "x" * 60 + end for end in ("a", "b")]
    async with wired(answer(201), answer(201)) as (client, wire):
        for context in contexts:
            await api(client).post_status(StatusTarget(REPO, SHA, "refs/heads/main", context), SUCCESS)
    keys = [wire.body(index)["key"] for index in range(2)]
    assert [len(key) for key in keys] == [40, 40]
    assert keys[0] != keys[1]
    assert [wire.body(index)["name"] for index in range(2)] == contexts


async def test_long_texts_are_cut_to_what_bitbucket_takes() -> None:
    async with wired(answer(201)) as (client, wire):
        await api(client).post_status(
            StatusTarget(REPO, SHA, "refs/heads/main", "c" * 300), CommitStatus(StatusState.PENDING, "d" * 300)
        )
    assert (len(wire.body()["name"]), len(wire.body()["description"])) == (255, 255)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (StatusState.PENDING, "INPROGRESS"),
        (StatusState.SUCCESS, "SUCCESSFUL"),
        (StatusState.FAILURE, "FAILED"),
        (StatusState.ERROR, "STOPPED"),
    ],
)
def test_every_state_has_its_word(state: StatusState, word: str) -> None:
    assert state_of(CommitStatus(state, "")) == word


async def test_a_page_is_not_a_status_that_was_overwritten() -> None:
    async with wired(page(200)) as (client, _):
        with pytest.raises(Unanswered):
            await api(client).post_status(TARGET, SUCCESS)


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (said(404, "Repository acme/api not found."), Refused, "does not see the repository"),
        (said(404, "Commit not found"), Vanished, "Commit not found"),
        (said(404, "Resource not found"), Vanished, "Resource not found"),
        (page(404), Unavailable, "404 from something before"),
        (said(403, "Only the creator or an admin may update it."), Refused, "Only the creator"),
        (
            said(400, "Bad request", fields={"key": ["Ensure this value has at most 40 characters"]}),
            Refused,
            "key: Ensure this value has at most 40",
        ),
        (said(401, "Token is invalid, expired, or not supported"), CredentialRefused, "wrong, expired or revoked"),
        (said(429, "Rate limit for this resource has been exceeded"), Throttled, "takes no more calls"),
        (page(429), Throttled, "takes no more calls"),
        (said(503, "down"), Unanswered, "503"),
    ],
)
async def test_a_refusal_is_the_error_that_says_what_to_do(
    refusal: httpx.Response, error: type[Exception], words: str
) -> None:
    async with wired(refusal) as (client, _):
        with pytest.raises(error, match=words):
            await api(client).post_status(TARGET, SUCCESS)


async def test_the_wait_is_what_bitbucket_says_or_a_minute() -> None:
    for headers, seconds in (({"Retry-After": "90"}, 90), ({}, 60)):
        async with wired(said(429, "Rate limit", headers)) as (client, _):
            with pytest.raises(Throttled) as caught:
                await api(client).post_status(TARGET, SUCCESS)
        assert caught.value.retry_at == NOW + seconds * SECOND


@pytest.mark.parametrize("sha", ["main", SHA[:12], SHA.upper(), f"{SHA}/../x"])
async def test_only_a_whole_commit_id_gets_a_status(sha: str) -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="not a whole commit id"):
            await api(client).post_status(StatusTarget(REPO, sha, "refs/heads/main", "quay/api"), SUCCESS)


# Credentials


async def test_a_persons_token_goes_as_basic_and_spends_that_persons_budget() -> None:
    async with wired(answer(201)) as (client, wire):
        forge = api(client, "ada@example.com:ATATT-secret")
        await forge.post_status(TARGET, SUCCESS)
        assert await forge.credential(REPO) == "user:ada@example.com"
    told = wire.requests[0].headers["authorization"].removeprefix("Basic ")
    assert b64decode(told) == b"ada@example.com:ATATT-secret"


@pytest.mark.parametrize(
    "spelled",
    ["ada@example.com:ATATT-secret-secret", "ATATT-secret-secret", b64encode(b"ada@example.com:ATATT-secret-secret")],
)
async def test_a_persons_token_that_a_refusal_repeats_is_blotted_out(spelled: str | bytes) -> None:
    repeated = spelled if isinstance(spelled, str) else spelled.decode()
    async with wired(said(403, f"what is {repeated}?")) as (client, _):
        with pytest.raises(Refused, match=r"what is \*\*\*\?"):
            await api(client, "ada@example.com:ATATT-secret-secret").post_status(TARGET, SUCCESS)


async def test_an_access_token_has_a_budget_of_its_own_and_nobody_is_asked() -> None:
    async with wired() as (client, _):
        assert await api(client).credential(REPO) == "token:api.bitbucket.test"


# Reading


async def test_a_branch_is_asked_for_with_every_part_encoded() -> None:
    async with wired(answer(200, {"target": {"hash": SHA}}), answer(200, {"target": {"hash": SHA}})) as (client, wire):
        assert await api(client).head(REPO, "refs/heads/fix/#7+ä") == SHA
        await api(client).head(REPO, "refs/tags/v1%")
    assert wire.asked == [
        "GET /repositories/acme/api/refs/branches/fix/%237%2B%C3%A4",
        "GET /repositories/acme/api/refs/tags/v1%25",
    ]


@pytest.mark.parametrize("found", [{}, {"target": {}}, {"target": {"hash": "main"}}])
async def test_an_answer_without_a_commit_makes_no_sense(found: object) -> None:
    async with wired(answer(200, found)) as (client, _):
        with pytest.raises(Unanswered, match="makes no sense"):
            await api(client).head(REPO, "refs/heads/main")


async def test_what_is_neither_branch_nor_tag_is_not_asked_for() -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="neither a branch nor a tag"):
            await api(client).head(REPO, "refs/pull/1")


async def test_an_empty_repository_has_no_default_branch() -> None:
    described = {
        "uuid": "{bc771cbf-829e-4c4b-b71f-a0eb3ac2b860}",
        "full_name": REPO,
        "is_private": True,
        "mainbranch": None,
        "links": {"html": {"href": f"{URL}/acme/api"}},
    }
    async with wired(answer(200, described)) as (client, _):
        found = await api(client).repository(REPO)
    assert (found.default_branch, found.private, found.html_url) == ("", True, f"{URL}/acme/api")


# Comparisons


def changed(*paths: tuple[str | None, str | None]) -> list[dict[str, object]]:
    return [
        {"old": None if old is None else {"path": old}, "new": None if new is None else {"path": new}}
        for old, new in paths
    ]


DIFFSTAT = f"/repositories/acme/api/diffstat/{SHA}..{TAG}"


async def compared(*answers: httpx.Response) -> tuple[tuple[str, ...] | None, list[str]]:
    async with wired(*answers) as (client, wire):
        return await api(client).changed_paths(REPO, TAG, SHA), wire.asked


async def test_the_newer_commit_comes_first_and_renames_count_under_both_names() -> None:
    told, asked = await compared(answer(200, {"values": changed(("b", "b"), (None, "c"), ("old", "new"), ("a", None))}))
    assert told == ("a", "b", "c", "new", "old")
    assert asked == [f"GET {DIFFSTAT}?topic=false"]


async def test_all_pages_are_read_and_the_token_stays_at_the_api() -> None:
    first = {"values": changed((None, "a")), "next": f"https://evil.test/2.0{DIFFSTAT}?topic=false&page=2"}
    told, asked = await compared(answer(200, first), answer(200, {"values": changed((None, "b"))}))
    assert told == ("a", "b")
    assert asked == [f"GET {DIFFSTAT}?topic=false", f"GET {DIFFSTAT}?topic=false&page=2"]


async def test_after_twenty_pages_it_cannot_be_told() -> None:
    more = {"values": changed((None, "a")), "next": f"{API_URL}{DIFFSTAT}?page=2"}
    told, asked = await compared(*[answer(200, more) for _ in range(DIFFSTAT_PAGES)])
    assert told is None
    assert len(asked) == DIFFSTAT_PAGES


@pytest.mark.parametrize(
    "told",
    [
        answer(404, {"type": "error", "error": {"message": "Commit not found"}}),
        answer(555, {"type": "error", "error": {"message": "took too long"}}),
        answer(200, {}),
        answer(200, {"values": None}),
        answer(200, {"values": [{"old": None, "new": None}]}),
        answer(200, {"values": [{"old": {"path": "a"}, "new": {}}]}),
        answer(200, {"values": changed((None, "gr\ufffdn"))}),
    ],
)
async def test_what_is_not_told_whole_is_unknown(told: httpx.Response) -> None:
    assert await compared(told) == (None, [f"GET {DIFFSTAT}?topic=false"])


# Files and archives


async def test_a_directory_is_no_file() -> None:
    async with wired(answer(200, {"type": "commit_directory"}), answer(200, {"type": "commit_file"})) as (client, wire):
        assert not await api(client).has_file(REPO, SHA, "docker dir")
        assert await api(client).has_file(REPO, SHA, "Dockerfile")
    assert wire.asked[0] == f"GET /repositories/acme/api/src/{SHA}/docker%20dir?format=meta"


async def test_the_archive_comes_from_the_site_with_the_token() -> None:
    async def sent() -> AsyncIterator[bytes]:
        yield b"\x1f"
        yield b"\x8b"

    packed = httpx.Response(200, content=sent(), headers={"content-type": "application/x-tar-gz"})
    async with wired(packed) as (client, wire), api(client).archive(REPO, SHA) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"\x1f\x8b"
    assert str(wire.requests[0].url) == f"{URL}/acme/api/get/{SHA}.tar.gz"
    assert wire.tokens == ["t0ken-t0ken-t0ken"]


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (page(404), Vanished, "not there"),
        (page(401), Refused, "repository, project or workspace"),
        (said(401, "no"), Refused, "repository, project or workspace"),
        (page(403), Refused, "repository, project or workspace"),
        (page(200), Unavailable, "a page to log in"),
        (page(429), Throttled, "takes no more calls"),
        (page(502), Unanswered, "502"),
    ],
)
async def test_an_archive_that_the_site_refuses_says_why(
    refusal: httpx.Response, error: type[Exception], words: str
) -> None:
    async with wired(refusal) as (client, _):
        with pytest.raises(error, match=words):
            async with api(client).archive(REPO, SHA):
                pytest.fail("there is no archive")
