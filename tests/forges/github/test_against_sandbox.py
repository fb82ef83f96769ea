"""The webhook reader, the API client and the App's credentials against the sandbox GitHub, which another hand wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest

from buildbot.domain.push import Ignored
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.github.api import Auth, GitHubApi, TokenAuth
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.probes import has_repository, is_app_good, is_token_good, may_post_status
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.forges.probes import ProbeResult
from buildbot.ports import CredentialRefused, Refused, StatusTarget, Vanished
from buildbot.sandbox.github import GitHub
from tests.forges.github.wire import SECOND

pytestmark = pytest.mark.anyio
REPO, MAIN = "acme/api", "refs/heads/main"
SUCCESS = CommitStatus(StatusState.SUCCESS, "built", "https://builds.test/builds/1")


@pytest.fixture
def github() -> GitHub:
    sandbox = GitHub()
    sandbox.add_repository(REPO)
    return sandbox


@pytest.fixture
async def client(github: GitHub) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(github.app)) as client:
        yield client


def api(github: GitHub, client: httpx.AsyncClient, auth: Auth) -> GitHubApi:
    return GitHubApi(client, api_url=github.api_url, auth=auth, request_timeout=20 * SECOND)


def by_token(github: GitHub, client: httpx.AsyncClient, *scopes: str, role: str = "write") -> GitHubApi:
    token = github.issue_token("ci-bot", scopes=scopes or ("repo:status",), collaborator=REPO, role=role)
    return api(github, client, TokenAuth(token))


def by_app(github: GitHub, client: httpx.AsyncClient) -> tuple[GitHubApi, AppAuth]:
    app = github.add_app()
    github.install(app, "acme")
    assert app.private_key is not None
    auth = AppAuth(client, api_url=github.api_url, app_id=app.id, private_key_pem=app.private_key)
    return api(github, client, auth), auth


async def test_a_status_appears_on_the_commit(github: GitHub, client: httpx.AsyncClient) -> None:
    push = await github.commit_and_push(REPO)
    await by_token(github, client).post_status(StatusTarget(REPO, push.sha, MAIN, "quay/api"), SUCCESS)
    (shown,) = github.statuses(REPO, push.sha)
    assert (shown.state, shown.context, shown.description) == ("success", "quay/api", "built")


async def test_an_app_posts_under_its_installation(github: GitHub, client: httpx.AsyncClient) -> None:
    push = await github.commit_and_push(REPO)
    forge, auth = by_app(github, client)
    await forge.post_status(StatusTarget(REPO, push.sha, MAIN, "quay/api"), SUCCESS)
    assert len(github.statuses(REPO, push.sha)) == 1
    assert (await forge.credential(REPO)).startswith("installation:")
    assert (await is_app_good(auth)).result is ProbeResult.YES


async def test_a_status_follows_a_rename(github: GitHub, client: httpx.AsyncClient) -> None:
    push = await github.commit_and_push(REPO)
    forge = by_token(github, client)
    github.rename(REPO, "acme/service")
    await forge.post_status(StatusTarget(REPO, push.sha, MAIN, "quay/api"), SUCCESS)
    assert len(github.statuses("acme/service", push.sha)) == 1
    assert (await forge.repository(REPO)).full_name == "acme/service"


async def test_a_commit_that_is_not_there_has_vanished(github: GitHub, client: httpx.AsyncClient) -> None:
    with pytest.raises(Vanished, match="No commit found"):
        await by_token(github, client).post_status(StatusTarget(REPO, "d" * 40, MAIN, "quay/api"), SUCCESS)


async def test_a_wrong_token_is_refused_as_a_whole(github: GitHub, client: httpx.AsyncClient) -> None:
    with pytest.raises(CredentialRefused):
        await api(github, client, TokenAuth("ghp_wrong")).post_status(
            StatusTarget(REPO, "d" * 40, MAIN, "quay/api"), SUCCESS
        )


async def test_heads_and_tags_lead_to_commits(github: GitHub, client: httpx.AsyncClient) -> None:
    push = await github.commit_and_push(REPO, ref="fix/#7-größe")
    tag = await github.push_tag(REPO, "v1", at=push.sha, annotated=True)
    forge = by_token(github, client, "repo")
    assert tag.after != push.sha
    assert await forge.head(REPO, "refs/heads/fix/#7-größe") == push.sha
    assert await forge.head(REPO, "refs/tags/v1") == push.sha
    assert await forge.commit_of_tag(REPO, tag.after) == push.sha
    assert await forge.commit_of_tag(REPO, push.sha) == push.sha
    with pytest.raises(Vanished):
        await forge.head(REPO, "refs/heads/gone")


@pytest.mark.parametrize(("role", "result"), [("write", ProbeResult.YES), ("read", ProbeResult.NO)])
async def test_doctor_learns_the_rights_without_posting(
    github: GitHub, client: httpx.AsyncClient, role: str, result: ProbeResult
) -> None:
    forge = by_token(github, client, role=role)
    assert (await is_token_good(forge)).result is ProbeResult.YES
    assert (await has_repository(forge, REPO)).result is ProbeResult.YES
    assert (await may_post_status(forge, REPO)).result is result
    assert github.repository(REPO).statuses == []


async def test_an_app_that_is_not_installed_says_so(github: GitHub, client: httpx.AsyncClient) -> None:
    github.add_repository("other/thing")
    forge, _ = by_app(github, client)
    with pytest.raises(Refused, match="not installed on other/thing"):
        await forge.post_status(StatusTarget("other/thing", "d" * 40, MAIN, "quay/api"), SUCCESS)


@pytest.mark.parametrize("encoding", ["json", "form"])
async def test_what_the_sandbox_delivers_is_read(github: GitHub, encoding: Literal["json", "form"]) -> None:
    github.add_hook(REPO, "https://builds.test/webhooks/github", secret="secret", content_type=encoding)
    push = await github.commit_and_push(REPO, files={"src/main.py": "print()"}, deliver=False)
    (delivery,) = push.deliveries
    webhook = GitHubWebhook(forge="github", url=github.url)
    headers = {name.lower(): value.encode() for name, value in delivery.headers.items()}
    verifier = webhook.verifier(headers, [b"secret"])
    verifier.update(delivery.body)
    verifier.check()
    _, event = webhook.identify(headers)
    read = webhook.read(event, webhook.decode(headers, delivery.body))
    assert not isinstance(read, Ignored)
    assert (read[0].commit, read[0].changed_paths, read[0].source.full_name) == (push.sha, ("src/main.py",), REPO)
