"""What `doctor` asks a registry: is the token accepted, are the repositories there, may builds be asked and cancelled?

Quay shows nobody what a token may do, so rights are tried on each repository, with calls that are refused for another
reason if the right is there. That a build can be requested and not cancelled is the usual mistake: cancelling wants
`repo:admin` where requesting wants `repo:write`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import assert_never

import httpx

from buildbot.cli.checks import Check, Verdict, cannot_reach
from buildbot.config import RegistryConfig
from buildbot.domain.image import Unfilled, facts_of, fill, placeholders, repository_name
from buildbot.domain.pattern import is_literal
from buildbot.domain.push import Source
from buildbot.domain.rule import Rule
from buildbot.registry.quay import Finding, ProbeResult, QuayRegistry

NOBODYS_REPOSITORY = "quay-buildbot/doctor"
"""Asked about where no rule names a repository: whether the token is accepted does not depend on it."""

_ANY_REF = "refs/heads/main"
_CREATE_ANOTHER = (
    "create an OAuth access token in an application of your Quay organisation, and put it where `token` points"
)
_ADD = "create the repository at Quay, or correct the rule's `repository`; a token without repo:read may not see it"
_MAY_REQUEST = "give the token the scope repo:write and its user write permission on the repository"
_MAY_CANCEL = (
    "builds can be requested but not cancelled: superseded and timed-out ones run on; "
    "give the token repo:admin and its user admin permission on the repository"
)


async def check_registry(
    config: RegistryConfig, registry: QuayRegistry, rules: Iterable[Rule], client: httpx.AsyncClient
) -> AsyncIterator[Check]:
    """Everything about one registry, in the order in which a person would mend it."""
    about = f"registry {config.key} ({config.url})"
    if why := await cannot_reach(client, config.url):
        yield Check(about, Verdict.WRONG, why, "check `url`, DNS, proxies and firewalls")
        return
    own = [rule for rule in rules if rule.registry == config.key]
    names, unknown = known_repositories(own)
    rights = await registry.may_request(names[0] if names else NOBODYS_REPOSITORY)
    yield _token(about, rights)
    if rights.result is ProbeResult.BAD_TOKEN:
        return
    for name in names:
        for check in await _repository(about, registry, name):
            yield check
    for told in (*unknown, *_robots(own)):
        yield Check(about, Verdict.UNKNOWN, told)


def known_repositories(rules: Sequence[Rule]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the repositories that are known before any push, what could not be known of the others)."""
    names, unknown = dict[str, None](), []
    for rule in rules:
        match _repository_of(rule):
            case str() as name:
                names[name] = None
            case Unfilled(why):
                unknown.append(f"rule {rule.name}: {rule.repository} was not looked at: {why}")
    return tuple(names), tuple(unknown)


def _repository_of(rule: Rule) -> str | Unfilled:
    # What a rule's name and a literal source fill in does not depend on the push.
    known = {"rule", "owner", "repo"} if is_literal(rule.source) else {"rule"}
    if open_ones := set(placeholders(rule.repository)) - known:
        return Unfilled(f"{{{min(open_ones)}}} depends on the push")
    facts = facts_of(Source(rule.forge, "", rule.source), _ANY_REF, None, rule.name)
    filled = fill(rule.repository, facts)
    return filled if isinstance(filled, Unfilled) else repository_name(filled)


def _robots(rules: Iterable[Rule]) -> Iterable[str]:
    robots = dict.fromkeys(rule.pull_robot for rule in rules if rule.pull_robot)
    return (f"pull_robot {robot}: only a build proves it; the token needs org:admin besides" for robot in robots)


def _token(about: str, rights: Finding) -> Check:
    match rights.result:
        case ProbeResult.YES | ProbeResult.NO:
            return Check(about, Verdict.FINE, "the token is accepted")
        case ProbeResult.BAD_TOKEN:
            return Check(about, Verdict.WRONG, rights.detail, _CREATE_ANOTHER)
        case ProbeResult.UNTOLD:
            return Check(about, Verdict.UNKNOWN, f"whether the token is accepted: {rights.detail}")
        case _ as never:
            assert_never(never)


async def _repository(about: str, registry: QuayRegistry, name: str) -> tuple[Check, ...]:
    there = await registry.has_repository(name)
    exists = _judged(about, there, f"{name} is there", f"whether {name} is there", _ADD)
    if there.result is ProbeResult.NO:
        return (exists,)
    request = await registry.may_request(name)
    cancel = await registry.may_cancel(name)
    return (
        exists,
        _judged(about, request, f"{name}: builds may be requested", f"{name}: requesting builds", _MAY_REQUEST),
        _judged(about, cancel, f"{name}: builds may be cancelled", f"{name}: cancelling builds", _MAY_CANCEL),
    )


def _judged(about: str, finding: Finding, fine: str, subject: str, to_do: str) -> Check:
    match finding.result:
        case ProbeResult.YES:
            return Check(about, Verdict.FINE, fine)
        case ProbeResult.NO:
            return Check(about, Verdict.WRONG, f"{subject}: {finding.detail}", to_do)
        case ProbeResult.BAD_TOKEN:
            return Check(about, Verdict.WRONG, f"{subject}: {finding.detail}", _CREATE_ANOTHER)
        case ProbeResult.UNTOLD:
            return Check(about, Verdict.UNKNOWN, f"{subject}: could not tell ({finding.detail})")
        case _ as never:
            assert_never(never)
