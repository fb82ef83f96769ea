"""What is asked of Bitbucket Data Center, to the letter, and what is made of answers that its sandbox never gives."""

from __future__ import annotations

import httpx
import pytest

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.bitbucket_datacenter.api import TAG_PAGES, state_of
from buildbot.forges.bitbucket_datacenter.names import is_full_name, repository_path
from buildbot.ports import CredentialRefused, Refused, StatusTarget, Throttled, Unanswered, Unavailable, Vanished
from tests.forges.bitbucket_datacenter.wire import URL, api, said, wired
from tests.forges.wire import NOW, SECOND, SHA, TAG, answer, page

pytestmark = pytest.mark.anyio
REPO = "OPS/api"
PLACE = "/projects/OPS/repos/api"
TARGET = StatusTarget(REPO, SHA, "refs/heads/fix/#7", "quay/api")
SUCCESS = CommitStatus(StatusState.SUCCESS, "built", "https://builds.test/builds/1")


# Names


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("OPS/api", PLACE),
        ("~ada/my.api", "/projects/~ada/repos/my.api"),
        ("P_1/a-b", None),
        ("A/b", None),
        ("K9" * 64 + "/" + "s9" * 64, None),
    ],
)
def test_a_repository_lies_below_its_project(name: str, path: str | None) -> None:
    assert is_full_name(name)
    assert path is None or repository_path(name) == path


@pytest.mark.parametrize(
    "name",
    [
        "OPS",
        "OPS/a/b",
        "OPS/..",
        "../api",
        "~../api",
        "OPS/a b",
        "OPS/",
        "",
        "OPS/{sha}",
        "K" * 129 + "/a",
        "A/" + "s" * 129,
    ],
)
def test_what_could_lead_elsewhere_is_no_name(name: str) -> None:
    assert not is_full_name(name)
    with pytest.raises(Refused, match="KEY/slug"):
        repository_path(name)


# Statuses


async def test_a_status_says_all_that_bitbucket_shows() -> None:
    async with wired(httpx.Response(204)) as (client, wire):
        await api(client).post_status(TARGET, SUCCESS)
    assert wire.asked == [f"POST {PLACE}/commits/{SHA}/builds"]
    assert wire.tokens == ["t0ken-t0ken-t0ken"]
    assert wire.body() == {
        "key": "quay/api",
        "state": "SUCCESSFUL",
        "name": "quay/api",
        "url": "https://builds.test/builds/1",
        "description": "built",
        "ref": "refs/heads/fix/#7",
    }


@pytest.mark.parametrize("address", [None, "ftp://x", "https://builds.test/" + "x" * 431])
async def test_a_status_without_an_address_that_fits_leads_to_the_commits_page(address: str | None) -> None:
    async with wired(httpx.Response(204)) as (client, wire):
        await api(client).post_status(TARGET, CommitStatus(StatusState.PENDING, "queued", address))
    assert wire.body()["url"] == f"{URL}{PLACE}/commits/{SHA}"


async def test_an_address_of_450_characters_still_fits() -> None:
    address = "https://builds.test/" + "x" * 430
    async with wired(httpx.Response(204)) as (client, wire):
        await api(client).post_status(TARGET, CommitStatus(StatusState.PENDING, "queued", address))
    assert wire.body()["url"] == address


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (StatusState.PENDING, "INPROGRESS"),
        (StatusState.SUCCESS, "SUCCESSFUL"),
        (StatusState.FAILURE, "FAILED"),
        (StatusState.ERROR, "FAILED"),
    ],
)
def test_every_state_has_a_word_that_all_versions_know(state: StatusState, word: str) -> None:
    assert state_of(CommitStatus(state, "")) == word


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (said(404, "Commit does not exist", "commit.NoSuchCommitException"), Vanished, "Commit does not exist"),
        (said(404, "no repository", "repository.NoSuchRepositoryException"), Refused, "repository is not there"),
        (said(404, "no project", "project.NoSuchProjectException"), Refused, "repository is not there"),
        (said(401, "You are not permitted", "AuthorisationException"), Refused, "may not see the repository"),
        (
            said(401, "Authentication failed", "auth.IncorrectPasswordAuthenticationException"),
            CredentialRefused,
            "wrong",
        ),
        (page(401), Unavailable, "401 from something before"),
        (page(404), Unavailable, "404 from something before"),
        (page(200), Unanswered, "200"),
        (said(400, "url is not valid", "validation.ArgumentValidationException"), Refused, "url is not valid"),
        (said(429, "You have been rate limited", retry_after="7"), Throttled, "rate limited"),
        (page(503), Unanswered, "503"),
    ],
)
async def test_a_refusal_is_the_error_that_says_what_to_do(
    refusal: httpx.Response, error: type[Exception], words: str
) -> None:
    async with wired(refusal) as (client, _):
        with pytest.raises(error, match=words):
            await api(client).post_status(TARGET, SUCCESS)


async def test_the_wait_is_what_bitbucket_says() -> None:
    async with wired(said(429, "You have been rate limited", retry_after="7")) as (client, _):
        with pytest.raises(Throttled) as caught:
            await api(client).post_status(TARGET, SUCCESS)
    assert caught.value.retry_at == NOW + 7 * SECOND


async def test_only_a_whole_commit_id_gets_a_status() -> None:
    async with wired() as (client, _):
        with pytest.raises(Refused, match="not a whole commit id"):
            await api(client).post_status(StatusTarget(REPO, "main", "refs/heads/main", "quay/api"), SUCCESS)


# Credentials


async def test_the_account_is_learned_from_a_header_once() -> None:
    async with wired(answer(200, {"version": "9.4"}, x_ausername="ci%2Dbot")) as (client, wire):
        forge = api(client)
        assert [await forge.credential(REPO), await forge.credential(REPO)] == ["user:ci-bot"] * 2
    assert wire.asked == ["GET /application-properties"]


@pytest.mark.parametrize("headers", [{}, {"x_ausername": "anonymous"}])
async def test_a_token_whose_account_is_not_told_is_named_after_the_host(headers: dict[str, str]) -> None:
    async with wired(answer(200, {"version": "9.4"}, **headers)) as (client, _):
        assert await api(client).credential(REPO) == "token:git.test"


# Reading


async def test_a_tip_is_asked_for_by_the_full_ref() -> None:
    async with wired(answer(200, {"values": [{"id": SHA}]})) as (client, wire):
        assert await api(client).head(REPO, "refs/heads/fix/#7") == SHA
    assert wire.asked == [f"GET {PLACE}/commits?until=refs%2Fheads%2Ffix%2F%237&limit=1"]


@pytest.mark.parametrize("found", [{}, {"values": []}])
async def test_a_ref_without_a_commit_has_vanished(found: object) -> None:
    async with wired(answer(200, found)) as (client, _):
        with pytest.raises(Vanished):
            await api(client).head(REPO, "refs/heads/main")


async def test_an_empty_repository_has_no_default_branch() -> None:
    described = {"id": 84, "slug": "api", "project": {"key": "OPS"}, "public": False}
    empty = said(404, "no default branch", "repository.NoDefaultBranchException")
    async with wired(answer(200, described), empty) as (client, _):
        found = await api(client).repository(REPO)
    assert (found.default_branch, found.private, found.html_url) == ("", True, URL + PLACE)


def tags(*objects: str | None, following: int | None = None) -> httpx.Response:
    values = [{"displayId": "v", "hash": one, "latestCommit": SHA} for one in objects]
    return answer(200, {"values": values, "isLastPage": following is None, "nextPageStart": following})


NO_COMMIT = ("no commit", "commit.NoSuchCommitException")


async def test_a_tags_object_that_is_not_shown_is_looked_for_among_the_tags() -> None:
    async with wired(said(404, *NO_COMMIT), tags(None, "e" * 40, following=100), tags(TAG)) as (client, wire):
        assert await api(client).commit_of_tag(REPO, TAG) == SHA
    listed = f"GET {PLACE}/tags?orderBy=MODIFICATION&limit=100&start="
    assert wire.asked[1:] == [f"{listed}0", f"{listed}100"]


async def test_the_search_for_a_tag_ends() -> None:
    pages = [tags("e" * 40, following=100) for _ in range(TAG_PAGES)]
    async with wired(said(404, *NO_COMMIT), *pages) as (client, _):
        with pytest.raises(Vanished, match="no tag whose object"):
            await api(client).commit_of_tag(REPO, TAG)


async def test_a_commit_that_is_shown_for_a_tags_object_is_taken() -> None:
    async with wired(answer(200, {"id": SHA})) as (client, _):
        assert await api(client).commit_of_tag(REPO, TAG) == SHA


# Comparisons


def changes(*paths: tuple[str, str | None], limit: int = 1000, is_last: object = True) -> httpx.Response:
    values = [
        {"path": {"toString": path}} | ({} if former is None else {"srcPath": {"toString": former}})
        for path, former in paths
    ]
    return answer(200, {"values": values, "limit": limit, "isLastPage": is_last})


async def compared(told: httpx.Response) -> tuple[str, ...] | None:
    async with wired(told) as (client, wire):
        found = await api(client).changed_paths(REPO, TAG, SHA)
    assert wire.asked == [f"GET {PLACE}/changes?since={TAG}&until={SHA}&limit=1000"]
    return found


async def test_changes_are_told_with_former_names() -> None:
    assert await compared(changes(("b", None), ("new", "old"))) == ("b", "new", "old")
    assert await compared(changes()) == ()


@pytest.mark.parametrize(
    "told",
    [
        changes(("a", None), ("b", None), limit=2),
        changes(("a", None), is_last=False),
        changes(("a", None), is_last=None),
        answer(200, {"limit": 1000, "isLastPage": True}),
        answer(200, {"values": [{}], "limit": 1000, "isLastPage": True}),
        answer(200, {"values": [{"path": {}}], "limit": 1000, "isLastPage": True}),
        changes(("gr\ufffdn", None)),
        said(404, *NO_COMMIT),
    ],
)
async def test_what_is_not_told_whole_is_unknown(told: httpx.Response) -> None:
    assert await compared(told) is None


async def test_an_answer_without_its_limit_makes_no_sense() -> None:
    with pytest.raises(Unanswered, match="limit is missing"):
        await compared(answer(200, {"values": [], "isLastPage": True}))


# Files and archives


async def test_only_a_file_is_a_file() -> None:
    kinds = [answer(200, {"type": kind}) for kind in ("DIRECTORY", "SUBMODULE", "FILE")]
    async with wired(*kinds) as (client, wire):
        assert [await api(client).has_file(REPO, SHA, "docker file") for _ in kinds] == [False, False, True]
    assert wire.asked[0] == f"GET {PLACE}/browse/docker%20file?at={SHA}&type=true"


async def test_a_directory_is_asked_for_around_the_source() -> None:
    async with wired(page(404)) as (client, wire):
        with pytest.raises(Unavailable):
            async with api(client).archive(REPO, SHA):
                pytest.fail("there is no archive")
    assert wire.asked == [f"GET {PLACE}/archive?at={SHA}&format=tar.gz&prefix=source/"]
