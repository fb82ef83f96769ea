"""From a configuration to the `Setup` that the engine works with, keeping of the one before whatever still holds.

What is learned while working (tokens of an App's installations, who refuses a credential, how much of a budget is
spent) belongs to an address and a credential. A table that names the same two keeps it, whatever else it says now; so
a new limit does not forgive what has been spent, and a new rule costs no call. Another address or credential starts
afresh: what the old one was told says nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import httpx

from buildbot.bootstrap.adapters import forge_adapter, registry_adapter, webhook_reader
from buildbot.bootstrap.changes import way_to_forge, way_to_registry
from buildbot.config import Config, ForgeConfig, RegistryConfig
from buildbot.config.kinds import KINDS
from buildbot.engine.pacing import Clock, Line, RegistryLine, Share
from buildbot.engine.setup import Setup
from buildbot.engine.sites import ForgeSite, Hook, RegistrySite, StatusSite


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration, and what it came to."""

    config: Config
    setup: Setup


@dataclass(frozen=True, slots=True)
class Shared:
    """What every adapter and every line is built with. `share` is this instance's of every budget."""

    client: httpx.AsyncClient
    clock: Clock
    share: Share = field(default_factory=Share)


def new_setup(config: Config, shared: Shared, before: InForce | None = None) -> Setup:
    """Everything that follows from a configuration read with its secrets, after the one that has been in force."""
    statuses = {key: _status_site(one, shared, before) for key, one in config.forges.items()}
    return Setup(
        rules=config.rules,
        hooks={key: Hook(webhook_reader(one), one.webhook_secrets) for key, one in config.forges.items()},
        registries={key: _registry_site(one, shared, before) for key, one in config.registries.items()},
        forges={key: one.site for key, one in statuses.items()},
        statuses=statuses,
        public_url=config.server.public_url,
        retention=config.store.retention,
        since=shared.clock.now(),
    )


def _registry_site(config: RegistryConfig, shared: Shared, before: InForce | None) -> RegistrySite:
    was = before.config.registries.get(config.key) if before else None
    registry = registry_adapter(config, shared.client)
    if before is None or was is None or way_to_registry(was) != way_to_registry(config):
        line = RegistryLine(config.key, config.polls_per_second, shared.clock, shared.share)
        return RegistrySite(config.key, registry, line, config.limits, config.settle_time)
    site = before.setup.registries[config.key]
    if was == config:
        return site
    site.line.set_polls_per_second(config.polls_per_second)
    return replace(site, registry=registry, limits=config.limits, settle_time=config.settle_time)


def _status_site(config: ForgeConfig, shared: Shared, before: InForce | None) -> StatusSite:
    was = before.config.forges.get(config.key) if before else None
    if before is None or was is None or way_to_forge(was) != way_to_forge(config):
        return StatusSite(_forge_site(config, shared), config.writes_per_minute, shared.share)
    site = before.setup.statuses[config.key]
    is_same_rate = was.writes_per_minute == config.writes_per_minute
    return site if is_same_rate else site.at_rate(config.writes_per_minute)


def _forge_site(config: ForgeConfig, shared: Shared) -> ForgeSite:
    line = Line(config.key, shared.clock, minds_credential=False)
    return ForgeSite(
        config.key, forge_adapter(config, shared.client), line, f"{config.url}{KINDS[config.kind].clone_path}"
    )
