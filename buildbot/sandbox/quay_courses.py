"""How builds went at the real Quay: the phases and log lines of recorded runs, as data.

The recording: Quay's own build manager with a builder that makes quay-builder's calls, its log read back through the
API. Times are seconds after the attempt's `build-scheduled`. The lines are the recorded ones to the letter (the
Dockerfile of every recorded run ended in `RUN false`, also where the builder went on to succeed), except that
registry, repository and tags are this build's. Nothing else may ever appear in a log: docker's own error message, for
one, is dropped by quay-builder, so no course may hold it.

Only what a builder does is written here. What Quay makes of it (who is taken when, retries, `expired`) follows from the
queue in `quay_builds`, as it does there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

PHASE, COMMAND = "phase", "command"
MACHINE_MAX_SECONDS = 7200.0
_TAG_SECONDS = 1.010


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a builder reports: a phase it enters (`type` is `phase`) or a line of its log."""

    at: float
    message: str
    type: str | None = None
    data: tuple[tuple[str, str], ...] = ()
    writes_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one builder does, from `build-scheduled` to its end.

    `pushing_at`: when it begins to push, if it comes that far. `silent_at`: when it dies without a word, if it does.
    """

    steps: tuple[Step, ...]
    pushing_at: float | None = None
    silent_at: float | None = None

    def script(self, tags: tuple[str, ...]) -> Iterator[Step]:
        """All steps in order; tags are pushed one after another."""
        yield from self.steps
        if self.pushing_at is None:
            return
        yield Step(self.pushing_at, "pushing", PHASE)
        for number, tag in enumerate(tags):
            yield from _push(self.pushing_at + number * _TAG_SECONDS, tag)
        yield Step(self.pushing_at + len(tags) * _TAG_SECONDS + 0.019, "complete", PHASE)


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to a build: its attempts (the last one repeats) and how long a builder takes to start.

    `schedulable` false: no builder is ever found for it, as with all workers busy.
    """

    name: str
    attempts: tuple[Attempt, ...]
    start_seconds: float = 0.2
    schedulable: bool = True

    def attempt(self, number: int) -> Attempt:
        """The attempt of that number, counted from 1."""
        return self.attempts[min(number, len(self.attempts)) - 1]


def _push(at: float, tag: str) -> Iterator[Step]:
    yield Step(at + 1.005, "The push refers to repository [{registry}/{repository}]")
    yield Step(at + 1.008, "Pushing")
    yield Step(at + _TAG_SECONDS, f"{tag}: digest: sha256:{'0' * 64} size: 527", writes_tag=tag)


_BASE_IMAGE = (
    ("registry_url", "{registry}"),
    ("base_image", "docker.io/library/busybox"),
    ("base_image_tag", "latest"),
)
_UNPACKING = (Step(0.0, "build-scheduled", PHASE), Step(0.246, "unpacking", PHASE))
_PULLED = (
    *_UNPACKING,
    Step(1.263, "pulling", PHASE, _BASE_IMAGE),
    Step(2.278, "Pulling from library/busybox"),
    Step(2.281, "Downloading"),
    Step(2.283, "Status: Downloaded newer image for busybox:latest"),
    Step(2.308, "building", PHASE),
)
_RUNNING = (
    *_PULLED,
    Step(2.325, "Step 1/2 : FROM busybox:latest\n", COMMAND),
    Step(2.327, " ---> 3f57d9401f8d\n"),
    Step(2.329, "Step 2/2 : RUN false\n", COMMAND),
    Step(2.331, " ---> Running in 0123456789ab\n"),
)
_PODMAN = (
    *_PULLED,
    Step(2.330, "STEP 1/2: FROM busybox:latest\n"),
    Step(2.333, "STEP 2/2: RUN false\n"),
    Step(2.335, "COMMIT x\n"),
)


def _succeeding(built_at: float) -> Attempt:
    return Attempt((*_RUNNING, Step(built_at, "Successfully built 0123456789ab\n")), pushing_at=built_at + 0.013)


_SUCCESS = _succeeding(4.341)
_FAILS_BUILDING = Attempt(_RUNNING, silent_at=4.4)
_FAILS_UNPACKING = Attempt(_UNPACKING, silent_at=0.3)

SUCCESS = Course("success", (_SUCCESS,))
COURSES: dict[str, Course] = {
    course.name: course
    for course in (
        SUCCESS,
        Course("podman", (Attempt(_PODMAN, pushing_at=4.352),)),
        # recorded as far as "Successfully built", 42 s into `building`: that build was cancelled meanwhile
        Course("slow", (_succeeding(44.292),)),
        # three attempts, five minutes, `expired`, no reason anywhere: a failing Dockerfile with today's builder
        Course("fail-build", (_FAILS_BUILDING,)),
        # older builders say `error`: final at once
        Course("seterror", (Attempt((*_RUNNING, Step(4.288, "error", PHASE))),)),
        # an archive that the builder could not use: it dies before any line of docker's
        Course("no-archive", (_FAILS_UNPACKING,)),
        # the same with a machine that takes 12 s to start: `expired` shows before the third attempt
        Course("transient-expired", (_FAILS_UNPACKING,), start_seconds=12.0),
        # put together from recorded attempts: `expired` is not final until the third attempt has failed
        Course("third-attempt-succeeds", (_FAILS_UNPACKING, _FAILS_UNPACKING, _SUCCESS), start_seconds=12.0),
        Course("second-attempt-succeeds", (_FAILS_BUILDING, _SUCCESS)),
        # three rounds without a free worker use up the retries; nothing ever takes it again
        Course("stuck-waiting", (_SUCCESS,), schedulable=False),
        # a step that never ends: the machine is stopped after two hours (MACHINE_MAX_TIME)
        Course("hang", (Attempt(_RUNNING, silent_at=MACHINE_MAX_SECONDS - 60.0),)),
    )
}


def slow(built_after_seconds: float) -> Course:
    """The course `slow` with another time from `build-scheduled` to "Successfully built"."""
    return replace(COURSES["slow"], attempts=(_succeeding(max(built_after_seconds, 2.4)),))
