"""A push that nobody made: what `explain` and `builds start` plan with, by the function that plans real pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never
from urllib.parse import quote

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
        archive=archive_at(forge, source),
        changed_paths=changed,
    )


def archive_at(forge: ForgeConfig, source: Source) -> Archive:
    """Where a builder fetches the source, as the forge's webhook reader says it (a test compares the two)."""
    match forge.kind:
        case ForgeKind.GITHUB:
            url = f"{forge.url}/{quote(source.full_name)}/archive/{{sha}}.tar.gz"
            return Archive(url, f"/{source.name}-{{sha}}")
        case _ as never:
            assert_never(never)


def likely_default_branch(ref: str) -> str:
    """The default branch, when nobody said which it is."""
    return LIKELY_DEFAULT_BRANCHES.get(ref, "main")
