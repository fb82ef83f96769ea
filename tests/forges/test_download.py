"""Downloads: where the credential goes and where not, what is found out before the first byte, what breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from buildbot.forges.auth import TokenAuth
from buildbot.forges.conversation import Conversation
from buildbot.forges.exchange import Exchange
from buildbot.forges.github.dialect import GITHUB
from buildbot.ports import (
    CallError,
    CredentialRefused,
    Refused,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)
from buildbot.sandbox.serving import serving
from tests.forges.github.wire import API_URL, NOW, SECOND, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO, PATH, DOING = "acme/api", "/repos/acme/api/tarball/x", "the archive of acme/api"
TOKEN = "ghp_0123456789abcdef"


async def pieces(*some: bytes) -> AsyncIterator[bytes]:
    for piece in some:
        yield piece


def sent(*some: bytes, kind: str = "application/x-gzip") -> httpx.Response:
    return httpx.Response(200, content=pieces(*some or (b"one", b"two")), headers={"content-type": kind})


def to(location: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"location": location})


class Renewable(TokenAuth):
    """A token that can be renewed."""

    async def renewed(self, full_name: str, refused: str) -> str | None:  # noqa: ARG002
        return "fresh-token-0123456789"


def talk(client: httpx.AsyncClient, auth: TokenAuth | None = None) -> Conversation:
    return Conversation(
        client,
        GITHUB,
        auth or TokenAuth(TOKEN),
        api_url=API_URL,
        request_timeout=20 * SECOND,
        retry_pause=timedelta(0),
        now=lambda: NOW,
    )


async def fetched(client: httpx.AsyncClient, auth: TokenAuth | None = None) -> bytes:
    async with talk(client, auth).archive(REPO, PATH, DOING) as archive:
        return b"".join([piece async for piece in archive])


# Where the credential goes


async def test_an_archive_from_the_api_itself_is_asked_for_with_the_token() -> None:
    async with wired(sent()) as (client, wire):
        assert await fetched(client) == b"onetwo"
    (request,) = wire.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_another_host_is_followed_to_without_the_token(status: int) -> None:
    async with wired(to("https://codeload.test/x.tar.gz?token=pass", status), sent()) as (client, wire):
        assert await fetched(client) == b"onetwo"
    assert str(wire.requests[1].url) == "https://codeload.test/x.tar.gz?token=pass"
    assert "authorization" not in wire.requests[1].headers
    assert wire.requests[1].headers["user-agent"].startswith("quay-buildbot")


@pytest.mark.parametrize(
    "location",
    ["https://github.test:8443/x", "https://github.test.evil.test/x", "//evil.test/x", "https://a@evil.test"],
)
async def test_another_port_and_a_host_that_only_begins_alike_are_others(location: str) -> None:
    async with wired(to(location), sent()) as (client, wire):
        await fetched(client)
    assert "authorization" not in wire.requests[1].headers
    assert TOKEN not in str(wire.requests[1].url)


async def test_the_same_host_again_is_asked_with_the_token() -> None:
    async with wired(to("/api/v3/repositories/7/tarball/x", 301), sent()) as (client, wire):
        await fetched(client)
    assert wire.tokens == [TOKEN, TOKEN]


async def test_cookies_that_a_redirect_sets_are_not_sent_back() -> None:
    moved = httpx.Response(302, headers={"location": "/api/v3/again", "set-cookie": "session=1"})
    async with wired(moved, sent()) as (client, wire):
        await fetched(client)
    assert "cookie" not in wire.requests[1].headers


@pytest.mark.parametrize("location", ["http://codeload.test/x", "ftp://codeload.test/x", "file:///etc/passwd"])
async def test_a_redirect_out_of_https_is_refused(location: str) -> None:
    async with wired(to(location)) as (client, _):
        with pytest.raises(Refused, match="not safe"):
            await fetched(client)


async def test_a_redirect_loop_ends() -> None:
    async with wired(*[to("https://codeload.test/x")] * 4) as (client, _):
        with pytest.raises(Unanswered, match="more than 3 times"):
            await fetched(client)


async def test_a_location_that_is_no_address_is_no_answer() -> None:
    async with wired(to("https://github.test:port/")) as (client, _):
        with pytest.raises(Unanswered):
            await fetched(client)


# Before the first byte


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (said(404, "Not Found"), Vanished),
        (page(404), Unavailable),
        (said(403, "Resource not accessible"), Refused),
        (said(429, "slow"), Throttled),
        (said(401, "Bad credentials"), CredentialRefused),
        (page(401), Unavailable),
        (said(500, "oops"), Unanswered),
        (page(502), Unanswered),
        (page(200), Unavailable),
        (answer(200, {"message": "hello"}), Unavailable),
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ReadTimeout(""), Unanswered),
    ],
)
async def test_what_is_no_archive_is_an_error_before_anything_is_read(
    response: httpx.Response | Exception, kind: type[CallError]
) -> None:
    async with wired(response) as (client, _):
        with pytest.raises(kind) as caught:
            await fetched(client)
    assert TOKEN not in str(caught.value)


async def test_the_host_that_packs_says_in_its_own_way_that_there_is_nothing() -> None:
    nothing = httpx.Response(404, text="404: Not Found")
    async with wired(to("https://codeload.test/x"), nothing) as (client, _):
        with pytest.raises(Vanished, match="no such commit"):
            await fetched(client)


async def test_a_redirect_to_a_page_to_log_in_is_no_archive() -> None:
    async with wired(to("/login"), page(200)) as (client, _):
        with pytest.raises(Unavailable, match="log in"):
            await fetched(client)


async def test_a_refused_credential_is_renewed_once() -> None:
    async with wired(said(401, "Bad credentials"), sent()) as (client, wire):
        assert await fetched(client, Renewable(TOKEN)) == b"onetwo"
    assert wire.tokens == [TOKEN, "fresh-token-0123456789"]
    async with wired(said(401, "Bad credentials"), said(401, "Bad credentials")) as (client, _):
        with pytest.raises(CredentialRefused):
            await fetched(client, Renewable(TOKEN))


# While it comes


async def test_an_archive_that_breaks_off_says_so_where_it_is_read() -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"one"
        raise httpx.ReadError("reset")

    got = []
    async with wired(httpx.Response(200, content=cut())) as (client, _), talk(client).archive(REPO, PATH, DOING) as it:
        with pytest.raises(Unanswered, match="broke"):
            got += [piece async for piece in it]


async def test_compressed_bytes_are_passed_on_as_they_come() -> None:
    told = {"content-type": "application/x-gzip", "content-encoding": "gzip"}
    async with wired(httpx.Response(200, content=pieces(b"not gzip at all"), headers=told)) as (client, _):
        assert await fetched(client) == b"not gzip at all"


async def test_an_archive_that_does_not_begin_is_given_up() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as client:
        exchange = Exchange(client, GITHUB, api_url=API_URL, request_timeout=20 * SECOND)
        with pytest.raises(Unanswered, match="did not start") as caught:
            async with exchange.opened(PATH, TOKEN, timedelta(milliseconds=20)):
                pytest.fail("nothing came")
    assert caught.value.timed_out


async def test_leaving_early_closes_the_connection() -> None:
    response = sent(b"one", b"two", b"three")
    async with wired(response) as (client, _), talk(client).archive(REPO, PATH, DOING) as it:
        assert await anext(it) == b"one"
    assert response.is_closed


# Over a real connection


async def test_pieces_arrive_while_the_rest_is_still_being_made() -> None:
    asked_for_more = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await asked_for_more.wait()
            yield b"second"

        await StreamingResponse(body(), media_type="application/gzip")(scope, receive, send)

    async with serving(slow) as url, httpx.AsyncClient() as client:
        exchange = Exchange(client, GITHUB, api_url=url, request_timeout=20 * SECOND)
        async with exchange.opened("/archive", TOKEN, timedelta(seconds=20)) as download:
            pieces_of_it = download.chunks()
            assert await anext(pieces_of_it) == b"first"
            asked_for_more.set()
            assert [piece async for piece in pieces_of_it] == [b"second"]


async def test_a_connection_that_is_cut_in_the_middle_is_told() -> None:
    async def cut(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"some", "more_body": False})

    async with serving(cut) as url, httpx.AsyncClient() as client:
        exchange = Exchange(client, GITHUB, api_url=url, request_timeout=20 * SECOND)
        async with exchange.opened("/archive", TOKEN, timedelta(seconds=20)) as download:
            with pytest.raises(Unanswered, match=r"127\.0\.0\.1 broke"):
                async for _ in download.chunks():
                    pass
