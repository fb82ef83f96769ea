"""Baseline (c) on sockets: aiohttp for the web and for Quay, gidgethub for everything that is GitHub's.

As gidgethub's own documentation builds one: `sansio.Event.from_http` checks the signature, a router dispatches, an
installation's token is asked for once and kept until it runs out. It runs on uvloop, with aiohttp's parser in C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from gidgethub import BadRequest, ValidationFailure, apps, routing, sansio
from gidgethub.aiohttp import GitHubAPI

from tests.benchmarks.baselines.in_memory import InMemoryBot
from tests.benchmarks.pushes import SECRET, repository_of

log = logging.getLogger("bot")
LARGEST_BODY = 25 * 1024 * 1024
TOKEN_SECONDS = 3300.0
BOT = web.AppKey("bot", InMemoryBot)
ROUTER = web.AppKey("router", routing.Router)


class QuayClient:
    """`QuayCalls` by aiohttp."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": "Bearer quay-token", "Accept": "application/json"}

    async def request(self, repository: str, archive_url: str, tags: Sequence[str]) -> str:
        body = {"archive_url": archive_url, "docker_tags": list(tags), "dockerfile_path": "/Dockerfile"}
        address = f"{self._url}/api/v1/repository/{repository}/build/"
        async with self._session.post(address, json=body, headers=self._headers) as answer:
            answer.raise_for_status()
            return str((await answer.json())["id"])

    async def phase(self, repository: str, build: str) -> str:
        address = f"{self._url}/api/v1/repository/{repository}/build/{build}"
        async with self._session.get(address, headers=self._headers) as answer:
            answer.raise_for_status()
            return str((await answer.json())["phase"])


class GitHubClient:
    """`StatusCalls` by gidgethub, as an App if there is a key, else by a token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, private_key: str | None) -> None:
        self._api = GitHubAPI(session, "bot", base_url=url, oauth_token=None if private_key else "a-token-of-the-bot")
        self._private_key = private_key
        self._tokens: dict[int, tuple[str, float]] = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def post(self, full_name: str, sha: str, state: str, description: str, installation: int) -> None:
        status = {"state": state, "description": description, "context": "quay/build"}
        token = await self._token(installation) if self._private_key else None
        await self._api.post(f"/repos/{full_name}/statuses/{sha}", data=status, oauth_token=token)

    async def _token(self, installation: int) -> str:
        async with self._locks[installation]:
            token, until = self._tokens.get(installation, ("", 0.0))
            if until < time.monotonic():
                answer = await apps.get_installation_access_token(
                    self._api,
                    installation_id=str(installation),
                    app_id="12345",
                    private_key=self._private_key or "",
                )
                token = str(answer["token"])
                self._tokens[installation] = (token, time.monotonic() + TOKEN_SECONDS)
            return token


async def ready(_: web.Request) -> web.Response:
    """Up."""
    return web.Response(text="ok")


async def receive(request: web.Request) -> web.Response:
    """One delivery."""
    body = await request.read()
    try:
        event = sansio.Event.from_http(request.headers, body, secret=SECRET)
    except (BadRequest, ValidationFailure) as refused:
        return web.json_response({"error": str(refused)}, status=401)
    await request.app[ROUTER].dispatch(event, request.app[BOT])
    return web.json_response({"delivery": event.delivery_id}, status=202)


async def on_push(event: sansio.Event, bot: InMemoryBot) -> None:
    """A push."""
    plan = bot.take(event.data)
    if plan is not None:
        log.info("push to %s at %s planned", plan.full_name, plan.sha)


def application(asked: argparse.Namespace) -> web.Application:
    """The application."""
    router = routing.Router()
    router.add(on_push, "push")
    app = web.Application(client_max_size=LARGEST_BODY)
    app[ROUTER] = router
    key = Path(asked.key).read_text() if asked.key else None
    sources = {repository_of(number): repository_of(number) for number in range(asked.repositories)}

    async def clients(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session:
            quay, github = QuayClient(session, asked.quay), GitHubClient(session, asked.github, key)
            app[BOT] = InMemoryBot(quay, github, sources, tells_first=asked.tells_first)
            yield
            await app[BOT].close()

    app.cleanup_ctx.append(clients)
    app.add_routes([web.get("/ready", ready), web.post("/webhook", receive)])
    return app


def main() -> None:
    """`python -m tests.benchmarks.baselines.gidgethub_bot PORT --quay URL --github URL …`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--quay", required=True)
    parser.add_argument("--github", required=True)
    parser.add_argument("--repositories", type=int, default=1)
    parser.add_argument("--key", help="the file with the App's private key; without: a token")
    parser.add_argument("--tells-first", action="store_true", help="post the pending before asking for the build")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    app: Any = application(asked)
    web.run_app(app, port=asked.port, host="127.0.0.1", print=None, access_log=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
