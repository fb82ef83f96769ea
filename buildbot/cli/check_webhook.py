"""Whether a repository has a webhook that leads to the bot, is sent what the rules need, and how it was answered last.

Only a token that may read webhooks can tell (GitHub's classic: admin:repo_hook; fine-grained: Webhooks, read; GitLab's
of a Maintainer; Gitea's of an administrator of the repository), and the bot needs no such right. So a token that may
not is no news, and nothing is said. Nor is a repository without one wrong: a webhook of the organisation, of a group or
of an App may serve it. The answer to the last delivery is the shortest way to a wrong secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

import httpx

from buildbot.cli.checks import PATIENCE_SECONDS, Check, Verdict
from buildbot.cli.webhook_lists import LISTS, Webhook, WebhookList
from buildbot.config import ForgeConfig
from buildbot.domain.rule import Rule
from buildbot.forges.exchange import Exchange
from buildbot.ports import CallError

_SECRET = "give the webhook's settings a secret of `webhook_secrets`"  # noqa: S105  # advice, not a secret
_SWITCH_ON = "switch it on in the repository's settings, Webhooks"
_PUSH = "let it send push events"
_TAG_PUSH = "let it send tag push events"


async def check_webhook(
    about: str, config: ForgeConfig, rules: Sequence[Rule], hook_url: str, client: httpx.AsyncClient
) -> Check | None:
    """What is known of the webhook that leads to `hook_url` of the one repository that all `rules` are for.

    None where the token may not see any, or the kind of forge is not asked.
    """
    listed, name = LISTS.get(config.kind), rules[0].source
    hooks = None if listed is None else await _hooks(config, listed, name, client)
    if hooks is None or listed is None:
        return None
    ours = [hook for hook in hooks if hook.url.rstrip("/") == hook_url]
    if not ours:
        told = f"{name} has no webhook to {hook_url}: pushes arrive only if {listed.elsewhere} has one"
        return Check(about, Verdict.UNKNOWN, told)
    wrong = _wrong(ours[0], rules, listed)
    what = f"{name}: its webhook leads here"
    return (
        Check(about, Verdict.WRONG, f"{what}, but {wrong[0]}", wrong[1]) if wrong else Check(about, Verdict.FINE, what)
    )


async def _hooks(
    config: ForgeConfig, listed: WebhookList, name: str, client: httpx.AsyncClient
) -> list[Webhook] | None:
    timeout = timedelta(seconds=PATIENCE_SECONDS)
    exchange = Exchange(client, listed.dialect, api_url=config.api_url, request_timeout=timeout)
    try:
        answer = await exchange.send("GET", listed.path(name), config.token or "")
    except CallError:
        return None
    if answer.status != HTTPStatus.OK or not isinstance(answer.document, list):
        return None
    return [listed.read(hook) for hook in answer.document if isinstance(hook, dict)]


def _wrong(hook: Webhook, rules: Sequence[Rule], listed: WebhookList) -> tuple[str, str] | None:
    """What is wrong with a webhook, and what to do about it."""
    look = f"look at {listed.log} in the webhook's settings"
    if not hook.is_on:
        return "it is switched off", _SWITCH_ON
    if hook.unheard_branches and any(rule.branches for rule in rules):
        return "it is not sent pushes", _PUSH
    if hook.unheard_tags and any(rule.tags for rule in rules):
        return "it is not sent pushes of tags", _TAG_PUSH if not hook.unheard_branches else _PUSH
    if hook.gave_up:
        return f"{listed.dialect.forge} has switched it off after failures", look
    if hook.code is None or HTTPStatus.OK <= hook.code < HTTPStatus.MULTIPLE_CHOICES:
        return None
    answered = f"was answered {hook.code}" if hook.code else "got no answer"
    return f"its last delivery {answered}", _SECRET if hook.code == HTTPStatus.UNAUTHORIZED else look
