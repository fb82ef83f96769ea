"""A sandbox GitHub with a clock that tests turn, a bot that notes what it receives, and clients for both sides."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from buildbot.sandbox.git_repository import Repository
from buildbot.sandbox.github import GitHub

BOT_URL = "http://bot.test/webhooks/github"


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def turn(self, **how_far: float) -> None:
        """Later by a `timedelta` of these arguments."""
        self.time += timedelta(**how_far)


@dataclass(frozen=True, slots=True)
class Received:
    """One webhook as the bot saw it."""

    headers: httpx.Headers
    body: bytes

    @property
    def guid(self) -> str:
        """The delivery's id."""
        return str(self.headers["x-github-delivery"])

    @property
    def event(self) -> str:
        """What happened."""
        return str(self.headers["x-github-event"])

    @property
    def payload(self) -> Any:
        """The JSON, also out of a form."""
        if self.headers["content-type"] == "application/x-www-form-urlencoded":
            return json.loads(parse_qs(self.body.decode())["payload"][0])
        return json.loads(self.body)


@dataclass(slots=True)
class Bot:
    """An ASGI application that answers every webhook with `status` and keeps it."""

    received: list[Received] = field(default_factory=list)
    status: int = 202

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one delivery."""
        request = Request(scope, receive)
        self.received.append(Received(httpx.Headers(request.headers.raw), await request.body()))
        await PlainTextResponse("noted", self.status)(scope, receive, send)


@dataclass(slots=True)
class World:
    """Everything a test needs. `api` and `web` follow no redirects; `api` is anonymous unless a call brings a token."""

    github: GitHub
    repository: Repository
    clock: Clock
    bot: Bot
    api: httpx.AsyncClient
    web: httpx.AsyncClient

    @property
    def head(self) -> str:
        """The commit that `main` points to."""
        return self.repository.refs["refs/heads/main"]

    async def post_status(self, token: str, sha: str | None = None, **body: object) -> httpx.Response:
        """Put a status on a commit, `main`'s head if none is given; pending unless the body says otherwise."""
        path = f"/repos/acme/api/statuses/{sha or self.head}"
        return await self.api.post(path, json={"state": "pending", **body}, headers=bearer(token))


def bearer(token: str) -> dict[str, str]:
    """The header that brings a token."""
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def github_world() -> AsyncIterator[World]:
    """acme/api with a first commit on main, and a bot that its hooks may be pointed at."""
    clock, bot = Clock(), Bot()
    github = GitHub(now=clock)
    site = httpx.ASGITransport(github.app)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(bot)) as hookshot,
        httpx.AsyncClient(transport=site, base_url=github.api_url) as api,
        httpx.AsyncClient(transport=site, base_url=github.url) as web,
    ):
        github.hookshot.client = hookshot
        yield World(github, github.add_repository("acme/api"), clock, bot, api, web)
