"""GitHub for the common contract."""

from __future__ import annotations

from typing import Any

import httpx

from buildbot.domain.status import StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.github.api import GitHubApi
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.sandbox.github import GitHub
from tests.forges.world import AT_ONCE, HOOK_URL, NOW, REPO, TIMEOUT, ForgeWorld, Shown


class GitHubWorld(ForgeWorld):
    """A sandbox GitHub with a classic token."""

    name = "github"
    budget = "token:github.test"

    def __init__(self, client: httpx.AsyncClient, sandbox: GitHub) -> None:
        super().__init__(client)
        self.sandbox: GitHub = sandbox
        self.faults = sandbox.faults
        sandbox.add_repository(REPO)
        token = sandbox.issue_token("ci-bot", scopes=("repo",), collaborator=REPO)
        self.forge = self.forge_with(token)
        self.webhook = GitHubWebhook(forge="github", url=sandbox.url)

    @classmethod
    def new_sandbox(cls) -> GitHub:
        return GitHub(now=lambda: NOW)

    def forge_with(self, token: str) -> GitHubApi:
        return GitHubApi(
            self.client,
            api_url=self.sandbox.api_url,
            auth=TokenAuth(token),
            request_timeout=TIMEOUT,
            retry_pause=AT_ONCE,
            now=lambda: NOW,
        )

    def token_of(self, login: str) -> str:
        return self.sandbox.issue_token(login, scopes=("repo",))

    def add_hook(self, secret: str) -> None:
        self.sandbox.add_hook(REPO, HOOK_URL, secret=secret)

    def hide(self, full_name: str = REPO) -> None:
        self.sandbox.set_private(full_name)

    def rename(self, full_name: str) -> None:
        self.sandbox.rename(REPO, full_name)

    def shown(self, sha: str) -> list[Shown]:
        newest = {one.context: one for one in self.sandbox.statuses(REPO, sha)}
        return [Shown(StatusState(one.state), one.context, one.description, one.target_url) for one in newest.values()]

    def headers(self, delivery: Any) -> dict[str, str]:
        headers: dict[str, str] = delivery.headers
        return headers
