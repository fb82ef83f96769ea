"""A git repository as a forge sees it: commits, branches, both kinds of tags, and the statuses put on commits.

Commits keep their whole tree, which makes archives, file contents and comparisons one dictionary look-up each; a
sandbox repository is small. Ids look like git's (40 hexadecimal digits) but are not computed as git does: a serial
number goes in, so that two pushes of the same content within a second are two commits. Commits are kept in the order
they were made, parents before children, so that "oldest first" is the order of the dictionary.

Everything here is synchronous and knows neither HTTP nor webhooks: `move` and `delete` say what a push did as a
`RefUpdate`, which each forge's payloads turn into what that forge would send.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

T = TypeVar("T")
NO_COMMIT = "0" * 40
_serial = itertools.count(1)


class NotFastForward(Exception):
    """The ref would lose commits, and the push was not forced."""


class NoSuchRef(Exception):
    """The repository has no such branch, tag or commit."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account."""

    id: int
    login: str

    @property
    def name(self) -> str:
        """The name for people."""
        return self.login.replace("-", " ").title()

    @property
    def email(self) -> str:
        """An address as forges show it for those who hide theirs."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


@dataclass(frozen=True, slots=True)
class Change:
    """One commit to make. A file of None is removed; `merges` are further parents; `sha` is a wish for its id.

    `gitlinks` are the commits that submodules are at, by path; one of None is removed.
    """

    message: str
    files: Mapping[str, str | None]
    merges: tuple[str, ...] = ()
    sha: str | None = None
    gitlinks: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with its whole tree (files, and the commits of submodules) and, against its first parent, what it
    changed."""

    sha: str
    tree_id: str
    parents: tuple[str, ...]
    message: str
    author: Person
    at: datetime
    files: Mapping[str, bytes]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    modified: tuple[str, ...]
    gitlinks: Mapping[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> Mapping[str, bytes]:
        """The whole tree as `git diff` compares it: a submodule is a line that names its commit."""
        return {**self.files, **_as_text(self.gitlinks)}

    def kind(self, path: str) -> str | None:
        """ "file", "submodule" or "directory"; None where nothing is."""
        if path in self.files:
            return "file"
        if path in self.gitlinks:
            return "submodule"
        return "directory" if any(one.startswith(f"{path}/") for one in self.entries) else None

    def listed(self, path: str) -> list[str]:
        """The paths of the entries of a directory, "" for the root, in their order."""
        prefix = f"{path}/" if path else ""
        below = [one.removeprefix(prefix) for one in self.entries if one.startswith(prefix)]
        return sorted({prefix + one.partition("/")[0] for one in below})


@dataclass(frozen=True, slots=True)
class TagObject:
    """An annotated tag: an object of its own, whose id is what `after` of the push says."""

    sha: str
    name: str
    target: str
    message: str
    tagger: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """One status on a commit; the newest of a context counts. `ref` is a ref's short name, where a forge keeps it."""

    id: int
    sha: str
    state: str
    target_url: str | None
    description: str | None
    context: str
    creator: str
    created_at: datetime
    ref: str = ""


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """What one push did to one ref. `commits` are those it brought, oldest first; `distinct` those new to the forge."""

    ref: str
    before: str
    after: str
    head: Commit | None
    commits: tuple[Commit, ...] = ()
    distinct: frozenset[str] = frozenset()
    forced: bool = False
    base_ref: str | None = None

    @property
    def created(self) -> bool:
        """The ref did not exist."""
        return self.before == NO_COMMIT

    @property
    def deleted(self) -> bool:
        """The ref does not exist any more."""
        return self.after == NO_COMMIT

    @property
    def is_tag(self) -> bool:
        """A tag, of either kind."""
        return self.ref.startswith("refs/tags/")

    @property
    def short_ref(self) -> str:
        """The ref's name without `refs/heads/` or `refs/tags/`."""
        return self.ref.split("/", 2)[2]


@dataclass(slots=True)
class Repository:
    """One repository: its names and rights, its objects, its refs, its statuses."""

    id: int
    full_name: str
    owner: Person
    created_at: datetime
    pushed_at: datetime
    private: bool = False
    default_branch: str = "main"
    collaborators: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    tag_objects: dict[str, TagObject] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    unreplicated_calls: int = 0

    @property
    def name(self) -> str:
        """The name without its owner, or without the groups it lies in."""
        return self.full_name.rpartition("/")[2]

    def commit(self, parent: str | None, change: Change, author: Person, at: datetime) -> Commit:
        """Make a commit on top of `parent`; no ref points to it yet."""
        parent_commit = self.commits[parent] if parent else None
        files = _apply(parent_commit.files if parent_commit else {}, _encoded(change.files))
        gitlinks = _apply(parent_commit.gitlinks if parent_commit else {}, change.gitlinks)
        before, after = parent_commit.entries if parent_commit else {}, files | _as_text(gitlinks)
        tree_id = _object_id(
            "tree", *itertools.chain.from_iterable((path, after[path].hex()) for path in sorted(after))
        )
        made = Commit(
            sha=change.sha or _object_id("commit", tree_id, parent or "", change.message, str(next(_serial))),
            tree_id=tree_id,
            parents=((parent,) if parent else ()) + change.merges,
            message=change.message,
            author=author,
            at=at,
            files=files,
            added=tuple(sorted(after.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - after.keys())),
            modified=tuple(sorted(path for path in after.keys() & before.keys() if after[path] != before[path])),
            gitlinks=gitlinks,
        )
        self.commits[made.sha] = made
        return made

    def annotate(self, name: str, target: str, message: str, tagger: Person, at: datetime) -> TagObject:
        """Make an annotated tag's object; no ref points to it yet."""
        sha = _object_id("tag", name, target, message, str(next(_serial)))
        self.tag_objects[sha] = TagObject(sha, name, target, message, tagger, at)
        return self.tag_objects[sha]

    def move(self, ref: str, to: str, *, known: frozenset[str], force: bool = False) -> RefUpdate:
        """Let `ref` point to `to`, creating it if need be. `known` are the commits that existed before this push."""
        before, head = self.refs.get(ref, NO_COMMIT), self.peel(to)
        is_tag, created = ref.startswith("refs/tags/"), before == NO_COMMIT
        loses = not created and (is_tag or self.peel(before).sha not in self.reachable(head.sha))
        if loses and not force:
            raise NotFastForward(f"{ref} is not an ancestor of {to}; force the push")
        commits = () if is_tag else self._brought(ref, before, head, known)
        base_ref = self._base_ref(ref, head) if created and not commits else None
        self.refs[ref] = to
        distinct = frozenset(commit.sha for commit in commits if commit.sha not in known)
        return RefUpdate(ref, before, to, head, commits, distinct, loses, base_ref)

    def delete(self, ref: str) -> RefUpdate:
        """Delete a ref; its commits stay, as they do on a forge."""
        if ref not in self.refs:
            raise NoSuchRef(f"{self.full_name} has no {ref}")
        return RefUpdate(ref, self.refs.pop(ref), NO_COMMIT, None)

    def peel(self, sha: str) -> Commit:
        """The commit that an id stands for, through an annotated tag if it is one."""
        target = self.tag_objects[sha].target if sha in self.tag_objects else sha
        if target not in self.commits:
            raise NoSuchRef(f"{self.full_name} has no commit {sha}")
        return self.commits[target]

    def resolve(self, name: str) -> Commit:
        """The commit that a full or abbreviated id, a branch, a tag or a full ref names."""
        if name in self.commits or name in self.tag_objects:
            return self.peel(name)
        for ref in (name, f"refs/{name}", f"refs/heads/{name}", f"refs/tags/{name}"):
            if ref in self.refs:
                return self.peel(self.refs[ref])
        abbreviated = [sha for sha in self.commits if len(name) >= 7 and sha.startswith(name.lower())]
        if len(abbreviated) != 1:
            raise NoSuchRef(f"{self.full_name} has no {name}")
        return self.commits[abbreviated[0]]

    def reachable(self, sha: str) -> frozenset[str]:
        """The commit itself and all its ancestors."""
        found: set[str] = set()
        todo = [sha]
        while todo:
            one = todo.pop()
            if one not in found and one in self.commits:
                found.add(one)
                todo.extend(self.commits[one].parents)
        return frozenset(found)

    def between(self, base: str, head: str) -> tuple[Commit, ...]:
        """git's `base..head`, oldest first."""
        return self._ordered(self.reachable(head) - self.reachable(base))

    def statuses_of(self, sha: str) -> list[Status]:
        """The statuses of one commit, oldest first."""
        return [status for status in self.statuses if status.sha == sha]

    def _ordered(self, shas: frozenset[str]) -> tuple[Commit, ...]:
        return tuple(commit for sha, commit in self.commits.items() if sha in shas)

    def _brought(self, ref: str, before: str, head: Commit, known: frozenset[str]) -> tuple[Commit, ...]:
        if before != NO_COMMIT:
            return self.between(self.peel(before).sha, head.sha)
        elsewhere = {tip for other, tip in self.refs.items() if other != ref}
        seen = known.union(*(self.reachable(self.peel(tip).sha) for tip in elsewhere))
        return self._ordered(self.reachable(head.sha) - seen)

    def _base_ref(self, ref: str, head: Commit) -> str | None:
        heads = [other for other, tip in self.refs.items() if tip == head.sha and other.startswith("refs/heads/")]
        preferred = f"refs/heads/{self.default_branch}"
        return preferred if preferred in heads and preferred != ref else next(iter(heads), None)


def full_ref(ref: str) -> str:
    """`refs/…` as it is; anything else is a branch."""
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"


def _encoded(files: Mapping[str, str | None]) -> dict[str, bytes | None]:
    return {path: None if text is None else text.encode() for path, text in files.items()}


def _as_text(gitlinks: Mapping[str, str]) -> dict[str, bytes]:
    return {path: f"Subproject commit {sha}\n".encode() for path, sha in gitlinks.items()}


def _apply(before: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    after = {**before, **{path: new for path, new in changes.items() if new is not None}}
    for path in (path for path, new in changes.items() if new is None):
        if path not in after:
            raise NoSuchRef(f"cannot remove {path}: there is no such file")
        del after[path]
    return after


def _object_id(kind: str, *parts: str) -> str:
    return hashlib.sha1("\0".join((kind, *parts)).encode(), usedforsecurity=False).hexdigest()
