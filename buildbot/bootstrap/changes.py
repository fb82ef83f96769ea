"""What differs between two configurations, and what of it can be taken over while the bot runs. Values only.

Three things cannot: the socket is bound before the bot is ready to answer, the database is open with everything in it,
and the lease is what other instances rely on. They stay as they were at start, whatever the file says later.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from buildbot.config import Config, ForgeConfig, RegistryConfig


@dataclass(frozen=True, slots=True)
class Ways:
    """The keys of registries and forges to which the way is another now: a new address or credential, or none."""

    registries: frozenset[str] = frozenset()
    forges: frozenset[str] = frozenset()

    def __or__(self, other: Ways) -> Ways:
        return Ways(self.registries | other.registries, self.forges | other.forges)

    def __bool__(self) -> bool:
        return bool(self.registries or self.forges)


def way_to_registry(config: RegistryConfig) -> Hashable:
    """What has to be the same for a registry to be the same, and what it said before to count."""
    return config.kind, config.url, config.token


def way_to_forge(config: ForgeConfig) -> Hashable:
    """The same for a forge."""
    return config.kind, config.url, config.api_url, config.token, config.app_id, config.private_key


def changed_ways(before: Config, after: Config) -> Ways:
    """What is reached otherwise than before, is new or is gone."""
    return Ways(
        _differing(
            {key: way_to_registry(one) for key, one in before.registries.items()},
            {key: way_to_registry(one) for key, one in after.registries.items()},
        ),
        _differing(
            {key: way_to_forge(one) for key, one in before.forges.items()},
            {key: way_to_forge(one) for key, one in after.forges.items()},
        ),
    )


def differences(before: Config, after: Config) -> tuple[str, ...]:
    """The names of what differs, as the file writes them; never a value, which may be a secret."""
    rules = [{rule.name: rule for rule in config.rules} for config in (before, after)]
    found = (
        *(name for name in ("server", "store") if getattr(before, name) != getattr(after, name)),
        *(f"forges.{key}" for key in sorted(_differing(before.forges, after.forges))),
        *(f"registries.{key}" for key in sorted(_differing(before.registries, after.registries))),
        *(f"rule {name}" for name in sorted(_differing(*rules))),
    )
    return found or (("the order of the rules",) if before.rules != after.rules else ())


def needing_restart(running: Config, wanted: Config) -> tuple[str, ...]:
    """The keys whose new values take effect with a restart alone."""
    old, new = running.server, wanted.server
    pairs = {
        "server.listen": ((old.listen_host, old.listen_port), (new.listen_host, new.listen_port)),
        "store.url": (running.store.url, wanted.store.url),
        "store.lease": (running.store.lease, wanted.store.lease),
    }
    return tuple(key for key, (is_now, would_be) in pairs.items() if is_now != would_be)


def without_restart(running: Config, wanted: Config) -> Config:
    """The configuration that is wanted, with what needs a restart as it is."""
    is_now = running.server
    server = replace(wanted.server, listen_host=is_now.listen_host, listen_port=is_now.listen_port)
    store = replace(wanted.store, url=running.store.url, lease=running.store.lease)
    return replace(wanted, server=server, store=store)


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> frozenset[str]:
    return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
