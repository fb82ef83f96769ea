"""The archives' route: what Quay's builder gets, in process and over real connections that break or are left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message
from structlog.testing import capture_logs

from buildbot.domain.build import BuildPhase
from buildbot.engine.archive_relay import RelayLimits
from buildbot.sandbox.serving import serving
from buildbot.web.app import create_app
from buildbot.web.archives import archive_routes
from tests.archives.tars import unpacked
from tests.engine.relaying import Bytes, Relaying, answering, begun, large_archive, relaying, sending

pytestmark = pytest.mark.anyio
WITHIN_SECONDS = 10.0


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def app_of(world: Relaying, limits: RelayLimits | None = None, patience: timedelta = timedelta(minutes=1)) -> Starlette:
    return create_app(archive_routes(world.relay_with(limits), patience), _nothing)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Relaying]:
    async with relaying(tmp_path) as made:
        yield made


@pytest.fixture
async def bot(world: Relaying) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app_of(world)), base_url="http://bot.test") as client:
        with capture_logs():
            yield client


async def path_of(world: Relaying) -> str:
    """The address of a build that waits at Quay."""
    return f"/archives/{await world.token(await world.build())}.tar.gz"


def names(archive: bytes) -> list[str]:
    return [thing.name for thing in unpacked(archive)]


# In process


async def test_the_archive_comes_as_gzip_that_nobody_keeps(world: Relaying, bot: httpx.AsyncClient) -> None:
    answer = await bot.get(await path_of(world))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/gzip"
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers
    assert names(answer.content) == ["Dockerfile", "src/größe"]


OTHER_ADDRESSES: tuple[Callable[[str], str], ...] = (
    lambda path: path.replace(".tar.gz", ""),
    lambda path: path.replace(".tar.gz", ".zip"),
    lambda path: path.replace(".tar.gz", "A.tar.gz"),
    lambda path: path.replace(".tar.gz", ".tar.gz.tar.gz"),
    lambda path: path.replace("/archives/", "/archives/x"),
    lambda path: path.replace(".tar.gz", "%00.tar.gz"),
    lambda _: "/archives/.tar.gz",
    lambda _: f"/archives/{'f' * 24}.{'x' * 43}.tar.gz",
    lambda _: "/archives/gr%C3%B6%C3%9Fe.%ff.tar.gz",
)


async def test_any_other_address_is_not_found_in_the_same_words(world: Relaying, bot: httpx.AsyncClient) -> None:
    path = await path_of(world)
    for changed in OTHER_ADDRESSES:
        answer = await bot.get(changed(path))
        assert (answer.status_code, answer.json()) == (404, {"error": "not found"}), changed(path)
    assert world.asked == []


async def test_the_address_of_a_build_that_has_ended_is_not_found(world: Relaying, bot: httpx.AsyncClient) -> None:
    build = await world.build()
    path = f"/archives/{await world.token(build)}.tar.gz"
    await world.move(build, BuildPhase.CANCELLED)
    answer = await bot.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


async def test_what_says_that_it_is_too_large_is_not_begun(world: Relaying) -> None:
    world.answer = lambda _: httpx.Response(200, stream=Bytes(large_archive(2)))
    app = app_of(world, RelayLimits(largest_bytes=1024**2))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.test") as client:
        answer = await client.get(await path_of(world))
    assert answer.status_code == 502
    assert "too large: more than 1,048,576 bytes" in answer.json()["error"]


async def test_trouble_before_the_first_byte_is_told(world: Relaying, bot: httpx.AsyncClient) -> None:
    world.answer = answering(b"<html>", 500, "text/html")
    answer = await bot.get(await path_of(world))
    assert answer.status_code == 502
    assert "500" in answer.json()["error"]


async def test_a_store_that_is_away_is_told(world: Relaying, bot: httpx.AsyncClient) -> None:
    path = await path_of(world)
    world.store.close()
    answer = await bot.get(path)
    assert (answer.status_code, list(answer.json())) == (503, ["error"])


def _broken(_request: httpx.Request) -> NoReturn:
    raise RuntimeError("a mistake of ours")


async def test_what_is_no_archive_is_never_of_a_type_that_the_builder_takes(
    world: Relaying, bot: httpx.AsyncClient
) -> None:
    path = (await path_of(world)).removesuffix(".tar.gz")
    answers = (answering(b"", 404), answering(b"{}", 200, "application/json"), _broken)
    for world.answer, method, ending in product(
        answers, ("GET", "HEAD", "POST", "DELETE"), (".tar.gz", "x.tar.gz", "")
    ):
        told = await bot.request(method, path + ending)
        assert told.status_code >= 400
        assert told.headers["content-type"] == "application/json"


async def test_a_fault_of_the_bots_own_keeps_its_words_to_the_log(world: Relaying, bot: httpx.AsyncClient) -> None:
    world.answer = _broken
    answer = await bot.get(await path_of(world))
    assert answer.status_code == 500
    assert "mistake" not in answer.text


async def test_head_is_answered_as_get_would_be_without_the_archive(world: Relaying, bot: httpx.AsyncClient) -> None:
    body, world.answer = sending(begun(), asyncio.Event())
    there = await bot.head(await path_of(world))
    assert body.closed.is_set()
    assert (there.status_code, there.headers["content-type"], there.content) == (200, "application/gzip", b"")
    assert "content-length" not in there.headers
    assert (await bot.head("/archives/x.y.tar.gz")).status_code == 404


# Over connections


async def test_trouble_in_the_middle_breaks_the_connection_off(world: Relaying) -> None:
    body, world.answer = sending(begun(), httpx.ReadError("reset"))
    build = await world.build()
    async with serving(app_of(world)) as url, httpx.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            await client.get(f"/archives/{await world.token(build)}.tar.gz")
        world.answer = answering()
        assert names((await client.get(await path_of(world))).content) == ["Dockerfile", "src/größe"]
    assert body.closed.is_set()
    assert len(await world.notes(build)) == 1


async def test_what_turns_out_too_large_breaks_off_where_the_limit_is(world: Relaying) -> None:
    world.answer = lambda _: httpx.Response(200, stream=Bytes(large_archive(1, files=4)))
    received, app, path = bytearray(), app_of(world, RelayLimits(largest_bytes=3 * 1024**2)), await path_of(world)

    async def receive(answer: httpx.Response) -> None:
        async for piece in answer.aiter_raw():
            received.extend(piece)

    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client, client.stream("GET", path) as answer:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            await receive(answer)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/gzip")
    assert 1024**2 < len(received) < 3 * 1024**2


async def test_a_builder_that_goes_away_lets_go_of_the_forge(world: Relaying) -> None:
    body, world.answer = sending(begun(), asyncio.Event())
    path, app = await path_of(world), app_of(world, RelayLimits(most_at_once=1, room=timedelta(0)))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        async with client.stream("GET", path) as answer:
            assert await anext(answer.aiter_raw())
            assert not body.closed.is_set()
        await asyncio.wait_for(body.closed.wait(), WITHIN_SECONDS)
        world.answer = answering()
        await _until_ok(client, await path_of(world))


async def _until_ok(client: httpx.AsyncClient, path: str) -> None:
    """The place is free when the server has noticed, which may be a moment after the forge has."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while (await client.get(path)).status_code != 200:  # noqa: ASYNC110  another process of events is awaited
            await asyncio.sleep(0.01)


async def test_a_builder_that_takes_nothing_is_left(world: Relaying) -> None:
    body, world.answer = sending(begun(), asyncio.Event())
    path, never = await path_of(world), asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    async def receive() -> Message:
        await never.wait()
        raise AssertionError("nothing comes")

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
    async with asyncio.timeout(WITHIN_SECONDS):
        await app_of(world, patience=timedelta(milliseconds=20))(scope, receive, send)
    assert body.closed.is_set()
