"""The application around the routes: every answer that is no page is JSON, also where nobody foresaw it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from buildbot.web.app import create_app

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


async def broken(_request: Request) -> Response:
    raise RuntimeError("s3cr3t")


async def ask(method: str, path: str) -> httpx.Response:
    app = create_app([Route("/broken", broken)], nothing)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://bot.test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/broken", 405)])
async def test_what_is_not_there_is_told_in_json(method: str, path: str, status: int) -> None:
    answer = await ask(method, path)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})


async def test_a_bug_is_a_500_in_json_without_a_word_of_it() -> None:
    answer = await ask("GET", "/broken")
    assert answer.status_code == 500
    assert "s3cr3t" not in answer.text
    assert set(answer.json()) == {"error"}
