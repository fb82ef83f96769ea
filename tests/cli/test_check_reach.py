"""Whether the bot is reached is asked of the bot itself, and only its own answers count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from buildbot.bootstrap import build_app
from buildbot.cli.check_reach import check_reach, webhook_urls
from buildbot.cli.checks import Check, Verdict
from buildbot.config import Config, load
from tests.cli.world import ENVIRON, Place

pytestmark = pytest.mark.anyio
URL = "https://builds.example.com"
Answer = Callable[[httpx.Request], httpx.Response]


def config_of(place: Place) -> Config:
    return load(place.file, ENVIRON)


async def checks(config: Config, transport: httpx.AsyncBaseTransport) -> list[Check]:
    async with httpx.AsyncClient(transport=transport) as client:
        return [check async for check in check_reach(config, client)]


def answering(livez: Answer, hooks: Answer) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: (livez if request.url.path == "/livez" else hooks)(request))


def alive(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"status": "alive"})


def page(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, html="<h1>It works!</h1>")


def not_allowed(_: httpx.Request) -> httpx.Response:
    return httpx.Response(405, text="Method Not Allowed")


def unsigned(_: httpx.Request) -> httpx.Response:
    return httpx.Response(401, json={"error": "not signed"})


def refused(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


async def test_the_real_bot_is_recognised_and_records_nothing(place: Place) -> None:
    config = config_of(place)
    app = build_app(config)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        found = await checks(config, httpx.ASGITransport(app))
    assert [(check.verdict, check.what) for check in found] == [
        (Verdict.FINE, f"{URL}/livez answers"),
        (Verdict.FINE, f"{URL}/webhooks/github takes deliveries of github (and refused an unsigned one)"),
    ]
    assert await asyncio.to_thread(place.document, "builds", "list") == []


@pytest.mark.parametrize(
    ("livez", "hooks", "told"),
    [
        (refused, unsigned, "/livez does not answer: connection refused"),
        (page, unsigned, "/livez answers 200, but not as this bot does"),
        (not_allowed, unsigned, "/livez answers 405"),
        (alive, not_allowed, "/webhooks/github answers 405 to a delivery, not 401"),
        (alive, page, "/webhooks/github answers 200 to a delivery"),
        (alive, refused, "/webhooks/github does not answer"),
    ],
)
async def test_anything_else_is_wrong(place: Place, livez: Answer, hooks: Answer, told: str) -> None:
    found = await checks(config_of(place), answering(livez, hooks))
    (wrong,) = [check for check in found if check.verdict is Verdict.WRONG]
    assert told in wrong.what
    assert "buildbot serve" in wrong.to_do


async def test_without_an_address_nothing_is_asked(place: Place) -> None:
    place.file.write_text(place.file.read_text().replace("public_url", "# public_url"))
    (found,) = await checks(config_of(place), answering(refused, refused))
    assert found.verdict is Verdict.UNKNOWN
    assert webhook_urls(config_of(place)) == {"github": "/webhooks/github"}


async def test_webhooks_are_told_whole(place: Place) -> None:
    assert webhook_urls(config_of(place)) == {"github": f"{URL}/webhooks/github"}
