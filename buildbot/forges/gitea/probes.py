"""Questions to Gitea and Forgejo that change nothing, for `doctor`: whose token is it, and is it enough?

Whether statuses may be posted depends on the token's scope (`write:repository`) and on the rights of its user, and
neither is shown: it is tried, with a status of a commit that cannot exist (zeros). The right to write is checked first
(403), so that a commit that is not there is a yes, and nothing was posted.
"""

from __future__ import annotations

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.gitea.api import GiteaApi
from buildbot.forges.probes import Finding, ProbeResult, described, found
from buildbot.ports import Refused, StatusTarget, Vanished

NO_COMMIT = "0" * 40


async def is_token_good(api: GiteaApi) -> Finding:
    """Whether the token is accepted, and whose it is where it may ask for that."""
    return await found(lambda: _token(api))


async def has_repository(api: GiteaApi, full_name: str) -> Finding:
    """Whether the token sees the repository, under which name, and whether it is private."""
    return await found(lambda: _repository(api, full_name))


async def may_post_status(api: GiteaApi, full_name: str) -> Finding:
    """Whether the token may post commit statuses to the repository."""
    return await found(lambda: _posting(api, full_name))


async def _token(api: GiteaApi) -> Finding:
    try:
        owner = await api.user()
    except (Refused, Vanished) as error:
        return Finding(ProbeResult.UNTOLD, f"the token is accepted, but may not ask whose it is: {error}")
    return Finding(ProbeResult.YES, f"the token is {owner.login}'s; what it may do is not shown")


async def _repository(api: GiteaApi, full_name: str) -> Finding:
    return described(full_name, await api.repository(full_name))


async def _posting(api: GiteaApi, full_name: str) -> Finding:
    nothing = CommitStatus(StatusState.PENDING, "May statuses be posted? This one never shows.")
    target = StatusTarget(full_name, NO_COMMIT, "refs/heads/main", "quay-buildbot/doctor")
    try:
        await api.post_status(target, nothing)
    except Vanished:
        return Finding(ProbeResult.YES, f"the token may post commit statuses to {full_name}")
    return Finding(ProbeResult.UNTOLD, f"a status of a commit that cannot exist was taken in {full_name}")
