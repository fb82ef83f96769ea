"""Bitbucket Cloud for the common contract."""

from __future__ import annotations

from typing import Any

import httpx

from buildbot.domain.status import StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.bitbucket.api import BitbucketApi
from buildbot.forges.bitbucket.webhook import BitbucketWebhook
from buildbot.sandbox.bitbucket import Bitbucket
from tests.forges.world import AT_ONCE, HOOK_URL, NOW, REPO, TIMEOUT, ForgeWorld, Shown

STATES = {
    "INPROGRESS": StatusState.PENDING,
    "SUCCESSFUL": StatusState.SUCCESS,
    "FAILED": StatusState.FAILURE,
    "STOPPED": StatusState.ERROR,
}


class BitbucketWorld(ForgeWorld):
    """A sandbox Bitbucket Cloud with an access token, which has a budget of its own."""

    name = "bitbucket"
    budget = "token:bitbucket.test"
    tells_tag_objects = False
    tells_gitlinks = False

    def __init__(self, client: httpx.AsyncClient, sandbox: Bitbucket) -> None:
        super().__init__(client)
        self.sandbox: Bitbucket = sandbox
        self.faults = sandbox.faults
        sandbox.add_repository(REPO)
        self.forge = self.forge_with(sandbox.issue_access_token("ci-bot", collaborator=REPO))
        self.webhook = BitbucketWebhook(forge="bitbucket", url=sandbox.url)

    @classmethod
    def new_sandbox(cls) -> Bitbucket:
        return Bitbucket(now=lambda: NOW)

    def forge_with(self, token: str) -> BitbucketApi:
        return BitbucketApi(
            self.client,
            url=self.sandbox.url,
            api_url=self.sandbox.api_url,
            auth=TokenAuth(token, forge="Bitbucket"),
            request_timeout=TIMEOUT,
            retry_pause=AT_ONCE,
            now=lambda: NOW,
        )

    def token_of(self, login: str) -> str:
        return self.sandbox.issue_access_token(login)

    def add_hook(self, secret: str) -> None:
        self.sandbox.add_hook(REPO, HOOK_URL, secret=secret)

    def hide(self, full_name: str = REPO) -> None:
        self.sandbox.set_private(full_name)

    def rename(self, full_name: str) -> None:
        self.sandbox.rename(REPO, full_name)

    def repository_id(self) -> str:
        return self.sandbox.uuid(REPO)

    def shown(self, sha: str) -> list[Shown]:
        return [
            Shown(STATES[one.state], one.key, one.description, self.told_address(one.url, sha))
            for one in self.sandbox.statuses(REPO, sha)
        ]

    def told_address(self, url: str, sha: str) -> str | None:
        """The address, None for the commit's page, which stands where the bot has none to tell."""
        return None if url == f"{self.sandbox.url}/{REPO}/commits/{sha}" else url

    def headers(self, delivery: Any) -> dict[str, str]:
        headers: dict[str, str] = delivery.headers()
        return headers
