"""The commit status a build wants: a pure function of the build, in words that help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DESCRIPTION_LIMIT = 140


class StatusState(StrEnum):
    """The four states every forge knows in some spelling (these are GitHub's)."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"

    @property
    def is_final(self) -> bool:
        return self is not StatusState.PENDING


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What a commit should show under one context.

    `stage` classes the pendings ("queued", "building", "retrying", "blocked"): only a change of it is worth another
    pending. `description` fits every forge (140 characters, GitHub's limit, the smallest).
    """

    state: StatusState
    description: str
    target_url: str | None = None
    stage: str = ""
