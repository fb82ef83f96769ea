"""What goes wrong between the bot and Quay: lost answers, slow ones, redirects, retries, real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from buildbot.ports import CallError, Unanswered, Unavailable, Unreachable, Vanished
from buildbot.registry.quay import QuayRegistry
from tests.registry.quay_wire import BUILD, NOW, ORDER, REPOSITORY, TOKEN, URL, Said, quay

pytestmark = pytest.mark.anyio

RECORD = json.dumps({"id": BUILD, "phase": "waiting", "started": None, "tags": ["main"]})
NOT_SENT = [
    httpx.ConnectError("[Errno -2] Name or service not known"),
    httpx.ConnectTimeout(""),
    httpx.PoolTimeout(""),
    httpx.ProxyError("407 Proxy Authentication Required"),
]
SENT = [httpx.ReadError(""), httpx.WriteError(""), httpx.CloseError(""), httpx.RemoteProtocolError("bad")]
SLOW = [httpx.ReadTimeout(""), httpx.WriteTimeout("")]


def named(error: Exception) -> str:
    return type(error).__name__


# ── before and after sending ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", NOT_SENT, ids=named)
async def test_a_connection_that_was_never_made_sent_nothing(error: Exception) -> None:
    async with quay(error, error, error) as (registry, _):
        with pytest.raises(Unreachable, match=r"quay\.example\.com"):
            await registry.request_repo_build(ORDER)
        with pytest.raises(Unreachable):
            await registry.cancel_repo_build(REPOSITORY, BUILD)
        with pytest.raises(Unreachable):
            await registry.get_repo_build(REPOSITORY, BUILD)


@pytest.mark.parametrize("error", [*SENT, *SLOW], ids=named)
async def test_a_request_or_cancel_that_was_begun_and_lost_is_in_doubt_and_not_repeated(error: Exception) -> None:
    async with quay(error, error) as (registry, wire):
        with pytest.raises(Unanswered) as asked:
            await registry.request_repo_build(ORDER)
        with pytest.raises(Unanswered) as cancelled:
            await registry.cancel_repo_build(REPOSITORY, BUILD)
    assert [request.method for request in wire.asked] == ["POST", "DELETE"]
    assert asked.value.timed_out is cancelled.value.timed_out is (error in SLOW)


@pytest.mark.parametrize("status", [500, 502, 504, 599])
async def test_a_server_error_leaves_a_request_in_doubt_and_is_not_repeated(status: int) -> None:
    page = Said(status, "<html><head><title>Bad Gateway</title></head></html>", "text/html")
    async with quay(page) as (registry, _):
        with pytest.raises(Unanswered, match="Bad Gateway") as raised:
            await registry.request_repo_build(ORDER)
    assert raised.value.timed_out is (status == 504)


# ── retries of reads ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [Said(500, "<html>", "text/html"), Said(502), *SENT], ids=str)
async def test_a_read_survives_one_lost_answer(first: Said | Exception) -> None:
    async with quay(first, Said(200, RECORD)) as (registry, _):
        assert (await registry.get_repo_build(REPOSITORY, BUILD)).phase == "waiting"


async def test_a_read_gives_up_after_three_lost_answers() -> None:
    async with quay(Said(500), httpx.ReadError(""), Said(502)) as (registry, _):
        with pytest.raises(Unanswered, match="502"):
            await registry.get_repo_build(REPOSITORY, BUILD)


@pytest.mark.parametrize(
    "answer", [*SLOW, Said(504), Said(503), Said(429), Said(404, "{}"), Said(200, "<html>")], ids=str
)
async def test_a_read_is_not_repeated_after_a_timeout_a_refusal_or_nonsense(answer: Said | Exception) -> None:
    async with quay(answer) as (registry, _):
        with pytest.raises(CallError):
            await registry.get_repo_build_status(REPOSITORY, BUILD)


# ── pages from something in front ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "page",
    [
        Said(404, "default backend - 404", "text/plain; charset=utf-8"),
        Said(404, "<html><title>Quay</title>", "text/html"),
        Said(403, "<html><title>Attention Required!</title>", "text/html"),
        Said(503, "<html><title>503 Service Temporarily Unavailable</title>", "text/html"),
    ],
    ids=lambda page: page.body,
)
async def test_a_page_in_front_of_quay_neither_vanishes_nor_refuses_a_build(page: Said) -> None:
    async with quay(page, page, page) as (registry, _):
        with pytest.raises(Unavailable):
            await registry.get_repo_build(REPOSITORY, BUILD)
        with pytest.raises(Unavailable):
            await registry.request_repo_build(ORDER)
        with pytest.raises(Unavailable):
            await registry.cancel_repo_build(REPOSITORY, BUILD)


# ── redirects ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("origin", [URL, "http://quay.example.com", "https://quay.example.com:8443", ""])
async def test_a_redirect_within_quay_is_followed_at_our_own_origin_with_method_and_body(origin: str) -> None:
    moved = Said(308, "<html>", "text/html", {"Location": f"{origin}/api/v2/build/?limit=0"})
    async with quay(moved, Said(201, RECORD)) as (registry, wire):
        await registry.request_repo_build(ORDER)
    first, second = wire.asked
    assert (second.method, str(second.url)) == ("POST", f"{URL}/api/v2/build/?limit=0")
    assert second.content == first.content
    assert second.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["https://evil.example/x", "//evil.example/x", "https://quay.example.com.evil/x"])
async def test_a_redirect_to_another_host_is_not_followed(status: int, location: str) -> None:
    async with quay(*[Said(status, headers={"Location": location})] * 2) as (registry, _):
        with pytest.raises(Unavailable, match="evil"):
            await registry.request_repo_build(ORDER)
        with pytest.raises(Unavailable, match="evil"):
            await registry.get_repo_builds(REPOSITORY, NOW)


async def test_a_redirect_is_followed_once_and_no_further() -> None:
    moved = Said(308, headers={"Location": "/x"})
    async with quay(moved, moved) as (registry, _):
        with pytest.raises(Unavailable):
            await registry.request_repo_build(ORDER)


@pytest.mark.parametrize("location", ["", "http://[", "http://x:port/"])
async def test_a_redirect_to_nowhere_is_an_error_like_others(location: str) -> None:
    async with quay(Said(308, headers={"Location": location})) as (registry, _):
        with pytest.raises(CallError):
            await registry.request_repo_build(ORDER)


async def test_cookies_that_a_page_sets_are_not_sent_back() -> None:
    page = Said(200, RECORD, headers={"Set-Cookie": "session=abc; Path=/"})
    async with quay(page, Said(200, RECORD)) as (registry, wire):
        await registry.get_repo_build(REPOSITORY, BUILD)
        await registry.get_repo_build(REPOSITORY, BUILD)
    assert "Cookie" not in wire.asked[1].headers


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Dripping(httpx.AsyncByteStream):
    """A body that begins and never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"id": '
        await asyncio.Event().wait()


class Breaking(httpx.AsyncByteStream):
    """A body whose connection breaks in the middle."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"id": '
        raise httpx.ReadError("reset")


class Endless(httpx.AsyncByteStream):
    """A body without an end, that counts how much was read of it."""

    def __init__(self) -> None:
        self.megabytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.megabytes += 1
            yield b" " * 1_000_000


async def test_an_answer_that_drips_is_given_up_after_the_whole_timeout() -> None:
    async with quay(httpx.Response(201, stream=Dripping()), timeout=timedelta(milliseconds=50)) as (registry, _):
        with pytest.raises(Unanswered) as raised:
            await registry.request_repo_build(ORDER)
    assert raised.value.timed_out


async def test_a_201_whose_body_is_lost_leaves_the_build_in_doubt() -> None:
    async with quay(httpx.Response(201, stream=Breaking())) as (registry, _):
        with pytest.raises(Unanswered) as raised:
            await registry.request_repo_build(ORDER)
    assert not raised.value.timed_out


async def test_an_endless_answer_is_read_no_further_than_the_limit() -> None:
    body = Endless()
    async with quay(httpx.Response(200, stream=body)) as (registry, _):
        with pytest.raises(Unanswered, match="too large: more than 20 MB"):
            await registry.get_repo_build_logs(REPOSITORY, BUILD)
    assert body.megabytes == 21


async def test_broken_compression_is_no_answer() -> None:
    broken = Said(200, "not gzip", headers={"Content-Encoding": "gzip"})
    async with quay(broken, broken, broken) as (registry, _):
        with pytest.raises(Unanswered, match="compression"):
            await registry.get_repo_build(REPOSITORY, BUILD)


# ── real sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, timeout: timedelta = timedelta(seconds=10)) -> AsyncIterator[QuayRegistry]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(trust_env=False) as client:
        yield QuayRegistry(client, url=f"http://127.0.0.1:{port}", token=TOKEN, request_timeout=timeout)


async def test_a_socket_closed_after_the_request_leaves_it_in_doubt() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with listening(hang_up) as registry:
        with pytest.raises(Unanswered) as raised:
            await registry.request_repo_build(ORDER)
    assert not raised.value.timed_out


async def test_a_socket_that_never_answers_times_out() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(say_nothing, timedelta(milliseconds=100)) as registry:
        with pytest.raises(Unanswered) as raised:
            await registry.cancel_repo_build(REPOSITORY, BUILD)
    assert raised.value.timed_out


async def test_a_socket_that_speaks_no_http_is_no_answer() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 smtp.example ESMTP\r\n\r\n")
        await writer.drain()

    async with listening(babble) as registry:
        with pytest.raises(Unanswered):
            await registry.request_repo_build(ORDER)


async def test_a_port_where_nobody_listens_is_unreachable() -> None:
    async with listening(lambda _reader, _writer: asyncio.sleep(0)) as registry:
        pass
    async with httpx.AsyncClient(trust_env=False) as client:
        away = QuayRegistry(client, url=str(registry._url), token=TOKEN, request_timeout=timedelta(seconds=10))
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            await away.request_repo_build(ORDER)


async def test_a_real_answer_is_understood() -> None:
    async def say_unknown(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"message":"Unable to locate a build by id: x"}\n'
        head = f"HTTP/1.1 400 BAD REQUEST\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with listening(say_unknown) as registry:
        with pytest.raises(Vanished, match="Unable to locate a build"):
            await registry.get_repo_build_status(REPOSITORY, BUILD)
