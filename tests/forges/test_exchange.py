"""One request and its answer: redirects, limits of time and size, and what the token is never sent to."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from buildbot.forges.exchange import LARGEST_ANSWER, Exchange
from buildbot.forges.github.dialect import GITHUB
from buildbot.ports import CallError, Refused, Unanswered, Unreachable
from tests.forges.github.wire import API_URL, SECOND, answer, page, said, wired

pytestmark = pytest.mark.anyio
PATH = "/repos/acme/api"


def exchange(client: httpx.AsyncClient, timeout: timedelta = 20 * SECOND) -> Exchange:
    return Exchange(client, GITHUB, api_url=API_URL, request_timeout=timeout)


async def test_a_request_carries_what_github_asks_for() -> None:
    async with wired(answer(200, {"id": 1})) as (client, wire):
        got = await exchange(client).send("GET", PATH, "t0ken")
    (request,) = wire.requests
    assert str(request.url) == "https://github.test/api/v3/repos/acme/api"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["user-agent"].startswith("quay-buildbot")
    assert got.fields.number("id") == 1


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_followed_with_method_and_body(status: int) -> None:
    moved = said(status, "Moved Permanently", location="https://github.test/api/v3/repositories/7/statuses/x")
    async with wired(moved, answer(201, {"id": 1})) as (client, wire):
        got = await exchange(client).send("POST", f"{PATH}/statuses/x", "t", {"state": "success"})
    assert wire.asked == ["POST /repos/acme/api/statuses/x", "POST /repositories/7/statuses/x"]
    assert wire.body(0) == wire.body(1) == {"state": "success"}
    assert wire.tokens == ["t", "t"]
    assert (got.status, got.path) == (201, "/api/v3/repositories/7/statuses/x")


@pytest.mark.parametrize("location", ["/api/v3/repositories/7?a=b", "http://github.test/api/v3/repositories/7?a=b"])
async def test_a_redirect_stays_at_the_configured_origin(location: str) -> None:
    async with wired(said(301, "Moved", location=location), answer(200)) as (client, wire):
        await exchange(client).send("GET", PATH, "t")
    assert str(wire.requests[1].url) == "https://github.test/api/v3/repositories/7?a=b"


@pytest.mark.parametrize(
    "location", ["https://evil.test/api/v3/repositories/7", "//evil.test/x", "https://github.test@evil.test/"]
)
async def test_the_token_is_never_sent_to_another_host(location: str) -> None:
    async with wired(said(301, "Moved", location=location)) as (client, wire):
        with pytest.raises(Refused, match=r"redirects to 'evil\.test'"):
            await exchange(client).send("GET", PATH, "t")
    assert len(wire.requests) == 1


async def test_three_redirects_are_followed_and_no_more() -> None:
    moved = said(308, "Moved", location="/api/v3/again")
    async with wired(moved, moved, moved, answer(200)) as (client, _):
        assert (await exchange(client).send("GET", PATH, "t")).status == 200
    async with wired(moved, moved, moved, moved) as (client, _):
        with pytest.raises(Unanswered, match="more than 3 times"):
            await exchange(client).send("GET", PATH, "t")


async def test_a_location_that_is_no_address_is_no_answer() -> None:
    async with wired(said(301, "Moved", location="https://github.test:port/")) as (client, _):
        with pytest.raises(Unanswered, match="broke before the answer"):
            await exchange(client).send("GET", PATH, "t")


@pytest.mark.parametrize(
    ("error", "kind", "timed_out"),
    [
        (httpx.ConnectError("no route"), Unreachable, None),
        (httpx.ConnectTimeout(""), Unreachable, None),
        (httpx.ProxyError("502"), Unreachable, None),
        (httpx.PoolTimeout(""), Unreachable, None),
        (httpx.ReadTimeout(""), Unanswered, True),
        (httpx.WriteTimeout(""), Unanswered, True),
        (httpx.ReadError("reset"), Unanswered, False),
        (httpx.WriteError("reset"), Unanswered, False),
        (httpx.RemoteProtocolError("closed"), Unanswered, False),
    ],
)
async def test_a_failed_exchange_tells_whether_anything_was_sent(
    error: Exception, kind: type[CallError], timed_out: bool | None
) -> None:
    async with wired(error) as (client, _):
        with pytest.raises(kind, match=r"github\.test") as caught:
            await exchange(client).send("GET", PATH, "t")
    assert getattr(caught.value, "timed_out", None) is timed_out


async def drip() -> AsyncIterator[bytes]:
    yield b'{"id":'
    await asyncio.Event().wait()


async def test_an_answer_that_never_ends_is_given_up() -> None:
    async with wired(httpx.Response(200, content=drip())) as (client, _):
        with pytest.raises(Unanswered) as caught:
            await exchange(client, timedelta(milliseconds=30)).send("GET", PATH, "t")
    assert caught.value.timed_out


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    packed = gzip.compress(b" " * (LARGEST_ANSWER + 1))
    async with wired(httpx.Response(200, content=packed, headers={"content-encoding": "gzip"})) as (client, _):
        with pytest.raises(Unanswered, match="larger than 8 MB"):
            await exchange(client).send("GET", PATH, "t")


async def test_broken_compression_is_no_answer() -> None:
    async def sent() -> AsyncIterator[bytes]:
        yield b"not gzip"

    broken = httpx.Response(200, content=sent(), headers={"content-encoding": "gzip"})
    async with wired(broken) as (client, _):
        with pytest.raises(Unanswered):
            await exchange(client).send("GET", PATH, "t")


@pytest.mark.parametrize("body", [page(200), httpx.Response(200), answer(200, []), page(200, "[" * 200_000)])
async def test_a_success_that_is_no_json_object_makes_no_sense(body: httpx.Response) -> None:
    async with wired(body) as (client, _):
        got = await exchange(client).send("GET", PATH, "t")
    with pytest.raises(Unanswered, match="is `api_url` right"):
        _ = got.fields


async def test_a_token_that_an_error_repeats_is_blotted_out() -> None:
    async with wired(said(400, "bad header: Bearer ghp_0123456789abcdef")) as (client, _):
        got = await exchange(client).send("GET", PATH, "ghp_0123456789abcdef")
    assert got.document == {"message": "bad header: Bearer ***", "documentation_url": "https://docs.github.com/rest"}


async def test_cookies_are_not_sent_back() -> None:
    async with wired(answer(200, set_cookie="session=1"), answer(200)) as (client, wire):
        await exchange(client).send("GET", PATH, "t")
        await exchange(client).send("GET", PATH, "t")
    assert all("cookie" not in request.headers for request in wire.requests)
