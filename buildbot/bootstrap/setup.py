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
from buildbot.engine.sites import ForgeSite, Hook, RegistrySite, StatusSite, WatchedForge


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
    forges = {key: _forge(one, shared, before) for key, one in config.forges.items()}
    return Setup(
        rules=config.rules,
        hooks={key: Hook(webhook_reader(one), one.webhook_secrets) for key, one in config.forges.items()},
        registries={key: _registry_site(one, shared, before) for key, one in config.registries.items()},
        forges={key: status.site for key, (status, _) in forges.items()},
        statuses={key: status for key, (status, _) in forges.items()},
        watched={key: watched for key, (_, watched) in forges.items()},
        public_url=config.server.public_url,
        redeliver_every=config.server.redeliver_every,
        sweep_every=config.server.sweep_every,
        retention=config.store.retention,
        since=shared.clock.now(),
    )


def _registry_site(config: RegistryConfig, shared: Shared, before: InForce | None) -> RegistrySite:
    was = before.config.registries.get(config.key) if before else None
    registry = registry_adapter(config, shared.client)
    if before is None or was is None or way_to_registry(was) != way_to_registry(config):
        line = RegistryLine(config.key, config.polls_per_second, shared.clock, shared.share)
        return RegistrySite(config.key, registry, line, config.limits, config.settle_time, config.caps)
    site = before.setup.registries[config.key]
    if was == config:
        return site
    site.line.set_polls_per_second(config.polls_per_second)
    limits, settle_time, caps = config.limits, config.settle_time, config.caps
    return replace(site, registry=registry, limits=limits, settle_time=settle_time, caps=caps)


def _forge(config: ForgeConfig, shared: Shared, before: InForce | None) -> tuple[StatusSite, WatchedForge]:
    was = before.config.forges.get(config.key) if before else None
    if before is None or was is None or way_to_forge(was) != way_to_forge(config):
        return _new_forge(config, shared)
    status, watched = before.setup.statuses[config.key], before.setup.watched[config.key]
    if was.writes_per_minute == config.writes_per_minute:
        return status, watched
    return status.at_rate(config.writes_per_minute), replace(watched, looks_per_minute=_looks_per_minute(config))


def _new_forge(config: ForgeConfig, shared: Shared) -> tuple[StatusSite, WatchedForge]:
    forge, line = forge_adapter(config, shared.client), Line(config.key, shared.clock, minds_credential=False)
    site = ForgeSite(config.key, forge, line, f"{config.url}{KINDS[config.kind].clone_path}")
    watched = WatchedForge(config.key, forge, forge.delivery_log, line, _looks_per_minute(config))
    return StatusSite(site, config.writes_per_minute, shared.share), watched


def _looks_per_minute(config: ForgeConfig) -> int:
    return max(1, config.writes_per_minute // 2)  # of what is given to statuses: they come first
