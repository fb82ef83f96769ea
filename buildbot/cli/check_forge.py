"""What `doctor` asks a forge: whose credential is it, does it see the repositories, may it write statuses there?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import assert_never

import httpx

from buildbot.cli.check_webhook import check_webhook
from buildbot.cli.checks import Check, Verdict, cannot_reach
from buildbot.config import ForgeConfig
from buildbot.domain.pattern import is_literal
from buildbot.domain.rule import Rule
from buildbot.forges.github.api import GitHubApi
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.probes import has_repository, is_app_good, is_token_good, may_post_status
from buildbot.forges.probes import Finding, ProbeResult
from buildbot.ports import CallError

_CREATE_ANOTHER = (
    "create a token that may write commit statuses (fine-grained: Commit statuses, read and write; classic: "
    "repo:status), and put it where `token` points"
)
_APP = "check app_id, private_key and the App's permissions (Commit statuses: read and write, Contents: read)"
_MAY_POST = (
    "give the credential Commit statuses: read and write (classic: repo:status) on the repository, and its user "
    "write permission"
)
_SEE = "check the rule's `source`, and that the credential covers the repository"
_PRIVATE = (
    "Quay's builder fetches the source without credentials and will be refused; make the repository public, or build "
    "it elsewhere"
)


async def check_forge(
    config: ForgeConfig, api: GitHubApi, rules: Iterable[Rule], client: httpx.AsyncClient, hook_url: str | None = None
) -> AsyncIterator[Check]:
    """Everything about one forge, in the order in which a person would mend it. `hook_url` is where deliveries go."""
    about = f"forge {config.key} ({config.url})"
    if why := await cannot_reach(client, config.api_url):
        yield Check(about, Verdict.WRONG, why, "check `url` and `api_url`, DNS, proxies and firewalls")
        return
    credential = await _credential(config, api, client)
    yield _judged(about, credential, "the credential", _APP if config.app_id else _CREATE_ANOTHER)
    if credential.result is ProbeResult.BAD_CREDENTIAL:
        return
    own = [rule for rule in rules if rule.forge == config.key]
    for name in dict.fromkeys(rule.source for rule in own if is_literal(rule.source)):
        for check in await _repository(about, api, name):
            yield check
        if hook_url and config.token and (hook := await check_webhook(about, config, name, hook_url, client)):
            yield hook
    for rule in own:
        if not is_literal(rule.source):
            yield Check(about, Verdict.UNKNOWN, f"rule {rule.name}: {rule.source} is a pattern, so none was looked at")


async def _credential(config: ForgeConfig, api: GitHubApi, client: httpx.AsyncClient) -> Finding:
    if not (config.app_id and config.private_key):
        return await is_token_good(api)
    auth = AppAuth(client, api_url=config.api_url, app_id=config.app_id, private_key_pem=config.private_key)
    return await is_app_good(auth)


async def _repository(about: str, api: GitHubApi, name: str) -> list[Check]:
    there, posting = await has_repository(api, name), await may_post_status(api, name)
    statuses = _judged(about, posting, f"{name}: commit statuses", _MAY_POST)
    if there.result is ProbeResult.NO and posting.result is ProbeResult.YES:
        # Only a classic token with repo:status alone is such, and only about private repositories.
        return [
            Check(about, Verdict.WRONG, f"{name} is private: the credential may not even see it", _PRIVATE),
            statuses,
        ]
    seen = _judged(about, there, name, _SEE)
    if there.result is ProbeResult.NO:
        return [seen]
    if await _is_private(api, name):
        return [seen, Check(about, Verdict.WRONG, f"{name} is private", _PRIVATE), statuses]
    return [seen, statuses]


async def _is_private(api: GitHubApi, name: str) -> bool:
    try:
        return (await api.repository(name)).private
    except CallError:
        return False


def _judged(about: str, finding: Finding, subject: str, to_do: str) -> Check:
    match finding.result:
        case ProbeResult.YES:
            return Check(about, Verdict.FINE, finding.detail)
        case ProbeResult.NO | ProbeResult.BAD_CREDENTIAL:
            return Check(about, Verdict.WRONG, f"{subject}: {finding.detail}", to_do)
        case ProbeResult.UNTOLD:
            return Check(about, Verdict.UNKNOWN, f"{subject}: could not tell ({finding.detail})")
        case _ as never:
            assert_never(never)
