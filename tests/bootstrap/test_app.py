"""The application serves what its configuration names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from buildbot.bootstrap import build_app
from buildbot.config import ForgeKind
from tests.bootstrap.every_forge import config

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The whole bot, in this process."""
    app = build_app(config(tmp_path))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://builds.example.com") as client,
    ):
        yield client


@pytest.mark.parametrize("kind", ForgeKind)
async def test_every_forge_has_its_webhook(bot: httpx.AsyncClient, kind: ForgeKind) -> None:
    answer = await bot.post(f"/webhooks/{kind}", json={})
    assert (answer.status_code, "error" in answer.json()) == (401, True)


async def test_archives_are_served_to_those_who_have_a_token(bot: httpx.AsyncClient) -> None:
    answer = await bot.get("/archives/whatever.tar.gz")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
