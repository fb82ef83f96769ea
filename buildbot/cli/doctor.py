"""`buildbot doctor`: asks the real services whether the bot could do its work, without doing any of it.

Answers are printed as they come, each wrong one with what to do about it. 0: nothing is wrong (`?` is what could not be
told, and is not counted as wrong), 1: something is, 2: the configuration cannot be used.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict

import httpx
import typer

from buildbot.cli.checks import Check, Verdict
from buildbot.cli.options import DEFAULT_FILE, AsJson, ConfigFile, load_or_exit
from buildbot.config import Config
from buildbot.web.hostile_text import shown

SIGNS = {Verdict.FINE: "✓", Verdict.WRONG: "✗", Verdict.UNKNOWN: "?"}


def doctor(config: ConfigFile = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Ask the real services whether all is well.

    Changes nothing there. Exits 1 when something is wrong.
    """
    from buildbot.bootstrap import open_client

    loaded = load_or_exit(config)

    async def examining() -> list[Check]:
        async with open_client() as client:
            return await _collected(loaded, client, quiet=as_json)

    checks = asyncio.run(examining())
    if as_json:
        typer.echo(json.dumps(in_json(loaded, checks), indent=2))
    else:
        typer.echo("\n" + "\n".join(summary(loaded, checks)))
    raise typer.Exit(1 if any(check.verdict is Verdict.WRONG for check in checks) else 0)


async def examine(config: Config, client: httpx.AsyncClient) -> AsyncIterator[Check]:
    """Everything there is to check, over this client, one call at a time."""
    from buildbot.bootstrap import adapters
    from buildbot.cli.check_deliveries import check_deliveries
    from buildbot.cli.check_forge import check_forge
    from buildbot.cli.check_reach import check_reach, webhook_urls
    from buildbot.cli.check_registry import check_registry

    built = adapters(config, client)
    hooks = webhook_urls(config) if config.server.public_url else {}
    for key, forge in config.forges.items():
        async for check in check_forge(forge, built.forges[key], config.rules, client, hooks.get(key)):
            yield check
        if key in hooks and config.server.redeliver_every is not None:
            async for check in check_deliveries(forge, built.forges[key], config.rules, hooks[key]):
                yield check
    for key, registry in config.registries.items():
        async for check in check_registry(registry, built.registries[key], config.rules, client):
            yield check
    async for check in check_reach(config, client):
        yield check


def in_json(config: Config, checks: list[Check]) -> dict[str, object]:
    """The same for programs; keys are only ever added."""
    from buildbot.cli.check_reach import webhook_urls

    return {
        "ok": all(check.verdict is not Verdict.WRONG for check in checks),
        "checks": [asdict(check) for check in checks],
        "webhooks": webhook_urls(config),
    }


def summary(config: Config, checks: list[Check]) -> list[str]:
    """What stands at the end: how it came out, and where the forges' webhooks are to be pointed."""
    from buildbot.cli.check_reach import webhook_urls
    from buildbot.cli.rights import EVENTS

    count = {verdict: sum(check.verdict is verdict for check in checks) for verdict in Verdict}
    hooks = [f"  {key}: {url} ({EVENTS[config.forges[key].kind]})" for key, url in webhook_urls(config).items()]
    return [
        f"{count[Verdict.FINE]} fine, {count[Verdict.WRONG]} wrong, {count[Verdict.UNKNOWN]} not to be told",
        "",
        "Webhooks (content type application/json, a secret of webhook_secrets), and the events they are for:",
        *hooks,
    ]


async def _collected(config: Config, client: httpx.AsyncClient, *, quiet: bool) -> list[Check]:
    checks: list[Check] = []
    async for check in examine(config, client):
        if not quiet:
            _print(check, is_first=not checks or checks[-1].about != check.about)
        checks.append(check)
    return checks


def _print(check: Check, *, is_first: bool) -> None:
    if is_first:
        typer.echo(check.about)
    typer.echo(shown(f"  {SIGNS[check.verdict]} {check.what}"))
    if check.to_do:
        typer.echo(f"      {check.to_do}")
