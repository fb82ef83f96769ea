"""`[server]`, `[store]` and `[registries.…]`: what they mean, once their shape is right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buildbot.config import durations, shape, values
from buildbot.config.mistakes import Place, Report
from buildbot.config.model import RegistryConfig, RegistryKind, Server, StoreConfig
from buildbot.config.secrets import Secrets
from buildbot.config.shaping import Shaped, each_shaped, shaped
from buildbot.domain.lifecycle import Limits
from buildbot.domain.places import Caps


def server(report: Report, document: Mapping[str, Any]) -> Server | None:
    """`[server]`, which may be left out."""
    read = shaped(report, shape.ServerTable, document.get("server", {}), ("server",))
    if read is None:
        return None
    host, _, port = read.table.listen.rpartition(":")
    redeliver_every, sweep_every = (
        None if every == values.OFF else durations.parse(every)
        for every in (read.table.redeliver_every, read.table.sweep_every)
    )
    return Server(host.strip("[]"), int(port), read.table.public_url or None, redeliver_every, sweep_every)


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


def registries(report: Report, document: Mapping[str, Any], secrets: Secrets) -> dict[str, RegistryConfig]:
    """Every `[registries.…]` that is without mistakes."""
    read = each_shaped(report, document, "registries", shape.RegistryTable, '[registries.quay] with kind = "quay"')
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
        caps=Caps(table.max_builds, table.max_builds_per_namespace),
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
