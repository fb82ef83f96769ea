"""Whether a repository at GitHub has a webhook that leads to the bot, and how its last delivery was answered.

Only a token that may read webhooks can tell (classic: admin:repo_hook; fine-grained: Webhooks, read), and the bot needs
no such right. So a token that may not is no news, and nothing is said. Nor is a repository without one wrong: a webhook
of the organisation or of an App may serve it. The answer to the last delivery is the
shortest way to a wrong secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

import httpx

from buildbot.cli.checks import PATIENCE_SECONDS, Check, Verdict
from buildbot.config import ForgeConfig
from buildbot.forges.exchange import Exchange
from buildbot.forges.github.dialect import GITHUB
from buildbot.forges.github.names import repository_path
from buildbot.ports import CallError

_SECRET = "give the webhook's settings a secret of `webhook_secrets`"  # noqa: S105  # advice, not a secret
_AT_GITHUB = "look at Recent Deliveries in the webhook's settings"
_SWITCH_ON = "switch it on in the repository's settings, Webhooks"
_PUSH = "let it send push events"


async def check_webhook(
    about: str, config: ForgeConfig, name: str, hook_url: str, client: httpx.AsyncClient
) -> Check | None:
    """What is known of the webhook of a repository that leads to `hook_url`; None where the token may not see any."""
    hooks = await _hooks(config, name, client)
    if hooks is None:
        return None
    ours = [hook for hook in hooks if _address(hook).rstrip("/") == hook_url]
    if not ours:
        told = f"{name} has no webhook to {hook_url}: pushes arrive only if the organisation or an App has one"
        return Check(about, Verdict.UNKNOWN, told)
    return _judged(about, name, ours[0])


async def _hooks(config: ForgeConfig, name: str, client: httpx.AsyncClient) -> list[Mapping[str, object]] | None:
    exchange = Exchange(client, GITHUB, api_url=config.api_url, request_timeout=timedelta(seconds=PATIENCE_SECONDS))
    try:
        answer = await exchange.send("GET", f"{repository_path(name)}/hooks?per_page=100", config.token or "")
    except CallError:
        return None
    if answer.status != HTTPStatus.OK or not isinstance(answer.document, list):
        return None
    return [hook for hook in answer.document if isinstance(hook, dict)]


def _judged(about: str, name: str, hook: Mapping[str, object]) -> Check:
    what, events, code = f"{name}: its webhook leads here", hook.get("events"), _last_code(hook)
    if hook.get("active") is False:
        return Check(about, Verdict.WRONG, f"{what}, but it is switched off", _SWITCH_ON)
    if isinstance(events, list) and not {"push", "*"} & set(map(str, events)):
        return Check(about, Verdict.WRONG, f"{what}, but it is not sent pushes", _PUSH)
    if code is None or HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES:
        return Check(about, Verdict.FINE, what)
    to_do = _SECRET if code == HTTPStatus.UNAUTHORIZED else _AT_GITHUB
    answered = f"was answered {code}" if code else "got no answer"
    return Check(about, Verdict.WRONG, f"{what}, but its last delivery {answered}", to_do)


def _address(hook: Mapping[str, object]) -> str:
    config = hook.get("config")
    return str(config.get("url", "")) if isinstance(config, dict) else ""


def _last_code(hook: Mapping[str, object]) -> int | None:
    last = hook.get("last_response")
    code = last.get("code") if isinstance(last, dict) else None
    return code if isinstance(code, int) else None
