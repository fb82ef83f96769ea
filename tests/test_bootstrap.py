"""Every kind of forge in a configuration becomes its own adapter and reader, and the application serves them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from buildbot.bootstrap import ForgeApi, adapters, build_app, known_secrets, open_client, open_store
from buildbot.config import Config, ForgeKind, read
from buildbot.forges.bitbucket.api import BitbucketApi
from buildbot.forges.bitbucket.webhook import BitbucketWebhook
from buildbot.forges.bitbucket_datacenter.api import BitbucketDataCenterApi
from buildbot.forges.bitbucket_datacenter.webhook import BitbucketDataCenterWebhook
from buildbot.forges.gitea.api import GiteaApi
from buildbot.forges.gitea.webhook import GiteaWebhook
from buildbot.forges.github.api import GitHubApi
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.forges.gitlab.api import GitLabApi
from buildbot.forges.gitlab.webhook import GitLabWebhook
from buildbot.ports import Webhook
from buildbot.store.database import BadDatabase
from tests.config.files import ENVIRON, REGISTRY, SERVER

pytestmark = pytest.mark.anyio
FORGE = """
[forges.{kind}]
kind = "{kind}"
url = "https://{kind}.example.com"
api_url = "https://{kind}.example.com/api"
webhook_secrets = ["env:HOOK"]
token = "env:TOKEN"
"""
RULE = """
[[rules]]
name = "api"
source = "github:acme/api"
branches = ["main"]
repository = "acme/api"
"""
WHICH: dict[ForgeKind, tuple[type[ForgeApi], type[Webhook]]] = {
    ForgeKind.GITHUB: (GitHubApi, GitHubWebhook),
    ForgeKind.GITLAB: (GitLabApi, GitLabWebhook),
    ForgeKind.GITEA: (GiteaApi, GiteaWebhook),
    ForgeKind.FORGEJO: (GiteaApi, GiteaWebhook),
    ForgeKind.BITBUCKET: (BitbucketApi, BitbucketWebhook),
    ForgeKind.BITBUCKET_DATACENTER: (BitbucketDataCenterApi, BitbucketDataCenterWebhook),
}


def config(folder: Path, store: str = "", **environ: str) -> Config:
    forges = "".join(FORGE.format(kind=kind) for kind in ForgeKind)
    return read(SERVER + store + forges + REGISTRY + RULE, ENVIRON | environ, base=folder)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The whole bot, in this process."""
    app = build_app(config(tmp_path))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://builds.example.com") as client,
    ):
        yield client


async def test_every_kind_of_forge_has_its_adapter_and_its_reader(tmp_path: Path) -> None:
    async with open_client() as client:
        built = adapters(config(tmp_path), client)
    assert set(WHICH) == set(ForgeKind)
    for kind, (api, webhook) in WHICH.items():
        assert (type(built.forges[kind]), type(built.webhooks[kind])) == (api, webhook)


@pytest.mark.parametrize("kind", ForgeKind)
async def test_every_forge_has_its_webhook(bot: httpx.AsyncClient, kind: ForgeKind) -> None:
    answer = await bot.post(f"/webhooks/{kind}", json={})
    assert (answer.status_code, "error" in answer.json()) == (401, True)


async def test_archives_are_served_to_those_who_have_a_token(bot: httpx.AsyncClient) -> None:
    answer = await bot.get("/archives/whatever.tar.gz")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_a_token_is_kept_out_of_logs_also_without_its_account(tmp_path: Path) -> None:
    secrets = known_secrets(config(tmp_path, TOKEN="bot@acme.example:ATATT3xFfGF0"))
    assert {"bot@acme.example:ATATT3xFfGF0", "ATATT3xFfGF0", ENVIRON["HOOK"], ENVIRON["QUAY"]} == set(secrets)


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    elsewhere = config(tmp_path, f'[store]\nurl = "sqlite:///{tmp_path}/no/such/folder.db"\n')
    with pytest.raises(BadDatabase):
        open_store(elsewhere)
