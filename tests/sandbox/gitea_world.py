"""A sandbox Gitea or Forgejo with a clock that tests turn, the bot of the sandbox GitHub's tests, and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from buildbot.sandbox.git_repository import Repository
from buildbot.sandbox.gitea import Gitea
from tests.sandbox.github_world import Bot, Clock

BOT_URL = "http://bot.test/webhooks/gitea"
REPO = "acme/API"


@dataclass(slots=True)
class GiteaWorld:
    """Everything a test needs."""

    clock: Clock
    gitea: Gitea
    bot: Bot
    client: httpx.AsyncClient
    repository: Repository

    @property
    def head(self) -> str:
        """The commit that main points to."""
        return self.repository.refs["refs/heads/main"]

    def token(self, *scopes: str, role: str = "write") -> str:
        """A token of `ci-bot`, who has that role."""
        return self.gitea.issue_token("ci-bot", scopes=scopes or ("all",), collaborator=REPO, role=role)

    async def ask(self, method: str, path: str, token: str | None = None, **body: object) -> httpx.Response:
        """One request to the API; `path` goes on after the repository."""
        headers = {"authorization": f"token {token}"} if token else {}
        url = f"{self.gitea.api_url}/repos/{REPO}{path}"
        return await self.client.request(method, url, headers=headers, json=body or None)

    async def get(self, path: str, token: str | None = None) -> Any:
        """The JSON of a successful GET."""
        answer = await self.ask("GET", path, token)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def gitea_world(*, forgejo: bool = False) -> AsyncIterator[GiteaWorld]:
    """acme/API with a first commit on main."""
    clock, bot = Clock(), Bot()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(bot)) as to_bot:
        gitea = Gitea(now=clock, client=to_bot, forgejo=forgejo)
        it = gitea.add_repository(REPO)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gitea.app)) as client:
            yield GiteaWorld(clock, gitea, bot, client, it)


both = pytest.mark.parametrize("forgejo", [False, True], ids=["gitea", "forgejo"])
