"""Builds, Quay's queue of them and the builders that take them, by the rules of Quay's own build manager.

As recorded at the real one: a round every ten seconds takes one build; of one repository only one at a time, as long
as its queue item is there; taking costs one of three tries; a builder that falls silent is noticed after 60 s, and
its build waits 30 s before it is tried again. What the API shows follows from that and is not scripted: `expired` is
`internalerror` without a try left, so it shows for a while before the third attempt too; a build whose scheduling
failed three times waits for ever; a DELETE removes the queue item whatever it answers, so the next build of the
repository may start while the cancelled one is still at work, and a build that is pushing pushes on.

Times are recorded seconds of the `Timeline`, except a build's `requested_at` and `started` and the log's `datetime`,
which are the clock's.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from buildbot.sandbox.quay_builder import Finding
from buildbot.sandbox.quay_courses import PHASE, SUCCESS, Attempt, Course, Step
from buildbot.sandbox.quay_timeline import Timeline

ROUND_SECONDS = 10.0
SILENCE_SECONDS = 60.0
RETRY_SECONDS = 30.0
TRIES = 3
# the key that Quay's canceller leaves in Redis: one day and a minute
CANCEL_KEY_SECONDS = 86_460.0

FINAL = frozenset({"complete", "error", "cancelled"})
_NOT_CANCELLABLE = frozenset({"pushing", "complete", "error", "internalerror"})


class Cancel(StrEnum):
    """What became of a DELETE."""

    CANCELLED = "cancelled"
    REFUSED = "refused"
    CRASHED = "crashed"


@dataclass(slots=True)
class QueueItem:
    """A build's place in Quay's queue. `taken`: a builder is at it, so no other build of the repository may start."""

    repository: str
    tries: int = TRIES
    available_at: float = 0.0
    taken: bool = False


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a build was asked for, after Quay's own reading of it.

    `package`: what a builder found behind `archive_url`; None where none has looked.
    """

    repository: str
    archive_url: str | None
    tags: tuple[str, ...]
    context: str
    dockerfile_path: str
    display_name: str
    user: str | None
    pull_robot: str | None = None
    resource_key: str | None = None
    trigger: dict[str, Any] | None = None
    trigger_metadata: dict[str, Any] = field(default_factory=dict)
    package: Finding | None = None


@dataclass(slots=True, eq=False)
class Build:
    """A row of Quay's table of builds, with its log.

    `requested_at`, `started`: seconds since the epoch at which it was asked for and at which a builder first took it up
    (the API's field `started` is the former). `attempts`: how many builders took it up.
    """

    id: str
    request: BuildRequest
    course: Course
    requested_at: float
    item: QueueItem | None
    stored_phase: str = "waiting"
    attempts: int = 0
    started: float | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    archived: bool = False
    cancel_key_until: float = -math.inf

    @property
    def phase(self) -> str:
        """The phase as the API shows it: `internalerror` without a try left reads `expired`."""
        given_up = self.item is None or self.item.tries == 0
        return "expired" if self.stored_phase == "internalerror" and given_up else self.stored_phase

    @property
    def repository(self) -> str:
        """`namespace/name`."""
        return self.request.repository

    @property
    def archive_url(self) -> str | None:
        """Verbatim as asked for; None for a build that a git trigger started."""
        return self.request.archive_url

    @property
    def tags(self) -> tuple[str, ...]:
        """The image tags it will write, as Quay rewrote them."""
        return self.request.tags

    @property
    def context(self) -> str:
        """The build context inside the archive."""
        return self.request.context

    @property
    def dockerfile_path(self) -> str:
        """The Dockerfile inside the archive."""
        return self.request.dockerfile_path


@dataclass(slots=True, eq=False)
class _Run:
    build: Build
    item: QueueItem
    attempt: Attempt
    over: bool = False


class Pushed(NamedTuple):
    """An image tag that a build wrote."""

    repository: str
    tag: str
    build_id: str
    archive_url: str | None


class Builds:
    """All builds of one Quay, oldest first, and what their builders have pushed."""

    def __init__(self, timeline: Timeline, registry: Callable[[], str]) -> None:
        self._timeline = timeline
        self._registry = registry
        self._round_is_due = False
        self._runs: list[_Run] = []
        self.all: list[Build] = []
        self.pushed: list[Pushed] = []
        self.allowed_workers: int | None = None

    def find(self, build_id: str) -> Build | None:
        """The build of that id, spelled exactly so."""
        return next((build for build in self.all if build.id == build_id), None)

    def of(self, repository: str) -> Iterator[Build]:
        """The builds of a repository, newest first."""
        return (build for build in reversed(self.all) if build.repository == repository)

    def alive_in(self, namespace: str) -> int:
        """How many queue items with tries left count against a namespace, or one whose name begins the same."""
        items = (build.item for build in self.all if build.repository.startswith(namespace))
        return sum(item is not None and item.tries > 0 for item in items)

    def add(self, request: BuildRequest, choose: Callable[[Build], Course]) -> Build:
        """Puts a new build into the queue; `choose` says which course it will take."""
        item = QueueItem(request.repository)
        build = Build(str(uuid.uuid4()), request, SUCCESS, self._timeline.wall, item)
        build.course = choose(build)
        self.all.append(build)
        self._plan_round()
        return build

    def cancel(self, build: Build, *, can_reach_builder: bool = True) -> Cancel:
        """What Quay does on a DELETE: the queue item goes first, whatever comes of it.

        `can_reach_builder`: false with Quay's default build manager, which cancels only what waits, or without Redis.
        """
        had_item = build.item is not None
        build.item = None
        if build.stored_phase == "waiting" and had_item:
            build.stored_phase = "cancelled"
            return Cancel.CANCELLED
        if build.stored_phase in _NOT_CANCELLABLE or not can_reach_builder:
            return Cancel.REFUSED
        if build.cancel_key_until > self._timeline.elapsed:
            return Cancel.CRASHED
        build.cancel_key_until = self._timeline.elapsed + CANCEL_KEY_SECONDS
        return Cancel.CANCELLED if self._set_phase(build, "cancelled") else Cancel.REFUSED

    def _plan_round(self) -> None:
        if self._round_is_due or not any(item.tries for _, item in self._idle()):
            return
        self._round_is_due = True
        rounds = math.floor(self._timeline.elapsed / ROUND_SECONDS) + 1
        self._timeline.call_at(rounds * ROUND_SECONDS, self._round)

    def _idle(self) -> Iterator[tuple[Build, QueueItem]]:
        return ((build, build.item) for build in self.all if build.item is not None and not build.item.taken)

    def _round(self) -> None:
        self._round_is_due = False
        busy = {build.item.repository for build in self.all if build.item is not None and build.item.taken}
        now = self._timeline.elapsed
        for build, item in self._idle():
            if item.tries and item.available_at <= now and item.repository not in busy:
                self._take(build, item)
                break
        self._plan_round()

    def _take(self, build: Build, item: QueueItem) -> None:
        item.tries -= 1
        is_full = self.allowed_workers is not None and len(self._runs) >= self.allowed_workers
        if is_full or not build.course.schedulable:
            item.available_at = self._timeline.elapsed + ROUND_SECONDS
            return
        item.taken = True
        run = _Run(build, item, build.course.attempt(build.attempts + 1))
        self._runs.append(run)
        self._timeline.call_in(build.course.start_seconds, partial(self._begin, run))

    def _begin(self, run: _Run) -> None:
        build = run.build
        if build.stored_phase != "cancelled":
            build.attempts += 1
            build.started = build.started or self._timeline.wall
        for step in run.attempt.script(build.tags):
            self._timeline.call_in(step.at, partial(self._report, run, step))
        if run.attempt.silent_at is not None:
            self._timeline.call_in(run.attempt.silent_at + SILENCE_SECONDS, partial(self._miss, run))

    def _report(self, run: _Run, step: Step) -> None:
        if run.over:
            return
        if step.type == PHASE and not self._set_phase(run.build, step.message):
            self._end(run)
            return
        self._append_to_log(run.build, step)
        if step.writes_tag is not None:
            build = run.build
            self.pushed.append(Pushed(build.repository, step.writes_tag, build.id, build.archive_url))
        if step.type == PHASE and step.message in FINAL:
            run.build.item = None
            self._end(run)

    def _miss(self, run: _Run) -> None:
        if run.over:
            return
        self._set_phase(run.build, "internalerror")
        run.item.available_at = self._timeline.elapsed + RETRY_SECONDS
        self._end(run)

    def _end(self, run: _Run) -> None:
        run.over = True
        run.item.taken = False
        self._runs.remove(run)
        self._plan_round()

    def _set_phase(self, build: Build, phase: str) -> bool:
        if build.stored_phase == "cancelled":
            return False
        build.stored_phase = phase
        return True

    def _append_to_log(self, build: Build, step: Step) -> None:
        names = {"registry": self._registry(), "repository": build.repository}
        data = {key: value.format(**names) for key, value in step.data}
        data["datetime"] = str(datetime.fromtimestamp(self._timeline.wall, UTC).replace(tzinfo=None))
        entry = {"message": step.message.format(**names)}
        build.log.append(entry | ({"type": step.type} if step.type else {}) | {"data": data})
