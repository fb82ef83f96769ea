"""Every kind of forge in a configuration becomes its own adapter and reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.bootstrap import ForgeApi, adapters, known_secrets, open_client, open_store
from buildbot.config import ForgeKind
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
from tests.bootstrap.every_forge import config
from tests.config.files import ENVIRON

pytestmark = pytest.mark.anyio
WHICH: dict[ForgeKind, tuple[type[ForgeApi], type[Webhook]]] = {
    ForgeKind.GITHUB: (GitHubApi, GitHubWebhook),
    ForgeKind.GITLAB: (GitLabApi, GitLabWebhook),
    ForgeKind.GITEA: (GiteaApi, GiteaWebhook),
    ForgeKind.FORGEJO: (GiteaApi, GiteaWebhook),
    ForgeKind.BITBUCKET: (BitbucketApi, BitbucketWebhook),
    ForgeKind.BITBUCKET_DATACENTER: (BitbucketDataCenterApi, BitbucketDataCenterWebhook),
}


async def test_every_kind_of_forge_has_its_adapter_and_its_reader(tmp_path: Path) -> None:
    async with open_client() as client:
        built = adapters(config(tmp_path), client)
    assert set(WHICH) == set(ForgeKind)
    for kind, (api, webhook) in WHICH.items():
        assert (type(built.forges[kind]), type(built.webhooks[kind])) == (api, webhook)


def test_a_token_is_kept_out_of_logs_also_without_its_account(tmp_path: Path) -> None:
    secrets = known_secrets(config(tmp_path, TOKEN="bot@acme.example:ATATT3xFfGF0"))
    assert {"bot@acme.example:ATATT3xFfGF0", "ATATT3xFfGF0", ENVIRON["HOOK"], ENVIRON["QUAY"]} == set(secrets)


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    elsewhere = config(tmp_path, f'[store]\nurl = "sqlite:///{tmp_path}/no/such/folder.db"\n')
    with pytest.raises(BadDatabase):
        open_store(elsewhere)
