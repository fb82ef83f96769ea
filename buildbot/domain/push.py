"""A push, as every forge means it.

`forges/<forge>/webhook.py` turns one delivery into these values and nothing else in the bot reads a payload. A field
that a forge cannot tell is None: None means *unknown* everywhere in this module, never "empty".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

SHORT_SHA_DIGITS = 7
SWEEP = "sweep"
"""The event, and how the delivery id begins, of a push that a look at the forge showed."""
SKIP_MARKS = ("[skip ci]", "[ci skip]", "[skip build]")


class RefKind(StrEnum):
    """What a ref names; decided by its prefix alone, since a branch may be called `v1.2`."""

    BRANCH = "branch"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Source:
    """A source repository at a forge. `repository_id` survives a rename, `full_name` ("acme/api") does not."""

    forge: str
    repository_id: str
    full_name: str
    private: bool = False
    default_branch: str | None = None
    html_url: str | None = None

    @property
    def owner(self) -> str:
        return self.full_name.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Archive:
    """Where a builder fetches the source without credentials, and the directory at the archive's top.

    Both may hold `{sha}`, the full commit. `root` is "" where the archive has no top directory. `is_direct`: where the
    repository is public, Quay's builder can fetch it and takes it for an archive; else the bot has to pass it on.
    """

    url: str
    root: str
    is_direct: bool = True

    def at(self, commit: str) -> Archive:
        """The archive of one commit."""
        return Archive(self.url.replace("{sha}", commit), self.root.replace("{sha}", commit), self.is_direct)


@dataclass(frozen=True, slots=True)
class PushEvent:
    """One ref moved: from `before` to `after` (None: it did not, or does not, exist).

    Both are None for a deletion that does not tell what was deleted: the event that Gitea sends for a branch.
    `commit` is what to build and to put the status on: an annotated tag's `after` is the tag object instead. It is
    None for a deletion and where the payload does not tell. `changed_paths` is a tuple only where the payload
    proves the list complete. `pushed_at` is the forge's own clock, to be compared only with itself. `is_swept`: nobody
    told of it; a look at the forge showed that the ref is at `after`, and it was last known at `before`.
    """

    source: Source
    ref: str
    before: str | None
    after: str | None
    commit: str | None
    archive: Archive
    pushed_at: datetime | None = None
    forced: bool | None = None
    changed_paths: tuple[str, ...] | None = None
    message: str | None = None
    pusher: str | None = None
    compare_url: str | None = None
    is_swept: bool = False

    @property
    def is_deletion(self) -> bool:
        return self.after is None

    @property
    def kind(self) -> RefKind:
        return kind_of(self.ref)

    @property
    def ref_name(self) -> str:
        return name_of(self.ref)

    @property
    def asks_to_skip(self) -> str | None:
        """The mark in the commit message that asks for no build, or None."""
        message = (self.message or "").lower()
        return next((mark for mark in SKIP_MARKS if mark in message), None)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid delivery that asks for nothing, with the reason in words."""

    reason: str


def kind_of(ref: str) -> RefKind:
    """`refs/heads/…` is a branch, `refs/tags/…` a tag. Raises ValueError for anything else."""
    if ref.startswith("refs/heads/"):
        return RefKind.BRANCH
    if ref.startswith("refs/tags/"):
        return RefKind.TAG
    raise ValueError(f"neither a branch nor a tag: {ref!r}")


def name_of(ref: str) -> str:
    """The ref without `refs/heads/` or `refs/tags/`."""
    return ref.split("/", 2)[2]


def short(sha: str) -> str:
    """The seven digits by which people name a commit."""
    return sha[:SHORT_SHA_DIGITS]
