"""What `doctor` asks a forge: whose credential is it, does it see the repositories, may it write statuses there?

The questions are each forge's own (`probes.py`), what their answers come to is the same for all. A private repository
is well where its source goes through the bot, for which the credential has to see it; elsewhere no builder gets at it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import httpx

from buildbot.bootstrap import ForgeApi
from buildbot.cli.check_webhook import check_webhook
from buildbot.cli.checks import Check, Verdict, cannot_reach
from buildbot.cli.rights import MAY_POST, NEW_CREDENTIAL, NEW_GITHUB_APP
from buildbot.config import ForgeConfig, ForgeKind
from buildbot.domain.pattern import is_literal
from buildbot.domain.rule import ArchiveRoute, Rule
from buildbot.forges.bitbucket import probes as bitbucket
from buildbot.forges.bitbucket.api import BitbucketApi
from buildbot.forges.bitbucket_datacenter.api import BitbucketDataCenterApi
from buildbot.forges.gitea import probes as gitea
from buildbot.forges.gitea.api import GiteaApi
from buildbot.forges.github import probes as github
from buildbot.forges.github.api import GitHubApi
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.gitlab import probes as gitlab
from buildbot.forges.gitlab.api import GitLabApi
from buildbot.forges.probes import Finding, ProbeResult
from buildbot.ports import CallError

_SEE = "check the rule's `source`, and that the credential covers the repository"
_READ = "let the credential read the source, which goes through the bot (Contents: read; classic: repo)"
_NO_PERSON = (
    "Bitbucket packs archives for access tokens only: put one of the repository, project or workspace where `token` "
    "points"
)
_RELAY = (
    "Quay's builder fetches the source without credentials and will be refused; set server.public_url to an address at "
    "which it reaches this bot, so that the source goes through it"
)
_NOT_DIRECT = (
    'Quay\'s builder fetches the source without credentials and will be refused; leave archive = "direct" away'
)


async def check_forge(
    config: ForgeConfig, api: ForgeApi, rules: Iterable[Rule], client: httpx.AsyncClient, hook_url: str | None = None
) -> AsyncIterator[Check]:
    """Everything about one forge, in the order in which a person would mend it. `hook_url` is where deliveries go."""
    about = f"forge {config.key} ({config.url})"
    if why := await cannot_reach(client, config.api_url):
        yield Check(about, Verdict.WRONG, why, "check `url` and `api_url`, DNS, proxies and firewalls")
        return
    probes = _probes(config, api, client)
    credential = await probes.credential()
    yield _judged(about, credential, "the credential", NEW_GITHUB_APP if config.app_id else NEW_CREDENTIAL[config.kind])
    if credential.result is ProbeResult.BAD_CREDENTIAL:
        return
    own = [rule for rule in rules if rule.forge == config.key]
    for name in dict.fromkeys(rule.source for rule in own if is_literal(rule.source)):
        asking = _Asking(about, config, api, probes)
        about_it = [rule for rule in own if rule.source == name]
        for check in await asking.about_repository(name, about_it):
            yield check
        if hook_url and config.token:
            hook = await check_webhook(about, config, about_it, hook_url, client)
            if hook:
                yield hook
    for rule in own:
        if not is_literal(rule.source):
            yield Check(about, Verdict.UNKNOWN, f"rule {rule.name}: {rule.source} is a pattern, so none was looked at")


@dataclass(frozen=True, slots=True)
class _Probes:
    """The questions to one forge, asked of its own adapter."""

    credential: Callable[[], Awaitable[Finding]]
    repository: Callable[[str], Awaitable[Finding]]
    posting: Callable[[str], Awaitable[Finding]]


def _probes(config: ForgeConfig, api: ForgeApi, client: httpx.AsyncClient) -> _Probes:
    match api:
        case GitHubApi():
            credential = partial(_github_credential, config, api, client)
            return _Probes(credential, partial(github.has_repository, api), partial(github.may_post_status, api))
        case GitLabApi():
            credential = partial(gitlab.is_token_good, api)
            return _Probes(credential, partial(gitlab.has_repository, api), partial(gitlab.may_post_status, api))
        case GiteaApi():
            credential = partial(gitea.is_token_good, api)
            return _Probes(credential, partial(gitea.has_repository, api), partial(gitea.may_post_status, api))
        case BitbucketApi() | BitbucketDataCenterApi():
            credential = partial(bitbucket.is_token_good, api)
            return _Probes(credential, partial(bitbucket.has_repository, api), partial(bitbucket.may_post_status, api))
        case _ as never:
            assert_never(never)


async def _github_credential(config: ForgeConfig, api: GitHubApi, client: httpx.AsyncClient) -> Finding:
    if not (config.app_id and config.private_key):
        return await github.is_token_good(api)
    auth = AppAuth(client, api_url=config.api_url, app_id=config.app_id, private_key_pem=config.private_key)
    return await github.is_app_good(auth)


async def _is_private(api: ForgeApi, name: str) -> bool:
    try:
        return (await api.repository(name)).private
    except CallError:
        return False


@dataclass(frozen=True, slots=True)
class _Asking:
    """Questions about source repositories, and what their answers come to for the rules that name one."""

    about: str
    config: ForgeConfig
    api: ForgeApi
    probes: _Probes

    async def about_repository(self, name: str, rules: Sequence[Rule]) -> list[Check]:
        there, posting = await self.probes.repository(name), await self.probes.posting(name)
        statuses = _judged(self.about, posting, f"{name}: commit statuses", MAY_POST[self.config.kind])
        if there.result is ProbeResult.NO and posting.result is ProbeResult.YES:
            # Only GitHub's classic token with repo:status alone is such, and only about private repositories.
            told = f"{name} is private: the credential may not even see it"
            to_do = _READ if all(rule.can_relay for rule in rules) else f"{_RELAY}; and {_READ}"
            return [Check(self.about, Verdict.WRONG, told, to_do), statuses]
        seen = _judged(self.about, there, name, _SEE)
        if there.result is ProbeResult.NO:
            return [seen]
        if await _is_private(self.api, name):
            return [seen, self._private(name, rules), statuses]
        return [seen, statuses]

    def _private(self, name: str, rules: Sequence[Rule]) -> Check:
        if any(rule.archive is ArchiveRoute.DIRECT for rule in rules):
            return Check(self.about, Verdict.WRONG, f"{name} is private", _NOT_DIRECT)
        if not all(rule.can_relay for rule in rules):
            return Check(self.about, Verdict.WRONG, f"{name} is private", _RELAY)
        if self.config.kind is ForgeKind.BITBUCKET and ":" in (self.config.token or ""):
            return Check(self.about, Verdict.WRONG, f"{name} is private, and the token is a person's", _NO_PERSON)
        return Check(self.about, Verdict.FINE, f"{name} is private: its source goes through the bot")


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
