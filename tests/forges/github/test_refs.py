"""GitHub's refs: conditional requests, pages where a server has them, and what is no ref."""

from __future__ import annotations

import httpx
import pytest

from buildbot.domain.push import RefKind
from buildbot.ports import ListedRef, RefList, Unanswered, Unavailable, Vanished
from tests.forges.github.test_api import api
from tests.forges.github.wire import API_URL, SHA, TAG, answer, said, wired

pytestmark = pytest.mark.anyio
LIST = "/repos/acme/api/git/matching-refs"
OTHER = "c" * 40


def ref(name: str, sha: str = SHA, kind: str = "commit") -> dict[str, object]:
    return {"ref": name, "object": {"sha": sha, "type": kind}}


async def test_a_list_comes_with_what_stands_for_it_and_is_then_asked_for_by_that() -> None:
    first = answer(200, [ref("refs/heads/main")], etag='W/"1"')
    async with wired(first, answer(304), answer(200, [], etag='W/"2"')) as (client, wire):
        github = api(client)
        assert await github.refs("acme/api", RefKind.BRANCH) == RefList((ListedRef("main", SHA, SHA),), 'W/"1"')
        assert await github.refs("acme/api", RefKind.BRANCH, 'W/"1"') is None
        assert await github.refs("acme/api", RefKind.BRANCH, 'W/"1"') == RefList((), 'W/"2"')
        assert wire.asked == [f"GET {LIST}/heads?per_page=100"] * 3
        assert [one.headers.get("if-none-match") for one in wire.requests] == [None, 'W/"1"', 'W/"1"']


async def test_a_304_that_was_not_asked_for_makes_no_sense() -> None:
    async with wired(httpx.Response(304)) as (client, _):
        with pytest.raises(Unavailable):
            await api(client).refs("acme/api", RefKind.TAG)


async def test_pages_are_followed_by_their_query_alone_and_nothing_stands_for_them() -> None:
    link = f'<https://evil.test{LIST}/tags?per_page=100&page=2>; rel="next", <{API_URL}/x>; rel="last"'
    pages = answer(200, [ref("refs/tags/v1")], etag='"1"', link=link), answer(200, [ref("refs/tags/v2", TAG, "tag")])
    async with wired(*pages) as (client, wire):
        found = await api(client).refs("acme/api", RefKind.TAG)
        assert found == RefList((ListedRef("v1", SHA, SHA), ListedRef("v2", TAG, None)))
        assert wire.asked[1] == f"GET {LIST}/tags?per_page=100&page=2"


async def test_what_only_begins_alike_is_left_out() -> None:
    refs = [ref("refs/tags/v1"), ref("refs/tags-of-old/v2", OTHER), ref("refs/tags/")]
    async with wired(answer(200, refs)) as (client, _):
        found = await api(client).refs("acme/api", RefKind.TAG)
        assert found is not None
        assert [one.name for one in found.refs] == ["v1"]


async def test_an_empty_repository_has_no_refs_and_a_missing_one_is_missing() -> None:
    async with wired(said(409, "Git Repository is empty."), said(404, "Not Found")) as (client, _):
        assert await api(client).refs("acme/api", RefKind.BRANCH) == RefList(())
        with pytest.raises(Vanished):
            await api(client).refs("acme/api", RefKind.BRANCH)


@pytest.mark.parametrize(
    ("body", "tries"), [({"a": 1}, 3), ("text", 3), ([ref("refs/heads/x", "1234")], 1), ([{"ref": "refs/heads/x"}], 1)]
)
async def test_nonsense_is_no_list(body: object, tries: int) -> None:
    async with wired(*[answer(200, body) for _ in range(tries)]) as (client, _):
        with pytest.raises(Unanswered):
            await api(client).refs("acme/api", RefKind.BRANCH)
