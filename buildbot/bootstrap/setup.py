"""From a configuration to the `Setup` that the engine works with."""

from __future__ import annotations

import httpx

from buildbot.bootstrap.adapters import forge_adapter, registry_adapter, webhook_reader
from buildbot.config import Config, ForgeConfig, RegistryConfig
from buildbot.config.kinds import KINDS
from buildbot.engine.pacing import Clock, Line, RegistryLine, Share
from buildbot.engine.setup import Setup
from buildbot.engine.sites import ForgeSite, Hook, RegistrySite, StatusSite


def new_setup(config: Config, client: httpx.AsyncClient, clock: Clock, share: Share | None = None) -> Setup:
    """Everything that follows from a configuration read with its secrets. `share`: this instance's of every budget."""
    share = share or Share()
    forges = {key: _forge_site(one, client, clock) for key, one in config.forges.items()}
    return Setup(
        rules=config.rules,
        hooks={key: Hook(webhook_reader(one), one.webhook_secrets) for key, one in config.forges.items()},
        registries={key: _registry_site(one, client, clock, share) for key, one in config.registries.items()},
        forges=forges,
        statuses={key: StatusSite(forges[key], one.writes_per_minute, share) for key, one in config.forges.items()},
        public_url=config.server.public_url,
        retention=config.store.retention,
    )


def _registry_site(config: RegistryConfig, client: httpx.AsyncClient, clock: Clock, share: Share) -> RegistrySite:
    line = RegistryLine(config.key, config.polls_per_second, clock, share)
    registry = registry_adapter(config, client)
    return RegistrySite(config.key, registry, line, config.limits, config.settle_time)


def _forge_site(config: ForgeConfig, client: httpx.AsyncClient, clock: Clock) -> ForgeSite:
    line = Line(config.key, clock, minds_credential=False)
    return ForgeSite(config.key, forge_adapter(config, client), line, f"{config.url}{KINDS[config.kind].clone_path}")
