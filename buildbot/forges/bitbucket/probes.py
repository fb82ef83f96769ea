"""Questions to Bitbucket, Cloud or Data Center, that change nothing, for `doctor`: whose token is it, is it enough?

Whether statuses may be posted is tried, with a status of a commit that cannot exist (zeros): a refusal of the commit,
not of the token, is a yes, and nothing was posted. It costs one call of the budget. An access token may be good though
Bitbucket does not say whose it is, so what refuses that question alone proves nothing against it.
"""

from __future__ import annotations

from typing import Protocol

from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.bitbucket.credentials import TokenOwner
from buildbot.forges.probes import Finding, ProbeResult, described, found
from buildbot.ports import CredentialRefused, Refused, Repository, StatusTarget, Vanished

NO_COMMIT = "0" * 40


class Probed(Protocol):
    """What the probes ask, of either API."""

    forge: str

    async def user(self) -> TokenOwner: ...

    async def repository(self, full_name: str) -> Repository: ...

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None: ...


async def is_token_good(api: Probed) -> Finding:
    """Whether Bitbucket accepts the token, and whose it is where it says so."""
    return await found(lambda: _token(api))


async def has_repository(api: Probed, full_name: str) -> Finding:
    """Whether the token sees the repository, under which name, and whether it is private."""
    return await found(lambda: _repository(api, full_name))


async def may_post_status(api: Probed, full_name: str) -> Finding:
    """Whether the token may post commit statuses to the repository."""
    return await found(lambda: _posting(api, full_name))


async def _token(api: Probed) -> Finding:
    try:
        owner = await api.user()
    except (CredentialRefused, Refused, Vanished) as error:
        return Finding(
            ProbeResult.UNTOLD,
            f"{api.forge} does not say whose the token is, as for a repository's or workspace's;"
            f" whether it is good shows at the repositories ({error})",
        )
    scopes = "" if owner.scopes is None else f", with {', '.join(sorted(owner.scopes)) or 'no scopes'}"
    return Finding(ProbeResult.YES, f"the token is {owner.name}'s{scopes}")


async def _repository(api: Probed, full_name: str) -> Finding:
    return described(full_name, await api.repository(full_name))


async def _posting(api: Probed, full_name: str) -> Finding:
    nothing = CommitStatus(StatusState.PENDING, "May statuses be posted? This one never shows.")
    target = StatusTarget(full_name, NO_COMMIT, "refs/heads/main", "quay-buildbot/doctor")
    try:
        await api.post_status(target, nothing)
    except Vanished:
        return Finding(ProbeResult.YES, f"the token may post commit statuses to {full_name}")
    return Finding(ProbeResult.UNTOLD, f"{api.forge} took a status of a commit that cannot exist in {full_name}")
