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
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.intake import Intake
from buildbot.engine.log_tail import LogTails
from buildbot.engine.pacing import Clock, Line, RegistryLine
from buildbot.engine.repository_pass import Memory, Tools
from buildbot.engine.running import Engine
from buildbot.engine.sites import ForgeSite, RegistrySite
from buildbot.engine.status_loop import StatusLoop, StatusSite
from buildbot.engine.wording import StatusWording
from buildbot.forges.github.api import Auth, GitHubApi, TokenAuth
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.ports import Webhook
from buildbot.registry.quay import QuayRegistry
from buildbot.store.sql_store import SqlStore
from buildbot.web.app import create_app
from buildbot.web.health import Health
from buildbot.web.pages import build_routes
from buildbot.web.webhooks import WebhookEndpoint

FORGE_TIMEOUT = timedelta(seconds=20)
CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


@dataclass(frozen=True, slots=True)
class Adapters:
    """The registries and forges of a configuration, over one HTTP client."""

    registries: Mapping[str, QuayRegistry]
    forges: Mapping[str, GitHubApi]
    webhooks: Mapping[str, Webhook]


def open_client() -> httpx.AsyncClient:
    """The HTTP client for all calls; redirects are each adapter's own affair, since credentials must not leave a
    host."""
    return httpx.AsyncClient(limits=CONNECTIONS, follow_redirects=False)


def adapters(config: Config, client: httpx.AsyncClient) -> Adapters:
    """Every registry and forge that the configuration names."""
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
            forge.private_key,
            *(one.decode("utf-8", "replace") for one in forge.webhook_secrets),
        )
    ]
    of_registries = [registry.token for registry in config.registries.values()]
    return tuple(filter(None, [*of_forges, *of_registries, urlsplit(config.store.url).password]))


def build_app(config: Config, clock: Clock | None = None) -> Starlette:
    """The whole bot as one application. Raises BadDatabase when the store cannot be opened."""
    clock = clock or Clock()
    store = SqlStore(config.store.url)
    client = open_client()
    built = adapters(config, client)
    words = wording(config, built.registries)
    registries = {key: _registry_site(one, built, clock) for key, one in config.registries.items()}
    forges = {key: _forge_site(key, built, clock) for key in config.forges}
    status_sites = {key: StatusSite(forges[key], one.writes_per_minute) for key, one in config.forges.items()}
    statuses = StatusLoop(store, status_sites, clock, config.store.lease)
    builds = BuildLoop(
        owner=secrets.token_hex(8),
        lease=config.store.lease,
        registries=registries,
        tools=Tools(store, forges, words, clock, Memory()),
        on_news=statuses.pulse.beat,
    )
    engine = Engine(store, builds, statuses, config.store.retention, clock)

    def wake() -> None:
        builds.pulse.beat()
        statuses.pulse.beat()

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(store.close)
            await stack.enter_async_context(client)
            stack.push_async_callback(tails.close)
            await stack.enter_async_context(engine.running())
            yield

    tails = LogTails(registries, clock)
    intake = Intake(store, built.webhooks, config.rules, words, wake)
    hook_secrets = {key: one.webhook_secrets for key, one in config.forges.items()}

    def lines() -> Iterator[Line]:
        yield from (site.line for site in registries.values())
        for site in status_sites.values():
            yield from site.lines()

    return create_app(
        [
            *WebhookEndpoint(intake, built.webhooks, hook_secrets, clock).routes(),
            *build_routes(store, words, tails, config.server.public_url, clock),
            *Health(store, lines).routes(),
        ],
        running,
    )


def _registry(config: RegistryConfig, client: httpx.AsyncClient) -> QuayRegistry:
    return QuayRegistry(client, url=config.url, token=config.token, request_timeout=config.request_timeout)


def _registry_site(config: RegistryConfig, built: Adapters, clock: Clock) -> RegistrySite:
    line = RegistryLine(config.key, config.polls_per_second, clock)
    return RegistrySite(config.key, built.registries[config.key], line, config.limits, config.settle_time)


def _forge_site(key: str, built: Adapters, clock: Clock) -> ForgeSite:
    return ForgeSite(key, built.forges[key], Line(key, clock, minds_credential=False))


def _forge(config: ForgeConfig, client: httpx.AsyncClient) -> GitHubApi:
    match config.kind:
        case ForgeKind.GITHUB:
            auth = _github_auth(config, client)
            return GitHubApi(client, api_url=config.api_url, auth=auth, request_timeout=FORGE_TIMEOUT)
        case _ as never:
            assert_never(never)


def _github_auth(config: ForgeConfig, client: httpx.AsyncClient) -> Auth:
    if config.app_id and config.private_key:
        return AppAuth(client, api_url=config.api_url, app_id=config.app_id, private_key_pem=config.private_key)
    return TokenAuth(config.token or "")


def _webhook(config: ForgeConfig) -> Webhook:
    match config.kind:
        case ForgeKind.GITHUB:
            return GitHubWebhook(forge=config.key, url=config.url)
        case _ as never:
            assert_never(never)
