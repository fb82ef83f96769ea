"""What the configuration says once it has been read: values that are complete, checked and ready for use.

Nobody who holds a `Config` has to ask whether a key was there, a pattern can be read or a rule's forge exists. Secrets
are plain text and bytes, left out of every repr, instead of a wrapper type: they leave this module in the one file
that builds the adapters, which would unwrap them on the spot, and adapters must not know the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from buildbot.config.mistakes import Mistake
from buildbot.domain.lifecycle import Limits
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.domain.rule import Rule


class ForgeKind(StrEnum):
    """The forges this version speaks to. Forgejo is spoken to as Gitea is; only its archives are of more use."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    FORGEJO = "forgejo"
    BITBUCKET = "bitbucket"
    BITBUCKET_DATACENTER = "bitbucket-datacenter"


class RegistryKind(StrEnum):
    """The registries this version speaks to."""

    QUAY = "quay"


@dataclass(frozen=True, slots=True)
class Server:
    """Where to listen (port 0: any free one), and how browsers and forges reach that, without a slash at the end.

    `redeliver_every` and `sweep_every`: how often pushes that never arrived are looked for; None: never.
    """

    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    public_url: str | None = None
    redeliver_every: timedelta | None = timedelta(minutes=5)
    sweep_every: timedelta | None = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """`url` may hold a password. A relative SQLite path has been resolved against the configuration's folder."""

    url: str = field(repr=False)
    lease: timedelta
    retention: timedelta


@dataclass(frozen=True, slots=True)
class ForgeConfig:
    """One `[forges.KEY]`: with `token`, or at GitHub with `app_id` and `private_key` (PEM text). URLs end without a
    slash.

    Read without secrets, `webhook_secrets` is empty and the others are None.
    """

    key: str
    kind: ForgeKind
    url: str
    api_url: str
    webhook_secrets: tuple[bytes, ...] = field(repr=False)
    token: str | None = field(repr=False)
    app_id: str | None
    private_key: str | None = field(repr=False)
    writes_per_minute: int


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """One `[registries.KEY]`. `url` ends without a slash; read without secrets, `token` is empty."""

    key: str
    kind: RegistryKind
    url: str
    token: str = field(repr=False)
    limits: Limits
    polls_per_second: float
    request_timeout: timedelta
    settle_time: timedelta
    caps: Caps = ANY_NUMBER


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file, with what is allowed but unwise in `warnings`."""

    file: str
    server: Server
    store: StoreConfig
    forges: Mapping[str, ForgeConfig]
    registries: Mapping[str, RegistryConfig]
    rules: tuple[Rule, ...]
    warnings: tuple[Mistake, ...] = ()
