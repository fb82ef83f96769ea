"""Gitea and Forgejo for the common contract."""

from __future__ import annotations

from typing import Any

import httpx

from buildbot.domain.status import StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.gitea.api import GiteaApi
from buildbot.forges.gitea.webhook import GiteaWebhook
from buildbot.sandbox.gitea import Gitea
from tests.forges.world import AT_ONCE, HOOK_URL, NOW, REPO, TIMEOUT, ForgeWorld, Shown


class GiteaWorld(ForgeWorld):
    """A sandbox Gitea, or Forgejo, with a token that may write the repository and ask for its user."""

    name = "gitea"
    may_lack_top_directory = True

    @classmethod
    def new_sandbox(cls) -> Gitea:
        return Gitea(now=lambda: NOW, forgejo=cls.name == "forgejo")

    def __init__(self, client: httpx.AsyncClient, sandbox: Gitea) -> None:
        super().__init__(client)
        self.sandbox: Gitea = sandbox
        self.faults = sandbox.faults
        sandbox.add_repository(REPO)
        self.forge: GiteaApi = self.forge_with(sandbox.issue_token("ci-bot", collaborator=REPO))
        self.webhook = GiteaWebhook(forge=self.name, url=sandbox.url, is_forgejo=sandbox.state.is_forgejo)

    def forge_with(self, token: str) -> GiteaApi:
        return GiteaApi(
            self.client,
            api_url=self.sandbox.api_url,
            auth=TokenAuth(token, forge="Gitea"),
            request_timeout=TIMEOUT,
            retry_pause=AT_ONCE,
            now=lambda: NOW,
        )

    def token_of(self, login: str) -> str:
        return self.sandbox.issue_token(login)

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


class ForgejoWorld(GiteaWorld):
    """The same with Forgejo's headers and answers."""

    name = "forgejo"
