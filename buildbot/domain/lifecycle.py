"""The life of a build: decide the next step, save the intent, perform it elsewhere, fold the outcome back in.

    decide(build, scene)            -> Action    what to do now, if anything
    begin(build, action, now)       -> Build     the intent, saved *before* the call
    evolve(build, outcome, scene)   -> Build     what the call taught

All three are pure; `now` is an argument. A crash, a timeout and a lost answer leave the same honest row, so a restart
needs no recovery code: read the rows and go on.

                 ┌──────────── never sent, absent, starved ────────────┐
                 ▼                                                     │
    PLANNED ─ intent ─▶ REQUESTING ─ 201, found ─▶ WAITING ◀──▶ BUILDING ─▶ SUCCEEDED FAILED ERRORED CANCELLED
       ▲
    COMPARING ─ nothing that the rule is about has changed ─▶ SKIPPED

Why it is shaped like this:

- A path filter skips only on proof. Where the payload holds none, the build is COMPARING until the forge has told what
  changed; a forge that cannot tell, or not within `COMPARE_PATIENCE`, leaves it wanted. It holds its image tags
  meanwhile, as a newer one must not overtake it, and it supersedes nothing.
- Before the first request the source is looked at: a Dockerfile that is not there, a commit that is gone. Only what the
  forge says for certain ends a build; a forge that is away or says nothing clear delays nobody.

- A request is not idempotent and Quay has no idempotency key. So each request is an *attempt* with a mark of its own in
  the archive URL's fragment; after a lost answer the list is asked for the mark, and only its absence, after
  `settle_time`, allows another attempt. A build asked for before looks once more directly before it asks again.
- One image tag has one writer at a time, in the order of the pushes (`seq`): a build holds its tags from PLANNED until
  it is final, so that an older build that refuses to be cancelled still cannot overwrite what a newer one pushed.
- A DELETE is sent only in phases that it can end for good, and only on a fresh read: polls may be half a minute apart,
  and one that meets `internalerror` is answered 400 *and destroys the queue item*, so that the build reads `expired`
  and holds its image tags for the whole grace time. After two DELETEs whose answers were lost it is only watched.
- `internalerror` is not final (Quay retries twice); `expired` is final only when it lasts, or when it is read once more
  after the log showed three attempts; `cannot_load` is no observation; `waiting` can last for ever.
- Before it is asked for a build may wait for the bot's own sake: for its ref to be quiet, for an older build of its
  tags, for a place under a cap, or in line for Quay's full queue. It is PLANNED all the while: it holds its tags, and a
  newer push drops it without a call. Time in which the bot held it back does not count against it.
- What certainly never left (`NOT_SENT`, `Blocked`) takes its intent back, so that it reads as if it had not been tried.
- Every limit ends in words. Time that nobody could observe does not end a build whose cancel has not been tried yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import assert_never

from buildbot.domain.build import (
    COMMIT_PLACEHOLDERS,
    Build,
    BuildPhase,
    CancelReason,
    Comparison,
    Delete,
    DeleteState,
    GoalKind,
    LogDigest,
    Seen,
    WaitingLine,
)
from buildbot.domain.cadence import backoff, poll_after
from buildbot.domain.pattern import touches

P = BuildPhase

TRANSITIONS: Mapping[BuildPhase, frozenset[BuildPhase]] = {
    P.COMPARING: frozenset({P.PLANNED, P.ERRORED, P.CANCELLED, P.SKIPPED}),
    P.PLANNED: frozenset({P.REQUESTING, P.WAITING, P.BUILDING, P.SUCCEEDED, P.FAILED, P.ERRORED, P.CANCELLED}),
    P.REQUESTING: frozenset({P.PLANNED, P.WAITING, P.BUILDING, P.SUCCEEDED, P.FAILED, P.ERRORED, P.CANCELLED}),
    P.WAITING: frozenset({P.PLANNED, P.BUILDING, P.SUCCEEDED, P.FAILED, P.ERRORED, P.CANCELLED}),
    P.BUILDING: frozenset({P.PLANNED, P.WAITING, P.SUCCEEDED, P.FAILED, P.ERRORED, P.CANCELLED}),
    P.SUCCEEDED: frozenset(),
    P.FAILED: frozenset(),
    P.ERRORED: frozenset(),
    P.CANCELLED: frozenset(),
    P.SKIPPED: frozenset(),
}

COURSE = ("build-scheduled", "unpacking", "pulling", "building", "pushing")
WORKING = frozenset(COURSE)
CANCELLABLE = WORKING - {"pushing"} | {"waiting"}
RETRYING = frozenset({"internalerror", "expired"})
ENDED_AT_QUAY = frozenset({"complete", "error", "cancelled"})

QUAY_ATTEMPTS = 3
LOG_READS = 3
VANISHED_READS = 2
EXACT_PLACES = 10
DELETES = 2
AFTER_TIMEOUT = timedelta(minutes=10)
LOOK_IS_FRESH = timedelta(seconds=5)
REPLICATION = timedelta(minutes=1)
COMPARE_PATIENCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each thing may take, per registry (and per rule: `build_timeout`)."""

    poll_interval: timedelta = timedelta(seconds=5)
    expired_grace: timedelta = timedelta(minutes=10)
    waiting_timeout: timedelta = timedelta(minutes=10)
    build_timeout: timedelta = timedelta(hours=3)
    give_up_after: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Holder:
    """Something older that has not ended and will write these image tags; `what` names it for people."""

    image_tags: tuple[str, ...]
    what: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What a decision depends on besides the build itself.

    `settled`: the settle time of the attempt in doubt is over, by the monotonic clock of whoever watches it.
    `typical` is the usual build time of this repository.
    """

    now: datetime
    limits: Limits = field(default_factory=Limits)
    holders: tuple[Holder, ...] = ()
    settled: bool = False
    typical: timedelta | None = None


# ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rest:
    """Final: nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing before `until` (None: until something else changes)."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Hold:
    """An older build still holds one of the image tags."""

    behind: Holder


@dataclass(frozen=True, slots=True)
class Quiet:
    """The ref has to be quiet until then, so that a burst of pushes becomes one build."""

    until: datetime


@dataclass(frozen=True, slots=True)
class ResolveCommit:
    """Ask the forge for the commit of an annotated tag."""


@dataclass(frozen=True, slots=True)
class ComparePaths:
    """Ask the forge which paths have changed, for a rule that is about some paths only."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Nobody can tell which paths have changed: the build is wanted."""

    because: str


@dataclass(frozen=True, slots=True)
class CheckSource:
    """Ask the forge whether the commit and its Dockerfile are there."""


@dataclass(frozen=True, slots=True)
class RequestBuild:
    """requestRepoBuild, as the next attempt."""


@dataclass(frozen=True, slots=True)
class FindBuild:
    """Look for the mark of the last attempt in getRepoBuilds, passing over the builds in `seen.ended`."""


@dataclass(frozen=True, slots=True)
class PollBuild:
    """Read the phase, and the log where the phase asks for it."""


@dataclass(frozen=True, slots=True)
class CancelBuild:
    """cancelRepoBuild, for this reason."""

    reason: CancelReason
    detail: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Quay was never asked: cancelled without a call."""

    reason: CancelReason
    detail: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A limit passed that no call can mend."""

    because: str


Action = (
    Rest
    | Wait
    | Hold
    | Quiet
    | ResolveCommit
    | ComparePaths
    | Admit
    | CheckSource
    | RequestBuild
    | FindBuild
    | PollBuild
    | CancelBuild
    | Drop
    | GiveUp
)


# ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Failure(StrEnum):
    """How a call failed, by what follows from it (the engine maps the ports' errors to these)."""

    NOT_SENT = "not-sent"
    UNANSWERED = "unanswered"
    REFUSED = "refused"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Failed:
    """A call failed. `because` is one line for people; `retry_at` when the other side named a time."""

    kind: Failure
    because: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """The call was not tried, or certainly never left: the other side is known to be unreachable, paused for a refused
    credential, or throttled. That is nobody's failure, so back-off does not grow; not `until` then. An intent that was
    written down for the call is taken back.
    """

    because: str
    until: datetime


@dataclass(frozen=True, slots=True)
class InLine:
    """The store gave the request no place: others come first. `place` counts from 1; nothing changes before `until`
    unless a build ends (None: only then)."""

    line: WaitingLine
    place: int
    because: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueFull:
    """Quay's queue of the namespace takes no more builds; `retry_at` when it named a time."""

    because: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CommitKnown:
    """The commit that the annotated tag points to."""

    commit: str


@dataclass(frozen=True, slots=True)
class PathsCompared:
    """The paths in which the commit differs from `base`, by its name for people; None: the forge cannot tell."""

    paths: tuple[str, ...] | None
    base: str


@dataclass(frozen=True, slots=True)
class SourceChecked:
    """The source is there as far as anybody can tell; `missing` says what certainly is not."""

    missing: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """The list, read whole, does not hold the mark."""


@dataclass(frozen=True, slots=True)
class PhaseRead:
    """Quay's word for the build now.

    `active` counts other builds of the repository that Quay works on, `ahead` those that wait before it; None where
    only this build was asked for. `log` comes with phases that need it (`error`, `expired`); None: could not be read.
    """

    phase: str
    active: int | None = None
    ahead: int | None = None
    log: LogDigest | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Quay has the build: answered 201, or its mark was found in the list."""

    quay_id: str
    started: datetime | None
    tags: tuple[str, ...]
    read: PhaseRead


@dataclass(frozen=True, slots=True)
class CancelDone:
    """The DELETE was answered 201: cancelled at once and for good."""


Outcome = (
    Failed
    | Blocked
    | InLine
    | QueueFull
    | CommitKnown
    | PathsCompared
    | SourceChecked
    | Absent
    | PhaseRead
    | Accepted
    | CancelDone
)


# ── decide ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def decide(build: Build, scene: Scene) -> Action:
    """The next single step for a build."""
    match build.seen.phase:
        case P.SUCCEEDED | P.FAILED | P.ERRORED | P.CANCELLED | P.SKIPPED:
            return Rest()
        case P.COMPARING:
            return _decide_comparing(build, scene)
        case P.PLANNED:
            return _decide_planned(build, scene)
        case P.REQUESTING:
            return _decide_requesting(build, scene)
        case P.WAITING | P.BUILDING:
            return _decide_accepted(build, scene)
        case _ as never:
            assert_never(never)


def _decide_comparing(build: Build, scene: Scene) -> Action:
    seen = build.seen
    if build.goal.kind is not GoalKind.BUILD:
        return _dropped(build)
    if seen.because and _older_than(build.created_at, COMPARE_PATIENCE, scene.now):
        return Admit(f"what changed cannot be told: {seen.because}")
    if seen.due and scene.now < seen.due:
        return Wait(max(scene.now, min(seen.due, build.created_at + COMPARE_PATIENCE)))
    return ComparePaths()


def _dropped(build: Build) -> Drop:
    return Drop(build.goal.reason or CancelReason.PERSON, build.goal.detail)


def _decide_planned(build: Build, scene: Scene) -> Action:
    seen = build.seen
    if build.goal.kind is not GoalKind.BUILD:
        return _dropped(build)
    if build.request.impossible:
        return GiveUp(build.request.impossible)
    if limit := _planned_too_long(build, scene):
        return GiveUp(limit)
    if seen.due and scene.now < seen.due:
        return Wait(seen.due)
    if scene.now < (quiet_at := build.created_at + build.request.quiet_period):
        return Quiet(quiet_at)
    if build.commit is None:
        return ResolveCommit()
    if seen.attempt == 0 and not seen.is_checked and build.request.dockerfile:
        return CheckSource()
    if holder := next((h for h in scene.holders if overlap(h.image_tags, build.request.image_tags)), None):
        return Hold(holder)
    return RequestBuild() if seen.attempt == 0 or _is_fresh(seen.looked_at, scene.now) else FindBuild()


def _planned_too_long(build: Build, scene: Scene) -> str:
    seen = build.seen
    if _is_unaccepted_too_long(build, scene):
        nobody = "Quay did not take the build" if build.commit else "the forge did not tell the tag's commit"
        return _gave_up(nobody, scene.limits.give_up_after, seen.because)
    if seen.ran >= timeout_of(build, scene.limits):
        return f"timed out after {in_words(timeout_of(build, scene.limits))} in Quay's queue"
    return ""


def _is_unaccepted_too_long(build: Build, scene: Scene) -> bool:
    since = build.seen.unaccepted_since or build.created_at
    is_untried = build.seen.attempt == 0 and not build.seen.because
    if is_untried or build.seen.is_held:
        return False  # the bot was down, or held it back itself, which is no reason to lose a push
    return _older_than(since, scene.limits.give_up_after, scene.now)


def _decide_requesting(build: Build, scene: Scene) -> Action:
    seen = build.seen
    if _is_unaccepted_too_long(build, scene):
        return GiveUp(_gave_up("Quay never said whether it took the build", scene.limits.give_up_after, seen.because))
    if not scene.settled:
        return Wait(None)
    if seen.due and scene.now < seen.due:
        return Wait(seen.due)
    return FindBuild()


def _decide_accepted(build: Build, scene: Scene) -> Action:
    seen, limits = build.seen, scene.limits
    if _older_than(seen.silent_since, limits.give_up_after, scene.now):
        return GiveUp(_gave_up("Quay has not told the build's phase", limits.give_up_after, seen.because))
    is_early = seen.due is not None and scene.now < seen.due
    is_troubled = bool(seen.failures) or seen.silent_since is not None
    cancel = wanted_cancel(build, scene) if _may_delete(seen) else None
    if _is_overdue(build, limits) and (cancel is None or seen.failures):
        timeout = in_words(timeout_of(build, limits))
        return GiveUp(f"timed out after {timeout}, and Quay did not let it be cancelled")
    if cancel and not (is_early and is_troubled):
        return cancel if _is_fresh(seen.observed_at, scene.now) else PollBuild()
    return Wait(seen.due) if is_early else PollBuild()


def _is_overdue(build: Build, limits: Limits) -> bool:
    seen = build.seen
    sent = seen.delete if seen.delete and seen.delete.reason is CancelReason.TIMED_OUT else None
    cancel_is_old = bool(sent and seen.observed_at and seen.observed_at - sent.sent_at >= AFTER_TIMEOUT)
    return cancel_is_old or seen.ran >= timeout_of(build, limits) + AFTER_TIMEOUT


def wanted_cancel(build: Build, scene: Scene) -> CancelBuild | None:
    """Why this accepted build should be cancelled at Quay, or None."""
    seen, goal, limits = build.seen, build.goal, scene.limits
    if seen.wrong_tags:
        return CancelBuild(CancelReason.WRONG_TAGS, seen.wrong_tags)
    is_queued = seen.phase is P.WAITING
    if goal.kind is GoalKind.CANCEL or (goal.kind is GoalKind.CANCEL_QUEUED and is_queued):
        return CancelBuild(goal.reason or CancelReason.PERSON, goal.detail)
    if seen.ran >= timeout_of(build, limits):
        return CancelBuild(CancelReason.TIMED_OUT, in_words(timeout_of(build, limits)))
    if is_queued and _older_than(seen.idle_since, limits.waiting_timeout, scene.now):
        return CancelBuild(CancelReason.STARVED, in_words(limits.waiting_timeout))
    return None


def _may_delete(seen: Seen) -> bool:
    if seen.quay_phase not in CANCELLABLE:
        return False
    if (sent := seen.delete) is None:
        return True
    return sent.state is not DeleteState.REFUSED and sent.read_since and sent.tries < DELETES


def overlap(held: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether two lists name one image tag; a tag whose commit is still unknown may be any that fits its text."""
    one, other = tuple(held), tuple(wanted)
    if not set(one).isdisjoint(other):
        return True
    open_ones, open_others = _with_commit_open(one), _with_commit_open(other)
    return _fits_any(one, open_others) or _fits_any(other, open_ones)


def _with_commit_open(tags: Iterable[str]) -> list[str]:
    return [_any_commit(tag) for tag in tags if "{" in tag]


def _any_commit(tag: str) -> str:
    for placeholder in COMMIT_PLACEHOLDERS:
        tag = tag.replace(placeholder, "*")
    return tag


def _fits_any(tags: Iterable[str], patterns: Sequence[str]) -> bool:
    return bool(patterns) and any(fnmatchcase(tag, pattern) for tag in tags for pattern in patterns)


def timeout_of(build: Build, limits: Limits) -> timedelta:
    """The build's own timeout, else the registry's."""
    return build.request.timeout or limits.build_timeout


def _is_fresh(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since <= LOOK_IS_FRESH


def _older_than(since: datetime | None, limit: timedelta, now: datetime) -> bool:
    return since is not None and now - since >= limit


def _gave_up(what: str, limit: timedelta, because: str) -> str:
    return f"{what} for {in_words(limit)}" + (f": {because}" if because else "")


# ── begin ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def begin(build: Build, action: Action, now: datetime) -> Build:
    """The build with the intent of a call written down, to be saved before the call is made."""
    seen = build.seen
    match action:
        case RequestBuild():
            asked = {
                "phase": P.REQUESTING,
                "attempt": seen.attempt + 1,
                "asked_at": now,
                "looked_at": None,
                "due": None,
                "line": None,
                "place": 0,
            }
            return _with(_let_go(build, now), because="", **asked)
        case FindBuild() | ResolveCommit() | CheckSource():
            return _let_go(build, now)
        case CancelBuild(reason, detail):
            before = seen.delete
            first = before.sent_at if before and before.reason is reason else now
            return _with(build, delete=Delete(reason, detail, first, before.tries + 1 if before else 1), due=None)
        case _:
            return build


def _let_go(build: Build, now: datetime) -> Build:
    return _with(build, is_held=False, unaccepted_since=now) if build.seen.is_held else build


def _with(build: Build, **changes: object) -> Build:
    return replace(build, seen=replace(build.seen, **changes))  # type: ignore[arg-type]  # names are checked by the tests


# ── evolve ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def evolve(build: Build, action: Action, outcome: Outcome | None, scene: Scene) -> Build:
    """The build after `action` came to `outcome` (None for the actions that make no call)."""
    match action, outcome:
        case (Rest() | Wait(), _):
            return build
        case Hold(behind), _:
            return _held(build, f"waits for {behind.what}")
        case Quiet(until), _:
            return _held(build, f"waits for quiet until {until:%H:%M:%S} UTC")
        case Drop(reason, detail), _:
            return end(build, P.CANCELLED, cancelled_in_words(reason, detail), scene.now)
        case GiveUp(because), _:
            return end(build, P.ERRORED, because, scene.now)
        case Admit(because), _:
            return _admitted(build, because)
        case _, PathsCompared() as compared:
            return _compared(build, compared, scene.now)
        case _, SourceChecked(missing):
            return _checked(build, missing, scene.now)
        case _, InLine() as given:
            return _in_line(build, given, scene.now)
        case _, QueueFull() as full:
            return _queue_full(build, full)
        case _, CommitKnown(commit):
            known = replace(build, commit=commit, request=build.request.for_commit(commit))
            return _with(known, because="", failures=0, due=None)
        case _, Absent():
            return _absent(build, scene.now)
        case _, Accepted() as accepted:
            return _accepted(build, accepted, scene)
        case _, PhaseRead() as read:
            return _read(build, read, scene)
        case _, CancelDone():
            return _cancelled(build, scene.now)
        case _, Failed() as failed:
            return _failed(build, action, failed, scene)
        case _, Blocked() as blocked:
            return _blocked(build, action, blocked, scene.now)
        case _:
            raise ValueError(f"{action} cannot come to {outcome}")


def end(build: Build, phase: BuildPhase, because: str, now: datetime) -> Build:
    """The build in a final phase. Raises ValueError where the table does not allow it."""
    ended = _with(_moved(build, phase), because=because, finished_at=now, due=None, silent_since=None)
    return _with(ended, is_held=False, line=None, place=0)


def _moved(build: Build, phase: BuildPhase) -> Build:
    if phase is build.seen.phase:
        return build
    if phase not in TRANSITIONS[build.seen.phase]:
        raise ValueError(f"a build does not go from {build.seen.phase} to {phase}")
    return _with(build, phase=phase)


def _admitted(build: Build, because: str) -> Build:
    return _with(_moved(build, P.PLANNED), wanted_because=because, because="", failures=0, due=None)


def _compared(build: Build, compared: PathsCompared, now: datetime) -> Build:
    asked, paths = build.request.comparison, compared.paths
    if asked is None or paths is None:
        return _admitted(build, f"what changed since {compared.base} cannot be told")
    if not paths and asked.base is None:
        return _admitted(build, f"a new branch with nothing of its own since {compared.base}")
    if changed := _concerned(build, asked, paths):
        return _admitted(build, f"{changed} changed since {compared.base}")
    count = "1 path" if len(paths) == 1 else f"{len(paths) or 'no'} paths"
    because = f"{count} changed since {compared.base}, and none matches {', '.join(asked.paths)}"
    return end(build, P.SKIPPED, because, now)


def _concerned(build: Build, asked: Comparison, paths: tuple[str, ...]) -> str | None:
    inside = build.request.submodules
    return next((path for path in paths if touches(asked.paths, path, may_be_submodule=inside)), None)


def _checked(build: Build, missing: str, now: datetime) -> Build:
    return end(build, P.ERRORED, missing, now) if missing else _with(build, is_checked=True, failures=0, due=None)


def _held(build: Build, because: str) -> Build:
    return _with(build, because=because, is_held=True, line=None, place=0)


def _in_line(build: Build, given: InLine, now: datetime) -> Build:
    if _stands_as_told(build.seen, given):
        return build
    if given.line is WaitingLine.PLACE:
        return _with(_held(build, "waits for a free place"), line=given.line, place=given.place, failures=0)
    return _with(_let_go(build, now), because=given.because, line=given.line, place=given.place)


def _stands_as_told(seen: Seen, given: InLine) -> bool:
    # Far back a place is told anew only when it has changed by a quarter: else every build that ends would rewrite the
    # whole line behind it.
    if seen.line is not given.line or min(seen.place, given.place) <= EXACT_PLACES:
        return (seen.line, seen.place) == (given.line, given.place)
    return abs(seen.place - given.place) * 4 < seen.place


def _queue_full(build: Build, full: QueueFull) -> Build:
    unsent, failures = _unsent(build, RequestBuild()), build.seen.failures + 1
    waiting = {"line": WaitingLine.QUEUE, "place": 1, "due": full.retry_at, "failures": failures}
    return _with(unsent, because=full.because, **waiting)


def _absent(build: Build, now: datetime) -> Build:
    seen = build.seen
    is_lost_again = seen.phase is P.REQUESTING and seen.failures > 0
    due = now + backoff(seen.failures) if is_lost_again else None
    because = seen.because if seen.line else ""
    return _with(_moved(build, P.PLANNED), because=because, looked_at=now, silent_since=None, due=due)


def _accepted(build: Build, accepted: Accepted, scene: Scene) -> Build:
    wanted = build.request.image_tags
    # An answer without tags says nothing about them; Quay itself always has one at least.
    is_as_asked = not accepted.tags or set(accepted.tags) == set(wanted)
    wrong = "" if is_as_asked else f"Quay took {', '.join(accepted.tags)} instead of {', '.join(wanted)}"
    taken = _with(
        _moved(build, P.WAITING),
        quay_id=accepted.quay_id,
        quay_started=accepted.started,
        quay_attempt=1,
        quay_phase="",
        accepted_at=build.seen.accepted_at or scene.now,
        observed_at=scene.now,
        unaccepted_since=None,
        is_held=False,
        line=None,
        place=0,
        looked_at=None,
        wrong_tags=wrong,
        delete=None,
        because="",
        building_since=None,
        idle_since=None,
        expired_since=None,
        behind=False,
        log=None,
        log_failures=0,
    )
    return _read(taken, accepted.read, scene)


def _read(build: Build, read: PhaseRead, scene: Scene) -> Build:
    if read.phase == "cannot_load":
        return _unobserved(build, scene)
    observed = _observed(build, read, scene)
    match read.phase:
        case "waiting":
            return _next_poll(_moved(observed, P.WAITING), scene)
        case "complete":
            return _complete(observed, scene.now)
        case "error":
            return _failed_at_quay(observed, read.log, scene)
        case "expired":
            return _expired(build, observed, read.log, scene)
        case "cancelled":
            return _cancelled(observed, scene.now)
        case word if word in WORKING or word in RETRYING:
            return _next_poll(_moved(observed, P.BUILDING), scene)
        case _:
            return _next_poll(observed, scene)


def _unobserved(build: Build, scene: Scene) -> Build:
    silent = build.seen.silent_since or scene.now
    because = "Quay cannot tell the phase (its Redis may be down)"
    word = build.seen.quay_phase if build.seen.quay_phase in RETRYING else "cannot_load"
    return _next_poll(_with(build, quay_phase=word, silent_since=silent, because=because, failures=0), scene)


def _observed(build: Build, read: PhaseRead, scene: Scene) -> Build:
    seen, now = build.seen, scene.now
    is_waiting = read.phase == "waiting"
    active = read.active if read.active is not None else int(seen.behind)
    behind = is_waiting and active > 0
    is_known = is_waiting or read.phase in WORKING or read.phase in RETRYING
    is_new_word = read.phase != seen.quay_phase
    return _with(
        build,
        quay_phase=read.phase,
        quay_phase_since=now if is_new_word else seen.quay_phase_since,
        quay_attempt=seen.quay_attempt + _is_retried(seen.quay_phase, read.phase),
        observed_at=now,
        ran=seen.ran if behind or seen.behind else _ran(build, scene),
        behind=behind,
        ahead=read.ahead if read.ahead is not None else seen.ahead,
        building_since=None if is_waiting else seen.building_since or (now if is_known else None),
        idle_since=(seen.idle_since or now) if is_waiting and not behind else None,
        expired_since=(seen.expired_since or now) if read.phase == "expired" else None,
        delete=replace(seen.delete, read_since=True) if seen.delete else None,
        log=read.log or seen.log,
        because="",
        failures=0,
        vanished=0,
        silent_since=None,
    )


def _is_retried(before: str, now: str) -> bool:
    if now not in WORKING:
        return False
    return before in RETRYING or (before in WORKING and COURSE.index(now) < COURSE.index(before))


def _ran(build: Build, scene: Scene) -> timedelta:
    seen, timeout = build.seen, timeout_of(build, scene.limits)
    ran = seen.ran + (scene.now - (seen.observed_at or scene.now))
    # stops once at the timeout: what passed while nobody looked must not end a build that nobody tried to cancel
    return ran if seen.ran >= timeout else min(ran, timeout)


def _next_poll(build: Build, scene: Scene) -> Build:
    interval = poll_after(build.seen, scene.now, scene.limits.poll_interval, scene.typical)
    if wanted_cancel(build, scene):
        interval = scene.limits.poll_interval
    return _with(build, due=scene.now + interval)


def _complete(build: Build, now: datetime) -> Build:
    if build.seen.wrong_tags:
        return end(build, P.ERRORED, f"{build.seen.wrong_tags}, and pushed it before it could be cancelled", now)
    return end(build, P.SUCCEEDED, "", now)


def _expired(build: Build, observed: Build, log: LogDigest | None, scene: Scene) -> Build:
    # The phase is read before the log, and Quay may begin its last attempt in between: so the log has to have shown
    # three attempts before a read that still says `expired`.
    was_used_up = build.seen.log is not None and build.seen.log.attempts >= QUAY_ATTEMPTS
    if was_used_up or _older_than(observed.seen.expired_since, scene.limits.expired_grace, scene.now):
        return _failed_at_quay(observed, log, scene)
    building = _moved(observed, P.BUILDING)
    is_used_up = log is not None and log.attempts >= QUAY_ATTEMPTS
    return _with(building, due=scene.now) if is_used_up else _next_poll(building, scene)


def _failed_at_quay(build: Build, read_now: LogDigest | None, scene: Scene) -> Build:
    building, log = _moved(build, P.BUILDING), build.seen.log
    if read_now is None and build.seen.log_failures < LOG_READS:
        tries = build.seen.log_failures + 1
        return _with(building, log_failures=tries, due=scene.now + backoff(tries))
    if build.seen.wrong_tags:
        return end(building, P.ERRORED, build.seen.wrong_tags, scene.now)
    if log is not None and not log.has_output and build.seen.quay_phase == "expired":
        return end(building, P.ERRORED, _no_log(build), scene.now)
    return end(building, P.FAILED, reason_in_log(log), scene.now)


def _no_log(build: Build) -> str:
    unusable = "Quay's builder could not use the source archive"
    relay = "private source needs the archive relay: set server.public_url"
    return f"{unusable}: {relay}" if build.source.private else unusable


def reason_in_log(log: LogDigest | None) -> str:
    """What a log says of a failure: "failed in step 3/7: RUN make: <last output line>", as far as it tells."""
    if log is None:
        return "Quay gave no reason and its log could not be read"
    if not log.failed_step:
        return f"Quay gave no reason; the log ends: {log.last_line}" if log.last_line else "Quay gave no reason"
    return f"failed in step {log.failed_step}" + (f": {log.last_line}" if log.last_line else "")


def _cancelled(build: Build, now: datetime) -> Build:
    sent = build.seen.delete
    if sent is None or (sent.state is DeleteState.REFUSED and sent.tries == 1):
        return end(build, P.CANCELLED, "cancelled in Quay", now)
    match sent.reason:
        case CancelReason.SUPERSEDED | CancelReason.DELETED | CancelReason.PERSON:
            return end(build, P.CANCELLED, cancelled_in_words(sent.reason, sent.detail), now)
        case CancelReason.TIMED_OUT:
            return end(build, P.ERRORED, f"timed out after {sent.detail}", now)
        case CancelReason.WRONG_TAGS:
            return end(build, P.ERRORED, sent.detail, now)
        case CancelReason.STARVED:
            return _starved(build, now)
        case _ as never:
            assert_never(never)


def _starved(build: Build, now: datetime) -> Build:
    seen = build.seen
    return _with(
        _moved(build, P.PLANNED),
        ended=(*seen.ended, seen.quay_id) if seen.quay_id else seen.ended,
        because="Quay forgot the build in its queue, asking again",
        quay_id=None,
        quay_phase="",
        idle_since=None,
        delete=None,
        unaccepted_since=now,
        looked_at=None,
        due=None,
    )


# ── failed calls ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _failed(build: Build, action: Action, failed: Failed, scene: Scene) -> Build:
    match action:
        case RequestBuild():
            return _request_failed(build, failed, scene.now)
        case CancelBuild():
            return _cancel_failed(build, failed, scene.now)
        case ResolveCommit():
            return _resolve_failed(build, failed, scene.now)
        case ComparePaths():
            return _compare_failed(build, failed, scene.now)
        case CheckSource():
            return _check_failed(build, failed, scene.now)
        case _:
            return _look_failed(build, failed, scene.now)


def _request_failed(build: Build, failed: Failed, now: datetime) -> Build:
    match failed.kind:
        case Failure.NOT_SENT:
            return _later(_unsent(build, RequestBuild()), failed, now)
        case Failure.UNANSWERED:
            return _with(build, because=failed.because, failures=build.seen.failures + 1)
        case Failure.REFUSED | Failure.VANISHED:
            return end(build, P.ERRORED, failed.because, now)
        case _ as never:
            assert_never(never)


def _cancel_failed(build: Build, failed: Failed, now: datetime) -> Build:
    sent = _delete_of(build)
    match failed.kind:
        case Failure.NOT_SENT:
            return _later(_unsent(build, CancelBuild(sent.reason, sent.detail)), failed, now)
        case Failure.UNANSWERED:
            doubtful = replace(sent, state=DeleteState.UNANSWERED, read_since=False)
            return _with(build, delete=doubtful, due=now)
        case Failure.REFUSED | Failure.VANISHED:
            return _with(build, delete=replace(sent, state=DeleteState.REFUSED, refusal=failed.because), due=now)
        case _ as never:
            assert_never(never)


def _delete_of(build: Build) -> Delete:
    if build.seen.delete is None:
        raise ValueError("a DELETE came to something that was never written down")
    return build.seen.delete


def _unsent(build: Build, action: Action) -> Build:
    match action:
        case RequestBuild():
            return _with(_moved(build, P.PLANNED), attempt=build.seen.attempt - 1)
        case CancelBuild():
            sent = _delete_of(build)
            before = replace(sent, tries=sent.tries - 1, state=DeleteState.UNANSWERED, read_since=True)
            return _with(build, delete=before if before.tries else None)
        case _:
            return build


def _blocked(build: Build, action: Action, blocked: Blocked, now: datetime) -> Build:
    if isinstance(action, CheckSource):
        return _with(build, is_checked=True)
    unsent = _unsent(build, action)
    is_accepted = unsent.seen.phase in {P.WAITING, P.BUILDING}
    silent = unsent.seen.silent_since or now if is_accepted else unsent.seen.silent_since
    return _with(unsent, because=blocked.because, due=blocked.until, silent_since=silent, line=None, place=0)


def _resolve_failed(build: Build, failed: Failed, now: datetime) -> Build:
    # Straight after the push the forge may not know its own tag yet.
    is_replicating = failed.kind is Failure.VANISHED and now - build.created_at < REPLICATION
    if failed.kind in {Failure.REFUSED, Failure.VANISHED} and not is_replicating:
        return end(build, P.ERRORED, f"the tag's commit could not be found: {failed.because}", now)
    return _later(build, failed, now)


def _compare_failed(build: Build, failed: Failed, now: datetime) -> Build:
    if failed.kind in {Failure.REFUSED, Failure.VANISHED}:
        return _admitted(build, f"what changed cannot be told: {failed.because}")
    return _later(build, failed, now)


def _check_failed(build: Build, failed: Failed, now: datetime) -> Build:
    if failed.kind is not Failure.VANISHED:
        return _with(build, is_checked=True)  # whoever cannot tell has nothing against it
    if now - build.created_at < REPLICATION:
        return _later(build, failed, now)
    return end(build, P.ERRORED, f"the commit is not there: {failed.because}", now)


def _look_failed(build: Build, failed: Failed, now: datetime) -> Build:
    if failed.kind is Failure.VANISHED and build.seen.quay_id:
        vanished = build.seen.vanished + 1
        if vanished >= VANISHED_READS:
            return end(build, P.ERRORED, "Quay no longer knows the build", now)
        return _with(build, vanished=vanished, due=now + backoff(vanished))
    return _later(_with(build, silent_since=build.seen.silent_since or now), failed, now)


def _later(build: Build, failed: Failed, now: datetime) -> Build:
    failures = build.seen.failures + 1
    due = max(failed.retry_at or now, now + backoff(failures))
    return _with(build, failures=failures, because=failed.because, due=due, line=None, place=0)


# ── the table, drawn ─────────────────────────────────────────────────────────────────────────────────────────────────


def diagram() -> str:
    """TRANSITIONS as a Mermaid state diagram, which is what docs/lifecycle.md shows (a test keeps it so)."""
    lines = ["stateDiagram-v2", f"    [*] --> {P.PLANNED}", f"    [*] --> {P.COMPARING}"]
    lines += [f"    {one} --> {other}" for one in P for other in P if other in TRANSITIONS[one]]
    lines += [f"    {phase} --> [*]" for phase in P if phase.is_final]
    return "\n".join(lines)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cancelled_in_words(reason: CancelReason, detail: str) -> str:
    """ "superseded by 1a2b3c4", "branch main was deleted", "cancelled by ada"."""
    match reason:
        case CancelReason.SUPERSEDED:
            return f"superseded by {detail}"
        case CancelReason.DELETED:
            return f"{detail} was deleted"
        case CancelReason.PERSON:
            return f"cancelled by {detail}" if detail else "cancelled"
        case CancelReason.TIMED_OUT | CancelReason.WRONG_TAGS | CancelReason.STARVED:
            return detail
        case _ as never:
            assert_never(never)


def in_words(span: timedelta) -> str:
    """A duration for people: "45 s", "3 m 12 s", "2 h 5 m"."""
    seconds = int(span.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60} s" if seconds % 60 else f"{seconds // 60} m"
    minutes = seconds % 3600 // 60
    return f"{seconds // 3600} h {minutes} m" if minutes else f"{seconds // 3600} h"
