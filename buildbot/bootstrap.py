"""The one place that names concrete adapters: every object of the bot is built here, once, from the configuration."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette

from buildbot.config import Config, ForgeConfig, ForgeKind, RegistryConfig
from buildbot.config.kinds import KINDS
from buildbot.engine.archive_relay import ArchiveRelay
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.intake import Intake
from buildbot.engine.log_tail import LogTails
from buildbot.engine.pacing import Clock, Line, RegistryLine
from buildbot.engine.repository_pass import Memory, Tools
from buildbot.engine.running import Engine
from buildbot.engine.sites import ForgeSite, RegistrySite
from buildbot.engine.status_loop import StatusLoop, StatusSite
from buildbot.engine.wording import StatusWording
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
from buildbot.web.app import create_app
from buildbot.web.archives import archive_routes
from buildbot.web.health import Health
from buildbot.web.pages import build_routes
from buildbot.web.webhooks import WebhookEndpoint

FORGE_TIMEOUT = timedelta(seconds=20)
ForgeApi = GitHubApi | GitLabApi | GiteaApi | BitbucketApi | BitbucketDataCenterApi
CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


@dataclass(frozen=True, slots=True)
class Adapters:
    """The registries and forges of a configuration, over one HTTP client."""

    registries: Mapping[str, QuayRegistry]
    forges: Mapping[str, ForgeApi]
    webhooks: Mapping[str, Webhook]


def open_client() -> httpx.AsyncClient:
    """The HTTP client for all calls; redirects are each adapter's own affair, since credentials must not leave a
    host."""
    return httpx.AsyncClient(limits=CONNECTIONS, follow_redirects=False)


def adapters(config: Config, client: httpx.AsyncClient) -> Adapters:
    """Every registry and forge that the configuration, read with its secrets, names."""
    return Adapters(
        registries={key: _registry(one, client) for key, one in config.registries.items()},
        forges={key: _forge(one, client) for key, one in config.forges.items()},
        webhooks=webhooks(config),
    )


def webhooks(config: Config) -> dict[str, Webhook]:
    """How the deliveries of each forge are read."""
    return {key: _webhook(one) for key, one in config.forges.items()}


def wording(config: Config, registries: Mapping[str, QuayRegistry]) -> StatusWording:
    """What statuses say and where they lead."""
    return StatusWording(config.server.public_url, registries)


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


def build_app(config: Config, clock: Clock | None = None) -> Starlette:
    """The whole bot as one application, of a configuration with its secrets. Raises BadDatabase."""
    clock = clock or Clock()
    store, client = open_store(config), open_client()
    built = adapters(config, client)
    words = wording(config, built.registries)
    sites = _sites(config, built, clock)
    relay = ArchiveRelay(store, sites.forges, config.server.public_url, clock)
    loops = _loops(config, sites, Tools(store, sites.forges, words, clock, Memory(), relay.url_of))
    tails = LogTails(sites.registries, clock)
    intake = Intake(store, built.webhooks, config.rules, words, loops.wake)
    hook_secrets = {key: one.webhook_secrets for key, one in config.forges.items()}

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(store.close)
            await stack.enter_async_context(client)
            stack.push_async_callback(tails.close)
            await stack.enter_async_context(loops.engine.running())
            yield

    routes = [
        *WebhookEndpoint(intake, built.webhooks, hook_secrets, clock).routes(),
        *archive_routes(relay),
        *build_routes(store, words, tails, config.server.public_url, clock),
        *Health(store, sites.lines).routes(),
    ]
    return create_app(routes, running)


@dataclass(frozen=True, slots=True)
class _Sites:
    """The registries and forges with the lines to them, and the forges once more with their budgets of writes."""

    registries: Mapping[str, RegistrySite]
    forges: Mapping[str, ForgeSite]
    statuses: Mapping[str, StatusSite]

    def lines(self) -> Iterator[Line]:
        """Every line, for whoever wants to know what is in trouble."""
        yield from (site.line for site in self.registries.values())
        for site in self.statuses.values():
            yield from site.lines()


def _sites(config: Config, built: Adapters, clock: Clock) -> _Sites:
    forges = {
        key: ForgeSite(key, forge, Line(key, clock, minds_credential=False)) for key, forge in built.forges.items()
    }
    return _Sites(
        registries={key: _registry_site(one, built.registries[key], clock) for key, one in config.registries.items()},
        forges=forges,
        statuses={key: StatusSite(forges[key], one.writes_per_minute) for key, one in config.forges.items()},
    )


def _registry_site(config: RegistryConfig, registry: QuayRegistry, clock: Clock) -> RegistrySite:
    line = RegistryLine(config.key, config.polls_per_second, clock)
    return RegistrySite(config.key, registry, line, config.limits, config.settle_time)


@dataclass(frozen=True, slots=True)
class _Loops:
    """The loops, and the engine that runs them."""

    builds: BuildLoop
    statuses: StatusLoop
    engine: Engine

    def wake(self) -> None:
        """Have both look at the rows now."""
        self.builds.pulse.beat()
        self.statuses.pulse.beat()


def _loops(config: Config, sites: _Sites, tools: Tools) -> _Loops:
    lease, clock = config.store.lease, tools.clock
    statuses = StatusLoop(tools.store, sites.statuses, clock, lease)
    owner = secrets.token_hex(8)
    builds = BuildLoop(owner, lease, sites.registries, tools, on_news=statuses.pulse.beat)
    return _Loops(builds, statuses, Engine(tools.store, builds, statuses, config.store.retention, clock))


def _registry(config: RegistryConfig, client: httpx.AsyncClient) -> QuayRegistry:
    return QuayRegistry(client, url=config.url, token=config.token, request_timeout=config.request_timeout)


def _forge(config: ForgeConfig, client: httpx.AsyncClient) -> ForgeApi:
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


def _auth(config: ForgeConfig, client: httpx.AsyncClient) -> Auth:
    if config.app_id and config.private_key:
        return AppAuth(client, api_url=config.api_url, app_id=config.app_id, private_key_pem=config.private_key)
    return TokenAuth(config.token or "", forge=KINDS[config.kind].title)


def _webhook(config: ForgeConfig) -> Webhook:
    match config.kind:
        case ForgeKind.GITHUB:
            return GitHubWebhook(forge=config.key, url=config.url)
        case ForgeKind.GITLAB:
            return GitLabWebhook(forge=config.key, url=config.url)
        case ForgeKind.GITEA | ForgeKind.FORGEJO:
            return GiteaWebhook(forge=config.key, url=config.url)
        case ForgeKind.BITBUCKET:
            return BitbucketWebhook(forge=config.key, url=config.url)
        case ForgeKind.BITBUCKET_DATACENTER:
            return BitbucketDataCenterWebhook(forge=config.key, url=config.url)
        case _ as never:
            assert_never(never)
