"""A push that nobody made: what `explain` and `builds start` plan with, by the function that plans real pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from buildbot.config import ForgeConfig, ForgeKind
from buildbot.domain.push import Archive, PushEvent, Source

PLACEHOLDER_SHA = "0123456789abcdef0123456789abcdef01234567"
"""Stands for a commit that was not named; a person sees at once that it is none."""

LIKELY_DEFAULT_BRANCHES = {"refs/heads/master": "master"}
"""A repository with a branch `master` has no `main`, most likely."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What was made up because nobody said it; only the repository's forge could tell."""

    sha: bool
    default_branch: bool


def hypothetical_push(
    forge: ForgeConfig, source: Source, ref: str, sha: str, changed: tuple[str, ...] | None
) -> PushEvent:
    """A push of this commit to this ref; `changed` None: nobody knows which paths changed."""
    return PushEvent(
        source=source,
        ref=ref,
        before=None,
        after=sha,
        commit=sha,
        archive=archive_at(forge, source, sha),
        forced=None if changed is None else False,
        changed_paths=changed,
    )


def archive_at(forge: ForgeConfig, source: Source, commit: str) -> Archive:
    """Where a builder fetches the source, as the forge's webhook reader says it."""
    from buildbot.forges.bitbucket import webhook as bitbucket
    from buildbot.forges.bitbucket_datacenter import webhook as datacenter
    from buildbot.forges.gitea import webhook as gitea
    from buildbot.forges.github import webhook as github
    from buildbot.forges.gitlab import webhook as gitlab

    match forge.kind:
        case ForgeKind.GITHUB:
            return github.archive_at(forge.url, source)
        case ForgeKind.GITLAB:
            return gitlab.archive_at(forge.url, source)
        case ForgeKind.GITEA | ForgeKind.FORGEJO:
            return gitea.archive_at(forge.url, source, is_forgejo=forge.kind is ForgeKind.FORGEJO)
        case ForgeKind.BITBUCKET:
            return bitbucket.archive_at(forge.url, source, commit)
        case ForgeKind.BITBUCKET_DATACENTER:
            return datacenter.archive_at(forge.url, source)
        case _ as never:
            assert_never(never)


def likely_default_branch(ref: str) -> str:
    """The default branch, when nobody said which it is."""
    return LIKELY_DEFAULT_BRANCHES.get(ref, "main")
