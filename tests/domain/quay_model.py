"""A model of Quay's build queue for the simulation: what the recordings of the real one show, and nothing kinder.

One build of a repository runs at a time. A builder that dies is noticed a minute later (`internalerror`) and tried
again half a minute after that, three times in all; without a retry left the same state reads `expired`, which it also
does for a while before the third attempt. A DELETE removes the queue item even where it is refused, and is refused
while pushing and between attempts. A build can be forgotten in `waiting`. Time is seconds, and passes only in `run_to`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random

COURSE = ("build-scheduled", "unpacking", "pulling", "building", "pushing")
OVER = ("complete", "error", "cancelled")
MANAGER_ROUND, DEATH_IS_NOTICED, RETRY_DELAY, MACHINE_MAX = 10.0, 60.0, 30.0, 7200.0


@dataclass(frozen=True)
class Attempt:
    """How one attempt goes: it ends in `phase` by `end` ("complete", "error", "die", "hang")."""

    end: str
    phase: str
    pace: float
    start_delay: float


@dataclass(frozen=True)
class Course:
    """What will become of a build once Quay has it."""

    attempts: tuple[Attempt, ...]
    is_forgotten: bool = False
    has_output: bool = True
    wrong_tags: bool = False


@dataclass
class QuayBuild:
    """A build in Quay's database; `owner` and `attempt` are the mark in its archive URL, `seq` the order of pushes."""

    id: str
    owner: str
    attempt: int
    seq: int
    tags: tuple[str, ...]
    course: Course
    started: float
    phase: str = "waiting"
    retries: int = 3
    has_item: bool = True
    is_ready: bool = True
    scheduled: int = 0
    cancelled_by: str = ""
    deletes: int = 0


@dataclass
class QuayModel:
    """One repository's queue. `defects` collects what must never happen, seen from Quay's side."""

    rng: Random
    now: float = 0.0
    builds: list[QuayBuild] = field(default_factory=list)
    writes: list[tuple[float, str, QuayBuild]] = field(default_factory=list)
    busy: QuayBuild | None = None
    blind_until: float = -1.0
    defects: list[str] = field(default_factory=list)
    is_bound: Callable[[QuayBuild], bool] = lambda _: True
    _events: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    # ── time ──

    def at(self, delay: float, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._numbers), event))

    def run_to(self, when: float) -> None:
        while self._events and self._events[0][0] <= when:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = max(self.now, when)

    # ── the API ──

    def request(self, owner: str, attempt: int, seq: int, tags: tuple[str, ...], course: Course) -> QuayBuild:
        alive = [build.id for build in self.builds if build.owner == owner and build.phase != "cancelled"]
        taken = ("latest",) if course.wrong_tags else tags
        build = QuayBuild(f"q{len(self.builds)}", owner, attempt, seq, taken, course, self.now)
        if alive and self.is_bound(build):
            self.defects.append(f"{owner} was built twice: {alive} and attempt {attempt}")
        self.builds.append(build)
        self._look_for_work()
        return build

    def read(self, build: QuayBuild) -> str:
        if build.phase in OVER:
            return build.phase
        if self.now < self.blind_until:
            return "cannot_load"
        if build.phase == "internalerror" and (build.retries == 0 or not build.has_item):
            return "expired"
        return build.phase

    def delete(self, build: QuayBuild, by: str) -> int:
        build.deletes += 1
        if build.phase == "cancelled":
            return 400 if build.deletes == 2 and build.scheduled == 0 else 500
        build.has_item = False
        if build.phase not in ("waiting", *COURSE[:-1]):
            return 400
        build.phase, build.cancelled_by = "cancelled", by
        self._release(build)
        return 201

    def is_over(self, build: QuayBuild) -> bool:
        """Nothing will ever change any more, whatever the phase reads."""
        has_no_retry = build.retries == 0 or not build.has_item
        return build.phase in OVER or (build.phase == "internalerror" and has_no_retry and self.busy is not build)

    # ── the manager and its builders ──

    def _look_for_work(self) -> None:
        self.at(self.rng.uniform(0.1, MANAGER_ROUND), self._take_next)

    def _take_next(self) -> None:
        if self.busy is not None:
            return
        for build in self.builds:
            is_waiting = build.phase in ("waiting", "internalerror") and build.has_item and build.is_ready
            if is_waiting and build.retries > 0 and not build.course.is_forgotten:
                self._take(build)
                return

    def _take(self, build: QuayBuild) -> None:
        attempt = build.course.attempts[3 - build.retries]
        self.busy, build.retries, build.is_ready = build, build.retries - 1, False
        self.at(attempt.start_delay, lambda: self._enter(build, attempt, 0))

    def _enter(self, build: QuayBuild, attempt: Attempt, index: int) -> None:
        if build.phase == "cancelled" or self.busy is not build:
            return
        word = COURSE[index]
        build.phase, build.scheduled = word, build.scheduled + (index == 0)
        if word == "pushing":
            self._push(build, attempt)
        if word != attempt.phase:
            self.at(attempt.pace * self.rng.uniform(0.3, 1), lambda: self._enter(build, attempt, index + 1))
        elif attempt.end in ("die", "hang"):
            late = DEATH_IS_NOTICED + attempt.pace if attempt.end == "die" else MACHINE_MAX
            self.at(late, lambda: self._die(build))
        else:
            self.at(attempt.pace * 2, lambda: self._finish(build, attempt.end))

    def _push(self, build: QuayBuild, attempt: Attempt) -> None:
        tags = build.tags[:1] if attempt.end == "die" else build.tags
        for number, tag in enumerate(tags, start=1):
            self.at(attempt.pace * number / len(tags), partial(self._write, build, tag))

    def _write(self, build: QuayBuild, tag: str) -> None:
        others = [other for _, name, other in self.writes if name == tag and self.is_bound(other)]
        newer = [other for other in others if other.seq > build.seq]
        if newer and self.is_bound(build):
            self.defects.append(f"{build.owner} wrote {tag} after the newer {newer[-1].owner}")
        self.writes.append((self.now, tag, build))

    def _die(self, build: QuayBuild) -> None:
        if build.phase == "cancelled":
            return
        build.phase = "internalerror"
        self._release(build)
        if build.retries:
            self.at(RETRY_DELAY, lambda: self._ready(build))

    def _ready(self, build: QuayBuild) -> None:
        build.is_ready = True
        self._look_for_work()

    def _finish(self, build: QuayBuild, phase: str) -> None:
        if build.phase != "cancelled":
            build.phase = phase
            self._release(build)

    def _release(self, build: QuayBuild) -> None:
        if self.busy is build:
            self.busy = None
            self._look_for_work()
