"""Questions to GitHub that change nothing, for `doctor`: whose credential is it, and is it enough?

Whether statuses may be posted is not asked of scopes and permissions, which GitHub shows only for some kinds of token:
it is tried, with a status of a commit that cannot exist (zeros). GitHub checks the right to write first (403, 404), so
"No commit found" is a yes, and nothing was posted. It costs one write of the budget.
"""

from __future__ import annotations

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.github.api import GitHubApi, TokenOwner
from buildbot.forges.github.app_auth import PERMISSIONS, AppAccount, AppAuth
from buildbot.forges.probes import Finding, ProbeResult, described, found
from buildbot.ports import Refused, StatusTarget, Vanished

NO_COMMIT = "0" * 40
ENOUGH_SCOPES = frozenset({"repo", "repo:status", "public_repo"})


async def is_token_good(api: GitHubApi) -> Finding:
    """Whether GitHub accepts the token, whose it is, and whether its scopes suffice where it has scopes."""
    return await found(lambda: _token(api))


async def is_app_good(auth: AppAuth) -> Finding:
    """Whether GitHub accepts the App's key, and whether the App asks for what the bot needs."""
    return await found(lambda: _app(auth))


async def has_repository(api: GitHubApi, full_name: str) -> Finding:
    """Whether the credential sees the repository, under which name, and whether it is private."""
    return await found(lambda: _repository(api, full_name))


async def may_post_status(api: GitHubApi, full_name: str) -> Finding:
    """Whether the credential may post commit statuses to the repository."""
    return await found(lambda: _posting(api, full_name))


async def _token(api: GitHubApi) -> Finding:
    try:
        owner = await api.user()
    except (Refused, Vanished) as error:
        return Finding(ProbeResult.UNTOLD, f"GitHub accepts the token but does not say whose it is: {error}")
    until = f", valid until {owner.expires}" if owner.expires else ""
    return _scopes(owner, f"the token is {owner.login}'s{until}")


def _scopes(owner: TokenOwner, whose: str) -> Finding:
    if owner.scopes is None:
        return Finding(ProbeResult.YES, f"{whose}; GitHub does not show what it may do")
    if owner.scopes.isdisjoint(ENOUGH_SCOPES):
        had = ", ".join(sorted(owner.scopes)) or "none"
        return Finding(ProbeResult.NO, f"{whose}, but its scopes ({had}) lack repo:status")
    scopes = ", ".join(sorted(owner.scopes))
    limit = "" if owner.scopes & {"repo", "repo:status"} else " (public repositories only)"
    return Finding(ProbeResult.YES, f"{whose}, with {scopes}{limit}")


async def _app(auth: AppAuth) -> Finding:
    app = await auth.app()
    lacking = [f"{key}: {level}" for key, level in PERMISSIONS.items() if not _suffices(app, key, level)]
    if lacking:
        return Finding(ProbeResult.NO, f"the App {app.slug} does not ask for {' and '.join(lacking)}")
    events = "" if "push" in app.events else "; it is not sent push events, so the repositories need webhooks"
    return Finding(ProbeResult.YES, f"the App is {app.slug}{events}")


def _suffices(app: AppAccount, key: str, level: str) -> bool:
    return app.permissions.get(key) in {level, "write"}


async def _repository(api: GitHubApi, full_name: str) -> Finding:
    return described(full_name, await api.repository(full_name))


async def _posting(api: GitHubApi, full_name: str) -> Finding:
    nothing = CommitStatus(StatusState.PENDING, "May statuses be posted? This one never shows.")
    try:
        await api.post_status(StatusTarget(full_name, NO_COMMIT, "refs/heads/main", "quay-buildbot/doctor"), nothing)
    except Vanished:
        return Finding(ProbeResult.YES, f"the credential may post commit statuses to {full_name}")
    return Finding(ProbeResult.UNTOLD, f"GitHub took a status of a commit that cannot exist in {full_name}")
