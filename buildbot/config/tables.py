"""`[server]`, `[store]`, `[forges.…]` and `[registries.…]`: what they mean, once their shape is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from buildbot.config import durations, shape, values
from buildbot.config.mistakes import Place, Report, shown
from buildbot.config.model import ForgeConfig, ForgeKind, RegistryConfig, RegistryKind, Server, StoreConfig
from buildbot.config.secrets import Secrets
from buildbot.config.shaping import Shaped, shaped
from buildbot.domain.lifecycle import Limits

T = TypeVar("T", bound=shape.Table)

GITHUB_WRITES_PER_MINUTE = 80
"""What GitHub's documentation allows of content-creating requests a minute."""


def server(report: Report, document: Mapping[str, Any]) -> Server | None:
    """`[server]`, which may be left out."""
    read = shaped(report, shape.ServerTable, document.get("server", {}), ("server",))
    if read is None:
        return None
    host, _, port = read.table.listen.rpartition(":")
    return Server(host.strip("[]"), int(port), read.table.public_url or None)


def store(report: Report, document: Mapping[str, Any], secrets: Secrets) -> StoreConfig | None:
    """`[store]`, which may be left out. Its URL is read even when secrets are not wanted, if it can be."""
    read = shaped(report, shape.StoreTable, document.get("store", {}), ("store",))
    if read is None:
        return None
    url = _store_url(report, read.table.url, secrets)
    lease, retention = durations.parse(read.table.lease), durations.parse(read.table.retention)
    return None if url is None else StoreConfig(url, lease, retention)


def _store_url(report: Report, written: str, secrets: Secrets) -> str | None:
    place = ("store", "url")
    if written.startswith(("env:", "file:")):
        fetched = secrets.read_if_there(place, written)
        try:
            written = values.store_url(fetched) if fetched else ""
        except ValueError as error:
            report.mistake(place, f"what {written} holds {error}")
            return None
        if fetched is None:
            return None
    return _from_base(written, secrets.base)


def _from_base(url: str, base: Path) -> str:
    scheme, _, rest = url.partition(":///")
    if scheme != "sqlite" or rest.startswith(("/", "file:")):
        return url
    return f"sqlite:///{base.absolute() / rest}"


def forges(report: Report, document: Mapping[str, Any], secrets: Secrets) -> dict[str, ForgeConfig]:
    """Every `[forges.…]` that is without mistakes."""
    read = _each(report, document, "forges", shape.ForgeTable, '[forges.github] with kind = "github"')
    return {key: forge for key, table in read if (forge := _forge(report, key, table, secrets))}


def _forge(report: Report, key: str, read: Shaped[shape.ForgeTable], secrets: Secrets) -> ForgeConfig | None:
    place, table = ("forges", key), read.table
    _check_credentials(report, place, read)
    hooks = _webhook_secrets(report, place, read, secrets)
    token = secrets.token((*place, "token"), table.token) if table.token else None
    private_key = secrets.private_key((*place, "private_key"), table.private_key) if table.private_key else None
    if read.wrong:
        return None
    kind = ForgeKind(table.kind)
    url = table.url or shape.FORGE_URLS[kind]
    _check_forge_urls(report, place, url, table)
    return ForgeConfig(
        key=key,
        kind=kind,
        url=url,
        api_url=table.api_url or _api_url(url),
        webhook_secrets=hooks,
        token=token,
        app_id=table.app_id or None,
        private_key=private_key,
        writes_per_minute=table.writes_per_minute,
    )


def _webhook_secrets(
    report: Report, place: Place, read: Shaped[shape.ForgeTable], secrets: Secrets
) -> tuple[bytes, ...]:
    place = (*place, "webhook_secrets")
    if "webhook_secrets" in read.given and not read.table.webhook_secrets:
        report.mistake(place, 'is empty: every push would be refused; write webhook_secrets = ["env:NAME"]')
    fetched = [secrets.read((*place, number), text) for number, text in read.entries("webhook_secrets")]
    return tuple(secret.encode() for secret in fetched if secret is not None)


def _check_credentials(report: Report, place: Place, read: Shaped[shape.ForgeTable]) -> None:
    used = read.given | read.wrong
    if "token" in used and used & {"app_id", "private_key"}:
        other = min(used & {"app_id", "private_key"})
        report.mistake((*place, other), "stands beside token; keep token, or app_id and private_key, not both")
    elif "token" not in used and not used & {"app_id", "private_key"}:
        report.mistake(place, 'has no credential; write token = "env:NAME", or app_id and private_key for a GitHub App')
    elif "token" not in used and not {"app_id", "private_key"} <= used:
        there, missing = ("app_id", "private_key") if "app_id" in used else ("private_key", "app_id")
        report.mistake((*place, there), f"stands alone; a GitHub App needs {missing} too")


def _check_forge_urls(report: Report, place: Place, url: str, table: shape.ForgeTable) -> None:
    parts = urlsplit(url)
    if parts.hostname == "api.github.com":
        report.mistake((*place, "url"), "is the API; url is https://github.com, and api_url follows from it")
    elif parts.hostname in {"github.com", "www.github.com"}:
        if url not in {"https://github.com", "http://github.com"}:
            report.mistake((*place, "url"), f"{shown(url)} is a page; the forge's own address is https://github.com")
        if table.writes_per_minute > GITHUB_WRITES_PER_MINUTE:
            report.warn(
                (*place, "writes_per_minute"),
                f"GitHub allows {GITHUB_WRITES_PER_MINUTE} writes a minute and may block who writes more",
            )


def _api_url(url: str) -> str:
    is_github_com = urlsplit(url).hostname == "github.com"
    return "https://api.github.com" if is_github_com else f"{url}/api/v3"


def registries(report: Report, document: Mapping[str, Any], secrets: Secrets) -> dict[str, RegistryConfig]:
    """Every `[registries.…]` that is without mistakes."""
    read = _each(report, document, "registries", shape.RegistryTable, '[registries.quay] with kind = "quay"')
    return {key: registry for key, table in read if (registry := _registry(report, key, table, secrets))}


def _registry(report: Report, key: str, read: Shaped[shape.RegistryTable], secrets: Secrets) -> RegistryConfig | None:
    place, table = ("registries", key), read.table
    token = secrets.token((*place, "token"), table.token) if table.token else None
    _check_times(report, place, read)
    if read.wrong:
        return None
    kind = RegistryKind(table.kind)
    return RegistryConfig(
        key=key,
        kind=kind,
        url=table.url or shape.REGISTRY_URLS[kind],
        token=token or "",
        limits=_limits(table),
        polls_per_second=float(table.polls_per_second),
        request_timeout=durations.parse(table.request_timeout),
        settle_time=durations.parse(table.settle_time),
    )


def _limits(table: shape.RegistryTable) -> Limits:
    return Limits(
        poll_interval=durations.parse(table.poll_interval),
        expired_grace=durations.parse(table.expired_grace),
        waiting_timeout=durations.parse(table.waiting_timeout),
        build_timeout=durations.parse(table.build_timeout),
        give_up_after=durations.parse(table.give_up_after),
    )


def _check_times(report: Report, place: Place, read: Shaped[shape.RegistryTable]) -> None:
    table = read.table

    def is_shorter(one: str, other: str) -> bool:
        both = (getattr(table, one), getattr(table, other))
        return not {one, other} & read.wrong and durations.parse(both[0]) < durations.parse(both[1])

    for limit in ("expired_grace", "waiting_timeout", "build_timeout", "give_up_after"):
        if is_shorter(limit, "poll_interval"):
            report.mistake((*place, limit), f"is shorter than poll_interval ({table.poll_interval}), so it is no limit")
    if is_shorter("give_up_after", "settle_time"):
        report.mistake(
            (*place, "give_up_after"),
            f"is shorter than settle_time ({table.settle_time}): a lost answer would end every build",
        )
    if is_shorter("settle_time", "request_timeout"):
        report.warn(
            (*place, "settle_time"),
            f"is shorter than request_timeout ({table.request_timeout}): a request that the registry answers as "
            "slowly as that could be made twice",
        )


def _each(
    report: Report, document: Mapping[str, Any], name: str, model: type[T], example: str
) -> Iterator[tuple[str, Shaped[T]]]:
    tables = document.get(name, {})
    if not isinstance(tables, dict):
        report.mistake((name,), f"must be tables, each with a key of its own: {example}")
        return
    if not tables:
        report.mistake((name,), f"there is none; write at least {example}")
    for key, raw in tables.items():
        if not values.KEY.fullmatch(key):
            report.mistake((name, key), "is no key to name it by; use up to 63 letters, digits, dashes and underscores")
        elif (read := shaped(report, model, raw, (name, key))) is not None:
            yield key, read
