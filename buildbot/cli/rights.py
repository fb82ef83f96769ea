"""What a credential of each kind of forge has to be allowed, and what its webhook is to tell, in the forge's words."""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.config import ForgeKind

_TOKENS: Mapping[ForgeKind, str] = {
    ForgeKind.GITHUB: (
        "a token that may write commit statuses (fine-grained: Commit statuses, read and write, and Contents, read; "
        "classic: repo:status, or repo for private source)"
    ),
    ForgeKind.GITLAB: "a personal, project or group access token with the scope api and the role Developer",
    ForgeKind.GITEA: "an access token with write:repository (and read:user, so that it can say whose it is)",
    ForgeKind.FORGEJO: "an access token with write:repository (and read:user, so that it can say whose it is)",
    ForgeKind.BITBUCKET: "an access token of the repository, project or workspace that may read repositories",
    ForgeKind.BITBUCKET_DATACENTER: "an HTTP access token with repository read",
}
NEW_CREDENTIAL = {kind: f"create {token}, and put it where `token` points" for kind, token in _TOKENS.items()}
NEW_GITHUB_APP = "check app_id, private_key and the App's permissions (Commit statuses: read and write, Contents: read)"
MAY_POST: Mapping[ForgeKind, str] = {
    ForgeKind.GITHUB: (
        "give the credential Commit statuses: read and write (classic: repo:status) on the repository, and its user "
        "write permission"
    ),
    ForgeKind.GITLAB: (
        "give the token the scope api, and its user the role Developer in the project (for a protected branch, the "
        "right to push to it)"
    ),
    ForgeKind.GITEA: "give the token write:repository, and its user write access to the repository's code",
    ForgeKind.FORGEJO: "give the token write:repository, and its user write access to the repository's code",
    ForgeKind.BITBUCKET: "give the token the scope repository (read) for this repository",
    ForgeKind.BITBUCKET_DATACENTER: "give the token, and its user, repository read",
}
EVENTS: Mapping[ForgeKind, str] = {
    ForgeKind.GITHUB: "just the push event",
    ForgeKind.GITLAB: "push events and tag push events",
    ForgeKind.GITEA: "push and delete events",
    ForgeKind.FORGEJO: "push and delete events",
    ForgeKind.BITBUCKET: "repository push",
    ForgeKind.BITBUCKET_DATACENTER: "repository push",
}
