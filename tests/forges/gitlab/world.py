"""GitLab for the common contract."""

from __future__ import annotations

from typing import Any

import httpx

from buildbot.domain.status import StatusState
from buildbot.forges.auth import TokenAuth
from buildbot.forges.gitlab.api import GitLabApi
from buildbot.forges.gitlab.webhook import GitLabWebhook
from buildbot.sandbox.gitlab import GitLab
from tests.forges.world import AT_ONCE, HOOK_URL, NOW, REPO, TIMEOUT, ForgeWorld, Shown

WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
STATES = {
    "pending": StatusState.PENDING,
    "running": StatusState.PENDING,
    "success": StatusState.SUCCESS,
    "failed": StatusState.FAILURE,
}


class GitLabWorld(ForgeWorld):
    """A sandbox GitLab with a token of a developer's; hooks send the plain token, or sign where it is `whsec_…`."""

    name = "gitlab"

    def __init__(self, client: httpx.AsyncClient, sandbox: GitLab) -> None:
        super().__init__(client)
        self.sandbox: GitLab = sandbox
        self.faults = sandbox.faults
        sandbox.add_repository(REPO)
        self.forge = self.forge_with(sandbox.issue_token("ci-bot", member=REPO))
        self.webhook = GitLabWebhook(forge="gitlab", url=sandbox.url, now=lambda: NOW)

    @classmethod
    def new_sandbox(cls) -> GitLab:
        return GitLab(now=lambda: NOW)

    def forge_with(self, token: str) -> GitLabApi:
        return GitLabApi(
            self.client,
            api_url=self.sandbox.api_url,
            auth=TokenAuth(token, forge="GitLab"),
            request_timeout=TIMEOUT,
            retry_pause=AT_ONCE,
            now=lambda: NOW,
        )

    def token_of(self, login: str) -> str:
        return self.sandbox.issue_token(login)

    def add_hook(self, secret: str) -> None:
        is_signing = secret.startswith("whsec_")
        self.sandbox.add_hook(
            REPO, HOOK_URL, token=None if is_signing else secret, signing_token=secret if is_signing else None
        )

    def hide(self, full_name: str = REPO) -> None:
        self.sandbox.set_visibility(full_name, "private")

    def rename(self, full_name: str) -> None:
        self.sandbox.rename(REPO, full_name)

    def shown(self, sha: str) -> list[Shown]:
        newest = {one.context: one for one in self.sandbox.statuses(REPO, sha)}
        return [Shown(STATES[one.state], one.context, one.description, one.target_url) for one in newest.values()]

    def headers(self, delivery: Any) -> dict[str, str]:
        headers: dict[str, str] = delivery.headers(NOW)
        return headers
