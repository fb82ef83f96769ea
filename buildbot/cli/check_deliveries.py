"""Whether lost deliveries can be asked for again: only for who may see webhooks, which the bot needs for nothing else.

So a credential that may not is nothing wrong. The sweep finds most of what was lost, later and without a pusher's name;
what to give the credential is said for who wants more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from buildbot.bootstrap import ForgeApi
from buildbot.cli.checks import Check, Verdict
from buildbot.config import ForgeConfig, ForgeKind
from buildbot.domain.rule import Rule
from buildbot.domain.watching import watches
from buildbot.ports import CallError, CredentialRefused, NotOffered, Refused, Vanished

_MORE = {
    ForgeKind.GITHUB: "let it see webhooks (fine-grained: Webhooks, read and write; classic: admin:repo_hook)",
    ForgeKind.GITLAB: "give its user the role Maintainer",
}


async def check_deliveries(
    config: ForgeConfig, api: ForgeApi, rules: Iterable[Rule], hook_url: str
) -> AsyncIterator[Check]:
    """What is known of the webhooks that lead to `hook_url`, of the repositories that rules name exactly."""
    about, offered = f"forge {config.key} ({config.url})", api.delivery_log
    if isinstance(offered, NotOffered):
        return
    for owner in offered.owners([watch.full_name for watch in watches(rules) if watch.forge == config.key]):
        named = owner or "the App"
        try:
            hooks = await offered.hooks(owner, hook_url)
        except (Refused, Vanished) as no:
            if not owner or "/" in owner:
                told = f"{named}: lost deliveries cannot be asked for again, the sweep has to find them ({no})"
                yield Check(about, Verdict.UNKNOWN, told, f"to have them, {_MORE[config.kind]}")
        except CredentialRefused:
            return  # said already
        except CallError as error:
            yield Check(about, Verdict.UNKNOWN, f"{named}: could not tell whether webhooks may be seen ({error})")
        else:
            if hooks:
                yield Check(about, Verdict.FINE, f"{named}: lost deliveries can be asked for again")
