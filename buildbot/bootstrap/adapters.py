"""The one file that names concrete adapters: what speaks to each kind of registry and forge, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never
from urllib.parse import urlsplit

import httpx

from buildbot.config import Config, ForgeConfig, ForgeKind, RegistryConfig
from buildbot.config.kinds import KINDS
from buildbot.forges.auth import Auth, TokenAuth
from buildbot.forges.bitbucket.api import BitbucketApi
from buildbot.forges.bitbucket.webhook import BitbucketWebhook
from buildbot.forges.bitbucket_datacenter.api import BitbucketDataCenterApi
from buildbot.forges.bitbucket_datacenter.webhook import BitbucketDataCenterWebhook
from buildbot.forges.gitea.api import GiteaApi
from buildbot.forges.gitea.webhook import GiteaWebhook
from buildbot.forges.github.api import GitHubApi
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.forges.gitlab.api import GitLabApi
from buildbot.forges.gitlab.webhook import GitLabWebhook
from buildbot.ports import Webhook
from buildbot.registry.quay import QuayRegistry
from buildbot.store.sql_store import SqlStore

FORGE_TIMEOUT = timedelta(seconds=20)
ForgeApi = GitHubApi | GitLabApi | GiteaApi | BitbucketApi | BitbucketDataCenterApi


@dataclass(frozen=True, slots=True)
class Adapters:
    """The registries and forges of a configuration, over one HTTP client."""

    registries: Mapping[str, QuayRegistry]
    forges: Mapping[str, ForgeApi]
    webhooks: Mapping[str, Webhook]


def adapters(config: Config, client: httpx.AsyncClient) -> Adapters:
    """Every registry and forge that the configuration, read with its secrets, names."""
    return Adapters(
        registries={key: registry_adapter(one, client) for key, one in config.registries.items()},
        forges={key: forge_adapter(one, client) for key, one in config.forges.items()},
        webhooks={key: webhook_reader(one) for key, one in config.forges.items()},
    )


def known_secrets(config: Config) -> tuple[str, ...]:
    """Everything that must never show in a log."""
    of_forges = [
        secret
        for forge in config.forges.values()
        for secret in (
            forge.token,
            (forge.token or "").rpartition(":")[2],  # without the account that Bitbucket's may be written with
            forge.private_key,
            *(one.decode("utf-8", "replace") for one in forge.webhook_secrets),
        )
    ]
    of_registries = [registry.token for registry in config.registries.values()]
    return tuple(filter(None, [*of_forges, *of_registries, urlsplit(config.store.url).password]))


def open_store(config: Config) -> SqlStore:
    """The store. Raises BadDatabase when it cannot be opened."""
    return SqlStore(config.store.url)


def registry_adapter(config: RegistryConfig, client: httpx.AsyncClient) -> QuayRegistry:
    """What speaks to a registry."""
    return QuayRegistry(client, url=config.url, token=config.token, request_timeout=config.request_timeout)


def forge_adapter(config: ForgeConfig, client: httpx.AsyncClient) -> ForgeApi:
    """What speaks to a forge."""
    auth, api_url, timeout = _auth(config, client), config.api_url, FORGE_TIMEOUT
    match config.kind:
        case ForgeKind.GITHUB:
            return GitHubApi(client, api_url=api_url, auth=auth, request_timeout=timeout)
        case ForgeKind.GITLAB:
            return GitLabApi(client, api_url=api_url, auth=auth, request_timeout=timeout)
        case ForgeKind.GITEA | ForgeKind.FORGEJO:
            return GiteaApi(client, api_url=api_url, auth=auth, request_timeout=timeout)
        case ForgeKind.BITBUCKET:
            return BitbucketApi(client, url=config.url, api_url=api_url, auth=auth, request_timeout=timeout)
        case ForgeKind.BITBUCKET_DATACENTER:
            return BitbucketDataCenterApi(client, url=config.url, api_url=api_url, auth=auth, request_timeout=timeout)
        case _ as never:
            assert_never(never)


def webhook_reader(config: ForgeConfig) -> Webhook:
    """What reads the deliveries of a forge."""
    match config.kind:
        case ForgeKind.GITHUB:
            return GitHubWebhook(forge=config.key, url=config.url)
        case ForgeKind.GITLAB:
            return GitLabWebhook(forge=config.key, url=config.url)
        case ForgeKind.GITEA | ForgeKind.FORGEJO:
            is_forgejo = config.kind is ForgeKind.FORGEJO
            return GiteaWebhook(forge=config.key, url=config.url, is_forgejo=is_forgejo)
        case ForgeKind.BITBUCKET:
            return BitbucketWebhook(forge=config.key, url=config.url)
        case ForgeKind.BITBUCKET_DATACENTER:
            return BitbucketDataCenterWebhook(forge=config.key, url=config.url)
        case _ as never:
            assert_never(never)


def _auth(config: ForgeConfig, client: httpx.AsyncClient) -> Auth:
    if config.app_id and config.private_key:
        return AppAuth(client, api_url=config.api_url, app_id=config.app_id, private_key_pem=config.private_key)
    return TokenAuth(config.token or "", forge=KINDS[config.kind].title)
