"""Bitbucket Data Center for the common contract."""

from __future__ import annotations

from typing import Any

import httpx

from buildbot.domain.status import StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.bitbucket_datacenter.api import BitbucketDataCenterApi
from buildbot.forges.bitbucket_datacenter.webhook import BitbucketDataCenterWebhook
from buildbot.sandbox.bitbucket_datacenter import BitbucketDataCenter
from tests.forges.world import AT_ONCE, HOOK_URL, NOW, REPO, TIMEOUT, ForgeWorld, Shown

STATES = {"INPROGRESS": StatusState.PENDING, "SUCCESSFUL": StatusState.SUCCESS, "FAILED": StatusState.FAILURE}


class BitbucketDataCenterWorld(ForgeWorld):
    """A sandbox Bitbucket Data Center with an HTTP access token."""

    name = "bitbucket-datacenter"

    def __init__(self, client: httpx.AsyncClient, sandbox: BitbucketDataCenter) -> None:
        super().__init__(client)
        self.sandbox: BitbucketDataCenter = sandbox
        self.faults = sandbox.faults
        sandbox.add_repository(REPO)
        self.forge = self.forge_with(sandbox.issue_token("ci-bot", collaborator=REPO))
        self.webhook = BitbucketDataCenterWebhook(forge="bitbucket-datacenter", url=sandbox.url)

    @classmethod
    def new_sandbox(cls) -> BitbucketDataCenter:
        return BitbucketDataCenter(now=lambda: NOW)

    def forge_with(self, token: str) -> BitbucketDataCenterApi:
        return BitbucketDataCenterApi(
            self.client,
            url=self.sandbox.url,
            api_url=self.sandbox.api_url,
            auth=TokenAuth(token, forge="Bitbucket"),
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
        return [Shown(STATES[one.state], one.key, one.description, one.url) for one in self.sandbox.statuses(REPO, sha)]

    def headers(self, delivery: Any) -> dict[str, str]:
        headers: dict[str, str] = delivery.headers()
        return headers
