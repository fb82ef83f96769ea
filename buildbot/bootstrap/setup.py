"""From a configuration to the `Setup` that the engine works with."""

from __future__ import annotations

import httpx

from buildbot.bootstrap.adapters import ForgeApi, forge_adapter, registry_adapter, webhook_reader
from buildbot.config import Config, ForgeConfig, RegistryConfig
from buildbot.config.kinds import KINDS
from buildbot.engine.pacing import Clock, Line, RegistryLine, Share
from buildbot.engine.setup import Setup
from buildbot.engine.sites import ForgeSite, Hook, RegistrySite, StatusSite, WatchedForge


def new_setup(config: Config, client: httpx.AsyncClient, clock: Clock, share: Share | None = None) -> Setup:
    """Everything that follows from a configuration read with its secrets. `share`: this instance's of every budget."""
    share = share or Share()
    adapters = {key: forge_adapter(one, client) for key, one in config.forges.items()}
    forges = {key: _forge_site(one, adapters[key], clock) for key, one in config.forges.items()}
    return Setup(
        rules=config.rules,
        hooks={key: Hook(webhook_reader(one), one.webhook_secrets) for key, one in config.forges.items()},
        registries={key: _registry_site(one, client, clock, share) for key, one in config.registries.items()},
        forges=forges,
        statuses={key: StatusSite(forges[key], one.writes_per_minute, share) for key, one in config.forges.items()},
        watched={key: _watched(one, adapters[key], forges[key].line) for key, one in config.forges.items()},
        public_url=config.server.public_url,
        redeliver_every=config.server.redeliver_every,
        sweep_every=config.server.sweep_every,
        retention=config.store.retention,
    )


def _registry_site(config: RegistryConfig, client: httpx.AsyncClient, clock: Clock, share: Share) -> RegistrySite:
    line = RegistryLine(config.key, config.polls_per_second, clock, share)
    registry = registry_adapter(config, client)
    return RegistrySite(config.key, registry, line, config.limits, config.settle_time)


def _forge_site(config: ForgeConfig, forge: ForgeApi, clock: Clock) -> ForgeSite:
    line = Line(config.key, clock, minds_credential=False)
    return ForgeSite(config.key, forge, line, f"{config.url}{KINDS[config.kind].clone_path}")


def _watched(config: ForgeConfig, forge: ForgeApi, line: Line) -> WatchedForge:
    # Half of what is given to statuses: they come first.
    return WatchedForge(config.key, forge, forge.delivery_log, line, max(1, config.writes_per_minute // 2))
