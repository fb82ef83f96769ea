"""A sandbox GitLab with a clock that tests turn, a bot that notes what it receives, and clients for both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from buildbot.sandbox.git_repository import Repository
from buildbot.sandbox.gitlab import GitLab
from tests.sandbox.github_world import Bot, Clock, bearer

BOT_URL = "http://bot.test/webhooks/gitlab"
PATH = "acme/backend/api"
PROJECT = f"/projects/{quote(PATH, safe='')}"
__all__ = ["BOT_URL", "PATH", "PROJECT", "World", "bearer", "gitlab_world"]


@dataclass(slots=True)
class World:
    """Everything a test needs. `api` and `web` follow no redirects; `token` is a developer's."""

    gitlab: GitLab
    project: Repository
    clock: Clock
    bot: Bot
    api: httpx.AsyncClient
    web: httpx.AsyncClient
    token: str

    @property
    def head(self) -> str:
        """The commit that `main` points to."""
        return self.project.refs["refs/heads/main"]

    async def get(self, path: str, token: str | None = None, **query: str) -> httpx.Response:
        """Read something below the project, with the developer's token if no other is given."""
        return await self.api.get(PROJECT + path, params=query, headers=bearer(token or self.token))

    async def post_status(self, token: str | None = None, sha: str | None = None, **body: object) -> httpx.Response:
        """Put a status on a commit, `main`'s head if none is given; pending on main unless the body says otherwise."""
        path = f"{PROJECT}/statuses/{sha or self.head}"
        shown = {"state": "pending", "ref": "main", **body}
        return await self.api.post(path, json=shown, headers=bearer(token or self.token))


@asynccontextmanager
async def gitlab_world() -> AsyncIterator[World]:
    """acme/backend/api with a first commit on main, and a bot that its hooks may be pointed at."""
    clock, bot = Clock(), Bot()
    gitlab = GitLab(now=clock)
    site = httpx.ASGITransport(gitlab.app)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(bot)) as sender,
        httpx.AsyncClient(transport=site, base_url=gitlab.api_url) as api,
        httpx.AsyncClient(transport=site, base_url=gitlab.url) as web,
    ):
        gitlab.sender.client = sender
        project = gitlab.add_repository(PATH)
        yield World(gitlab, project, clock, bot, api, web, gitlab.issue_token("ci-bot", member=PATH))
