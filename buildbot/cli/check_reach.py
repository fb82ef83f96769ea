"""Whether forges and browsers reach the bot: asked of `public_url` from here, which is the most that can be done.

Two questions without effect: the liveness page, and an unsigned delivery to each webhook, which the bot refuses with
401 and forgets. So a 401 proves the whole way, the proxy's rules for POST included. What it cannot prove is that the
forge stands outside the same firewall.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx

from buildbot.cli.checks import PATIENCE_SECONDS, Check, Verdict
from buildbot.config import Config

ABOUT = "this bot"
_START = "start `buildbot serve`, and see that the proxy leads this address to it"


def webhook_urls(config: Config) -> dict[str, str]:
    """Where each forge's deliveries go, for its webhook settings; only a path where no address is configured."""
    return {key: f"{config.server.public_url or ''}/webhooks/{key}" for key in config.forges}


async def check_reach(config: Config, client: httpx.AsyncClient) -> AsyncIterator[Check]:
    """Whether the bot answers at its public address."""
    public_url = config.server.public_url
    if public_url is None:
        yield Check(
            ABOUT, Verdict.UNKNOWN, "server.public_url is not set: it was not asked whether forges can reach the bot"
        )
        return
    alive = await _alive(client, f"{public_url}/livez")
    yield alive
    if alive.verdict is not Verdict.FINE:
        return
    for key, url in webhook_urls(config).items():
        yield await _takes_deliveries(client, key, url)


async def _alive(client: httpx.AsyncClient, url: str) -> Check:
    try:
        answer = await client.get(url, timeout=PATIENCE_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(ABOUT, Verdict.WRONG, f"{url} does not answer: {str(error) or type(error).__name__}", _START)
    if answer.status_code != HTTPStatus.OK or _word(answer, "status") != "alive":
        return Check(ABOUT, Verdict.WRONG, f"{url} answers {answer.status_code}, but not as this bot does", _START)
    return Check(ABOUT, Verdict.FINE, f"{url} answers")


async def _takes_deliveries(client: httpx.AsyncClient, key: str, url: str) -> Check:
    try:
        answer = await client.post(url, json={}, timeout=PATIENCE_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(ABOUT, Verdict.WRONG, f"{url} does not answer: {str(error) or type(error).__name__}", _START)
    if answer.status_code == HTTPStatus.UNAUTHORIZED and _word(answer, "error"):
        return Check(ABOUT, Verdict.FINE, f"{url} takes deliveries of {key} (and refused an unsigned one)")
    said = f"{url} answers {answer.status_code} to a delivery, not 401 as this bot does to an unsigned one"
    return Check(ABOUT, Verdict.WRONG, said, _START)


def _word(answer: httpx.Response, key: str) -> object:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get(key) if isinstance(document, dict) else None
