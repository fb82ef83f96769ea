"""Users who push: the acts that every sandbox forge offers, and the outbox from which their webhooks go.

Nothing happens by itself and nothing runs in the background: an act sends its webhooks before it returns, one after the
other, and says what was answered. With `deliver=False` they wait in `outbox` instead, and the caller may send them with
`deliver` in any order, repeatedly or never. So a test decides what a network would leave to chance.

A forge's sandbox derives from `Pushing` and says what a push makes it send (`_announced`) and how (`deliver`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from buildbot.sandbox.git_repository import NO_COMMIT, Change, Person, RefUpdate, Repository, full_ref

D = TypeVar("D")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Push(Generic[D, A]):
    """What one push did, what the forge has to say about it, and what the hooks answered as far as it was sent."""

    update: RefUpdate
    deliveries: tuple[D, ...]
    attempts: tuple[A, ...]

    @property
    def sha(self) -> str:
        """The commit to build, also behind an annotated tag; zeros after a deletion."""
        return self.update.head.sha if self.update.head else NO_COMMIT

    @property
    def ref(self) -> str:
        """The full ref."""
        return self.update.ref

    @property
    def before(self) -> str:
        """What the ref pointed to; zeros if it is new."""
        return self.update.before

    @property
    def after(self) -> str:
        """What the ref points to: of an annotated tag the tag's object, of a deleted ref zeros."""
        return self.update.after


class Pushing(ABC, Generic[D, A]):
    """What users do to a forge's repositories. `D` is the forge's delivery, `A` its attempt at sending one."""

    most_tags_announced: ClassVar[int | None] = None
    """Of how many tags in one push the forge tells; None: of any number. Of more it tells nothing at all."""

    def __init__(self) -> None:
        self.outbox: list[D] = []

    @abstractmethod
    def repository(self, named: Repository | str) -> Repository:
        """The repository of that name; `LookupError` if there is none."""

    @abstractmethod
    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""

    @abstractmethod
    def now(self) -> datetime:
        """The sandbox's time."""

    @abstractmethod
    async def deliver(self, delivery: D) -> A:
        """Send a delivery, held back or not, for the first time or again."""

    @abstractmethod
    def _announced(self, it: Repository, update: RefUpdate, by: str) -> Iterable[D]:
        """What the hooks are told of a push."""

    def take_out(self, delivery: D) -> None:
        """Out of the outbox, if it is there."""
        self.outbox[:] = [one for one in self.outbox if one is not delivery]

    async def flush(self) -> list[A]:
        """Send what waits in the outbox, in the order in which it happened."""
        return [await self.deliver(one) for one in tuple(self.outbox)]

    async def commit_and_push(
        self,
        repository: Repository | str,
        *,
        ref: str | None = None,
        message: str = "Change something",
        files: Mapping[str, str | None] | None = None,
        by: str = "ada",
        force: bool = False,
        deliver: bool = True,
    ) -> Push[D, A]:
        """One commit on a branch (the default branch if `ref` is None), pushed. A file of None is removed.

        With `force` the branch's last commit is replaced. A branch that does not exist starts at the default branch.
        """
        return await self.push_commits(
            repository, [Change(message, files or {})], ref=ref, by=by, force=force, deliver=deliver
        )

    async def push_commits(
        self,
        repository: Repository | str,
        changes: Sequence[Change],
        *,
        ref: str | None = None,
        parent: str | None = None,
        by: str = "ada",
        force: bool = False,
        deliver: bool = True,
    ) -> Push[D, A]:
        """Several commits in one push, on top of `parent` if it is not to be where `commit_and_push` would begin."""
        it, author = self.repository(repository), self.person(by)
        name, known = full_ref(ref or it.default_branch), frozenset(it.commits)
        tip = parent or _start(it, name, force=force)
        for change in changes:
            tip = it.commit(tip, change, author, self.now()).sha
        if tip is None:
            raise ValueError(f"nothing to push: {it.full_name} is empty and no commit was given")
        return await self._pushed(it, it.move(name, tip, known=known, force=force), by, deliver=deliver)

    async def push_ref(
        self,
        repository: Repository | str,
        ref: str,
        to: str,
        *,
        by: str = "ada",
        force: bool = False,
        deliver: bool = True,
    ) -> Push[D, A]:
        """Let a ref point to a commit (or tag object) that is there already."""
        it = self.repository(repository)
        update = it.move(full_ref(ref), to, known=frozenset(it.commits), force=force)
        return await self._pushed(it, update, by, deliver=deliver)

    async def push_tag(
        self,
        repository: Repository | str,
        name: str,
        *,
        at: str | None = None,
        annotated: bool = False,
        by: str = "ada",
        force: bool = False,
        deliver: bool = True,
    ) -> Push[D, A]:
        """Tag a commit or ref (the default branch's head if None) and push the tag; `force` moves one that exists."""
        it = self.repository(repository)
        target = it.resolve(at or it.default_branch).sha
        if annotated:
            target = it.annotate(name, target, f"{name}\n", self.person(by), self.now()).sha
        return await self.push_ref(it, f"refs/tags/{name}", target, by=by, force=force, deliver=deliver)

    async def push_tags(
        self, repository: Repository | str, *names: str, annotated: bool = False, by: str = "ada", deliver: bool = True
    ) -> list[Push[D, A]]:
        """Tag the default branch's head with several names and push them together: of too many nothing is told."""
        it = self.repository(repository)
        is_told = self.most_tags_announced is None or len(names) <= self.most_tags_announced
        pushes = [
            await self.push_tag(it, name, annotated=annotated, by=by, deliver=deliver and is_told) for name in names
        ]
        if not is_told:
            for delivery in (one for push in pushes for one in push.deliveries):
                self.take_out(delivery)
        return pushes if is_told else [Push(push.update, (), ()) for push in pushes]

    async def delete_ref(
        self, repository: Repository | str, ref: str, *, by: str = "ada", deliver: bool = True
    ) -> Push[D, A]:
        """Delete a branch, or a tag if `ref` is a full one."""
        it = self.repository(repository)
        return await self._pushed(it, it.delete(full_ref(ref)), by, deliver=deliver)

    async def _pushed(self, it: Repository, update: RefUpdate, by: str, *, deliver: bool) -> Push[D, A]:
        it.pushed_at = self.now()
        deliveries = tuple(self._announced(it, update, by))
        self.outbox.extend(deliveries)
        attempts = [await self.deliver(one) for one in deliveries] if deliver else []
        return Push(update, deliveries, tuple(attempts))


def _start(it: Repository, ref: str, *, force: bool) -> str | None:
    tip = it.refs.get(ref) or it.refs.get(f"refs/heads/{it.default_branch}")
    if tip is None:
        return None
    head = it.peel(tip)
    if force and ref in it.refs:
        return next(iter(head.parents), None)
    return head.sha
