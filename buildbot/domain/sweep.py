"""Which refs have moved without anybody telling: what a look at the forge shows against what is known. Pure.

Known is what was recorded, and for refs that nobody ever pushed since the bot watches them, where they were at the
last look. The first look at a repository, or at what a new rule names, only takes notes: what stood there before is no
news. So is everything where the last look is older than `LONGEST_GAP`. That, and not the age of a commit, bounds how
old a push may be that is built: a tag made today may well be on last year's commit.

A difference is a push only when it is seen again after `GRACE`, since a delivery may just be on its way. What was left
alone is *excused*: it stands until the recorded head, or the ref, moves on. A deleted ref asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from buildbot.domain.push import RefKind, kind_of, name_of
from buildbot.domain.watching import Patterns, Watch, is_admitted

GRACE = timedelta(minutes=1)
LONGEST_GAP = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A difference that was seen: where the ref is, and since when that is known."""

    sha: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Notes:
    """What is remembered of a repository between two looks.

    `refs` is where refs were when nothing was left to do about them, `excused` the recorded head that a difference was
    left alone against, `etags` what stands for the lists of branches and tags.
    """

    repository_id: str
    at: datetime
    branches: Patterns = ()
    tags: Patterns = ()
    refs: Mapping[str, str] = field(default_factory=dict)
    excused: Mapping[str, str | None] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    etags: Mapping[str, str] = field(default_factory=dict)

    def patterns(self, kind: RefKind) -> Patterns:
        """What was watched of this kind at the last look."""
        return self.branches if kind is RefKind.BRANCH else self.tags

    def listed(self, kind: RefKind) -> dict[str, str]:
        """The watched refs of this kind as they were at the last look."""
        seen = {**self.refs, **{ref: one.sha for ref, one in self.waiting.items()}}
        return {ref: sha for ref, sha in seen.items() if kind_of(ref) is kind}

    def is_current(self, watch: Watch, kind: RefKind, now: datetime) -> bool:
        """Whether the same refs were watched before, and not too long ago."""
        return self.patterns(kind) == watch.patterns(kind) and now - self.at <= LONGEST_GAP


@dataclass(frozen=True, slots=True)
class Missed:
    """A push that nobody told of: the ref is at `after`, was last known at `before`, and that since `first_seen`."""

    ref: str
    before: str | None
    after: str
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a look came to: the notes to keep, and the pushes that are certain to have been missed."""

    notes: Notes
    missed: tuple[Missed, ...]


Recorded = Mapping[str, str | None]
"""What each ref of a repository points to by what was recorded, None where it was deleted."""


def compare(notes: Notes, watch: Watch, listed: Mapping[str, str], recorded: Recorded, now: datetime) -> Comparison:
    """Judge every watched ref of `listed`, which are all that there are, by full name.

    The notes that come out have what was missed still waiting: whoever has recorded it says so with `accounted`.
    """
    eye = _Eye(notes, recorded, now)
    for ref, sha in listed.items():
        kind, name = kind_of(ref), name_of(ref)
        if is_admitted(watch.patterns(kind), name):
            eye.judge(ref, sha, was_watched=is_admitted(notes.patterns(kind), name))
    kept = replace(notes, at=now, branches=watch.branches, tags=watch.tags)
    return Comparison(replace(kept, refs=eye.refs, excused=eye.excused, waiting=eye.waiting), tuple(eye.missed))


def accounted(notes: Notes, missed: Missed) -> Notes:
    """The notes once a missed push has been recorded, or has been found to be none."""
    waiting = {ref: one for ref, one in notes.waiting.items() if ref != missed.ref}
    refs, excused = {**notes.refs, missed.ref: missed.after}, {**notes.excused, missed.ref: missed.before}
    return replace(notes, refs=refs, excused=excused, waiting=waiting)


@dataclass(slots=True)
class _Eye:
    """A look under way: the notes of the last one, what is recorded, and the notes that this one takes."""

    notes: Notes
    recorded: Recorded
    now: datetime
    refs: dict[str, str] = field(default_factory=dict)
    excused: dict[str, str | None] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    missed: list[Missed] = field(default_factory=list)

    def judge(self, ref: str, sha: str, *, was_watched: bool) -> None:
        if not was_watched or self.now - self.notes.at > LONGEST_GAP:
            self._note(ref, sha)
        elif sha in (self.recorded.get(ref), self._known(ref)):
            self.refs[ref] = sha
            self._keep_excuse(ref)
        else:
            self._wonder(ref, sha)

    def _note(self, ref: str, sha: str) -> None:
        self.refs[ref] = sha
        if self.recorded.get(ref, sha) != sha:
            self.excused[ref] = self.recorded[ref]

    def _wonder(self, ref: str, sha: str) -> None:
        if ref in self.notes.refs:
            self.refs[ref] = self.notes.refs[ref]
        self._keep_excuse(ref)
        before = self.notes.waiting.get(ref)
        seen = before if before is not None and before.sha == sha else Waiting(sha, self.now)
        self.waiting[ref] = seen
        if self.now - seen.since >= GRACE:
            last_known = self.recorded[ref] if ref in self.recorded else self.notes.refs.get(ref)
            self.missed.append(Missed(ref, last_known, sha, seen.since))

    def _known(self, ref: str) -> str | None:
        is_by_record = ref in self.recorded and not self._is_excused(ref)
        return self.recorded[ref] if is_by_record else self.notes.refs.get(ref)

    def _is_excused(self, ref: str) -> bool:
        excuse = self.notes.excused
        return ref in excuse and ref in self.recorded and excuse[ref] == self.recorded[ref]

    def _keep_excuse(self, ref: str) -> None:
        if self._is_excused(ref):
            self.excused[ref] = self.notes.excused[ref]
