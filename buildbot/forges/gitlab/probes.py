"""Questions to GitLab that change nothing, for `doctor`: whose token is it, and is it enough?

Whether statuses may be posted depends on the token's scope and on the role of its user in the project, which GitLab
does not show in one place: it is tried, with a status of a commit that cannot exist (zeros). GitLab checks the right to
write first (403), so "Commit Not Found" is a yes, and nothing was posted. It costs one write of the budget.
"""

from __future__ import annotations

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.gitlab.api import GitLabApi
from buildbot.forges.probes import Finding, ProbeResult, described, found
from buildbot.ports import Refused, StatusTarget, Vanished

NO_COMMIT = "0" * 40
ENOUGH_SCOPE = "api"


async def is_token_good(api: GitLabApi) -> Finding:
    """Whether GitLab accepts the token, whose it is, and whether its scopes suffice where they are shown."""
    return await found(lambda: _token(api))


async def has_repository(api: GitLabApi, full_name: str) -> Finding:
    """Whether the token sees the project, under which path, and whether it is private."""
    return await found(lambda: _repository(api, full_name))


async def may_post_status(api: GitLabApi, full_name: str) -> Finding:
    """Whether the token may post commit statuses to the project."""
    return await found(lambda: _posting(api, full_name))


async def _token(api: GitLabApi) -> Finding:
    try:
        owner = await api.user()
    except (Refused, Vanished) as error:
        return Finding(ProbeResult.UNTOLD, f"GitLab accepts the token but does not say whose it is: {error}")
    until = f", valid until {owner.expires}" if owner.expires else ""
    whose = f"the token is {owner.username}'s{until}"
    if owner.scopes is None:
        return Finding(ProbeResult.YES, f"{whose}; GitLab does not show what it may do")
    scopes = ", ".join(sorted(owner.scopes)) or "none"
    if ENOUGH_SCOPE not in owner.scopes:
        return Finding(ProbeResult.NO, f"{whose}, but its scopes ({scopes}) lack api")
    return Finding(ProbeResult.YES, f"{whose}, with {scopes}")


async def _repository(api: GitLabApi, full_name: str) -> Finding:
    return described(full_name, await api.repository(full_name))


async def _posting(api: GitLabApi, full_name: str) -> Finding:
    nothing = CommitStatus(StatusState.PENDING, "May statuses be posted? This one never shows.")
    target = StatusTarget(full_name, NO_COMMIT, "refs/heads/main", "quay-buildbot/doctor")
    try:
        await api.post_status(target, nothing)
    except Vanished:
        return Finding(ProbeResult.YES, f"the token may post commit statuses to {full_name}")
    return Finding(ProbeResult.UNTOLD, f"GitLab took a status of a commit that cannot exist in {full_name}")
