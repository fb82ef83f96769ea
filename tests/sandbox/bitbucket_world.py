"""A sandbox Bitbucket Cloud with a clock that tests turn, the bot of the sandbox GitHub's tests, and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from buildbot.sandbox.bitbucket import Bitbucket
from buildbot.sandbox.git_repository import Repository
from tests.sandbox.github_world import Bot, Clock

BOT_URL = "http://bot.test/webhooks/bitbucket"
REPO = "acme/api"


@dataclass(slots=True)
class BitbucketWorld:
    """Everything a test needs. `client` follows no redirects."""

    clock: Clock
    bitbucket: Bitbucket
    bot: Bot
    client: httpx.AsyncClient
    repository: Repository

    @property
    def head(self) -> str:
        """The commit that main points to."""
        return self.repository.refs["refs/heads/main"]

    def token(self, login: str = "ci-bot", *scopes: str) -> str:
        """An access token of an account that may read the repository."""
        return self.bitbucket.issue_access_token(login, scopes=scopes or ("repository",), collaborator=REPO)

    async def ask(self, method: str, path: str, token: str | None = None, **body: object) -> httpx.Response:
        """One request to the API; `path` goes on after the repository."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"{self.bitbucket.api_url}/repositories/{REPO}{path}"
        return await self.client.request(method, url, headers=headers, json=body or None)

    async def get(self, path: str, token: str | None = None) -> Any:
        """The JSON of a successful GET."""
        answer = await self.ask("GET", path, token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post_status(self, token: str | None, sha: str | None = None, **body: object) -> httpx.Response:
        """Put a status on a commit, main's head if none is given."""
        whole = {"key": "quay/api", "state": "INPROGRESS", "url": "https://builds.test/1", **body}
        return await self.ask("POST", f"/commit/{sha or self.head}/statuses/build", token, **whole)


@asynccontextmanager
async def bitbucket_world() -> AsyncIterator[BitbucketWorld]:
    """acme/api, public, with a first commit on main."""
    clock, bot = Clock(), Bot()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(bot)) as to_bot:
        bitbucket = Bitbucket(now=clock, client=to_bot)
        it = bitbucket.add_repository(REPO)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(bitbucket.app)) as client:
            yield BitbucketWorld(clock, bitbucket, bot, client, it)
