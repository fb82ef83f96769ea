"""One random run of the whole machine: pushes, crashes, lost answers and a moody Quay, drawn from a seed.

The driver does what the engine does: take the rows, decide, write the intent down, call, fold in, save. A process may
die at every boundary between two of these; another one then starts from the saved rows alone, while a call of the dead
one may still land. `Driver.run` returns what went wrong in words: an empty list is a good run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from buildbot.domain.build import (
    Build,
    BuildId,
    BuildPhase,
    BuildRequest,
    CancelReason,
    Goal,
    GoalKind,
    LogDigest,
    WaitingLine,
)
from buildbot.domain.history import Late, Move, Next, Repetition, place
from buildbot.domain.lifecycle import (
    Absent,
    Accepted,
    Action,
    Blocked,
    CancelBuild,
    CancelDone,
    CommitKnown,
    Drop,
    Failed,
    Failure,
    FindBuild,
    GiveUp,
    Hold,
    Holder,
    InLine,
    Limits,
    Outcome,
    PhaseRead,
    PollBuild,
    QueueFull,
    Quiet,
    RequestBuild,
    ResolveCommit,
    Rest,
    Scene,
    Wait,
    begin,
    decide,
    evolve,
)
from buildbot.domain.places import IN_FLIGHT, Caps, Traffic, Waiter, seat
from buildbot.domain.push import Source
from tests.domain.quay_model import COURSE, OVER, Attempt, Course, QuayBuild, QuayModel

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE, REQUEST_TIMEOUT, CHAOS_ENDS, MOST_STEPS = 30.0, 20.0, 6 * 3600.0, 20_000
SOURCE = Source("github", "1", "acme/api")


class Crash(Exception):
    """The process dies here: what it did not save is gone."""


@dataclass(frozen=True)
class Sabotage:
    """What the driver leaves out, to show that the simulation would notice."""

    forgets_intent: bool = False
    ignores_holders: bool = False
    never_settles: bool = False
    drops_strays: bool = False
    believes_first_log: bool = False
    ignores_history: bool = False


@dataclass(frozen=True)
class Mood:
    """How unkind this run is: chances for each call or boundary."""

    crash: float
    lost: float
    refused: float
    unsent: float
    die: float
    outage: float
    late_beyond_settle: bool
    tells_push_times: bool
    limits: Limits
    cap: int = 0
    full: float = 0.0
    quiet_period: timedelta = timedelta()


@dataclass(frozen=True)
class Push:
    """A push as the forge made it: what moved, when, and what it is worth to Quay."""

    ref: str
    before: str | None
    after: str | None
    at: float


def moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def draw_mood(rng: Random) -> Mood:
    limits = Limits(
        poll_interval=timedelta(seconds=rng.choice([5, 15])),
        waiting_timeout=timedelta(minutes=rng.choice([3, 10])),
        build_timeout=timedelta(minutes=rng.choice([15, 180])),
        give_up_after=timedelta(minutes=rng.choice([30, 1440, 1440])),
    )
    is_late = rng.random() < 0.15
    return Mood(
        crash=rng.choice([0, 0, 0.02, 0.1]),
        lost=0.5 if is_late else rng.choice([0, 0.05, 0.3]),
        refused=rng.choice([0, 0.05]),
        unsent=rng.choice([0, 0.05, 0.3]),
        die=rng.choice([0, 0.2, 0.7]),
        outage=rng.choice([0, 0, 0.005]),
        late_beyond_settle=is_late,
        tells_push_times=rng.random() < 0.8,
        limits=limits,
    )


def with_order(rng: Random, mood: Mood) -> Mood:
    """The mood of a run in which builds may have to wait before they are asked for; drawn apart, so that a seed stays
    what it was."""
    quiet_period = timedelta(seconds=rng.choice([0, 0, 30, 600]))
    return replace(mood, cap=rng.choice([0, 0, 1, 2]), full=rng.choice([0, 0.3]), quiet_period=quiet_period)


def draw_course(rng: Random, mood: Mood) -> Course:
    def attempt() -> Attempt:
        roll = rng.random()
        pace, delay = rng.choice([0.5, 5.0, 40.0]), rng.choice([0.5, 5.0, 60.0])
        if roll < mood.die:
            return Attempt("die", rng.choice(COURSE), pace, delay)
        if roll > 0.98:
            return Attempt("hang", rng.choice(COURSE[3:]), pace, delay)
        return Attempt("error", "building", pace, delay) if roll > 0.95 else Attempt("complete", "pushing", pace, delay)

    return Course(
        (attempt(), attempt(), attempt()),
        is_forgotten=rng.random() < 0.05,
        has_output=rng.random() < 0.8,
        wrong_tags=rng.random() < 0.03,
    )


def draw_pushes(rng: Random) -> list[Push]:
    heads: dict[str, str | None] = {}
    pushes: list[Push] = []
    when = 0.0
    for number in range(rng.randint(1, 5)):
        when += 1 + rng.choice([1.0, 20.0, 200.0, 900.0]) * rng.random()
        ref = rng.choice(["refs/heads/main", "refs/heads/dev"])
        before = heads.get(ref)
        seen_before = [push.after for push in pushes if push.ref == ref and push.after != before]
        after = rng.choice(seen_before) if seen_before and rng.random() < 0.2 else f"{number:040x}"
        if before and rng.random() < 0.1:
            after = None
        if after != before:
            pushes.append(Push(ref, before, after, float(int(when))))
            heads[ref] = after
    return pushes


@dataclass
class Driver:
    """The engine in small, over one repository: rows and strays are the store, `_watched` is a process's memory."""

    seed: int
    sabotage: Sabotage = field(default_factory=Sabotage)
    has_order: bool = True

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        mood = draw_mood(self.rng)
        self.mood = with_order(Random(f"order {self.seed}"), mood) if self.has_order else mood
        self.luck = Random(f"luck {self.seed}")
        self.waits: set[str] = set()
        self.quay = QuayModel(self.rng)
        self.quay.is_bound = self._is_bound
        self.rows: dict[BuildId, Build] = {}
        self.strays: dict[str, bool] = {}
        self.moves: dict[str, list[Move]] = {}
        self.given_up: set[str] = set()
        self.confused: set[str] = set()
        self.pushes = draw_pushes(self.rng)
        self.down_until = -1.0
        self.undelivered = 0
        self._watched: dict[BuildId, float] = {}

    def run(self) -> list[str]:
        for push in self.pushes:
            for _ in range(self.rng.choice([1, 1, 2])):
                self.undelivered += 1
                late = self.rng.choice([0.0, 5.0, 400.0]) * self.rng.random()
                self.quay.at(push.at + late, partial(self._deliver, push))
        if self.rng.random() < 0.2:
            self.quay.at(self.rng.uniform(1, 600), self._someone_cancels_in_quay)
        if self.rng.random() < 0.2:
            self.quay.at(self.rng.uniform(1, 600), self._ada_cancels)
        steps = self._run_rows()
        self._run_to(self.quay.now + 3 * 7200)
        endless = [] if steps < MOST_STEPS else ["it never ends"]
        return [*self.quay.defects, *self._false_ends(), *self._lost_heads(), *endless]

    def _run_rows(self) -> int:
        for step in range(MOST_STEPS):
            if not self.undelivered and all(row.is_final for row in self.rows.values()):
                return step
            try:
                due = self._pass()
            except Crash:
                self._watched.clear()  # 0 seconds: another instance takes over at once
                self._run_to(self.quay.now + self.rng.choice([0.0, 1.0, 100.0]))
            else:
                self._run_to(max(self.quay.now + 0.5, min(due, self.quay.now + 30)))
        return MOST_STEPS

    # ── intake: the history of a ref, goals ──

    def _deliver(self, push: Push) -> None:
        self.undelivered -= 1
        moves = self.moves.setdefault(push.ref, [])
        pushed_at = moment(push.at) if self.mood.tells_push_times else None
        placed = place(moves, push.before, push.after, pushed_at)
        if self.sabotage.ignores_history and isinstance(placed, Late):
            placed = Next(moves[-1].position + 1, gap=True)
        if isinstance(placed, Repetition):
            self.confused |= {push.ref} if placed.move.pushed_at != pushed_at else set()
            return
        moves.append(Move(placed.position, push.before, push.after, pushed_at))
        moves.sort(key=lambda move: move.position)
        if isinstance(placed, Next):
            kind = GoalKind.CANCEL if push.after is None else self.rng.choice([GoalKind.CANCEL, GoalKind.CANCEL_QUEUED])
            reason = CancelReason.DELETED if push.after is None else CancelReason.SUPERSEDED
            self._take_back(push.ref, Goal(kind, reason, (push.after or push.ref)[-7:]))
        if push.after is not None:
            self._plan(push, placed)

    def _plan(self, push: Push, placed: Late | Next) -> None:
        seq = len(self.rows) + 1
        later = [move for move in self.moves[push.ref] if move.position > placed.position and move.after is not None]
        goal = Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "a later push") if later else Goal()
        name = push.ref.rpartition("/")[2]
        tags = self.rng.choice([("latest",), ("latest", name), (name, "sha-{short_sha}"), (name,)])
        request = BuildRequest("api", "quay", "acme/api", tags, "https://x/{sha}", "/r", "/r/Dockerfile", "quay/api")
        is_tag_object = self.rng.random() < 0.2
        commit = None if is_tag_object else push.after
        request = replace(request, quiet_period=self.mood.quiet_period)
        planned = request if commit is None else request.for_commit(commit)
        key, now = BuildId(f"b{seq}"), moment(self.quay.now)
        build = Build(key, seq, SOURCE, push.ref, commit, push.after, planned, now, goal, position=placed.position)
        self.rows[key] = build

    def _take_back(self, ref: str, goal: Goal) -> None:
        for row in self.rows.values():
            if row.ref == ref and not row.is_final and row.goal.kind is not GoalKind.CANCEL:
                self.rows[row.id] = replace(row, goal=goal)

    def _ada_cancels(self) -> None:
        if alive := [row for row in self.rows.values() if not row.is_final]:
            row = self.rng.choice(alive)
            self.rows[row.id] = replace(row, goal=Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"))

    def _someone_cancels_in_quay(self) -> None:
        if alive := [build for build in self.quay.builds if not self.quay.is_over(build)]:
            self.quay.delete(self.rng.choice(alive), "someone")

    # ── one pass over the rows ──

    def _pass(self) -> float:
        due = self.quay.now + 30
        self._sweep_strays()
        for build in sorted(self.rows.values(), key=lambda row: row.seq):
            if not build.is_final:
                due = min(due, self._step(self.rows[build.id]))
        return due

    def _step(self, row: Build) -> float:
        action = decide(row, self._scene(row))
        match action:
            case Rest():
                return self.quay.now + 30
            case Wait(until):
                return (until - EPOCH).total_seconds() if until else self.quay.now + 5
            case Quiet(until):
                self._act(row, action)
                return (until - EPOCH).total_seconds()
            case RequestBuild() if place := self._place(row):
                self.waits.add(place.line)
                self._save(evolve(row, action, place, self._scene(row)))
                return self.quay.now + 10
            case _:
                self._act(row, action)
                return self.quay.now + (10 if isinstance(action, Hold) else 0)

    def _place(self, row: Build) -> InLine | None:
        """Where the build has to wait, if it has to: what the store tells."""
        if not self.mood.cap:
            return None
        line = {
            other.id: other for other in self.rows.values() if other.seen.line and other.goal.kind is GoalKind.BUILD
        }
        waiters = [Waiter(one.id, one.request.repository, one.seq) for one in (line | {row.id: row}).values()]
        in_flight = sum(other.seen.phase in IN_FLIGHT for other in self.rows.values())
        traffic = Traffic({row.request.repository: in_flight})
        return seat(waiters, traffic, Caps(self.mood.cap), moment(self.quay.now)).waiting.get(row.id)

    def _check_cap(self) -> None:
        in_flight = [row.id for row in self.rows.values() if row.seen.phase in IN_FLIGHT]
        if 0 < self.mood.cap < len(in_flight):
            self.quay.defects.append(f"{in_flight} were in flight at once, and the cap is {self.mood.cap}")

    def _scene(self, row: Build) -> Scene:
        since = self._watched.setdefault(row.id, self.quay.now)
        is_settled = self.quay.now - since >= SETTLE or self.sabotage.never_settles
        holders = () if self.sabotage.ignores_holders else self._holders(row)
        return Scene(moment(self.quay.now), self.mood.limits, holders, is_settled)

    def _holders(self, row: Build) -> tuple[Holder, ...]:
        older = [other for other in self.rows.values() if other.seq < row.seq and not other.is_final]
        strays = [] if self.sabotage.drops_strays else self._unfinished_strays()
        return (
            *(Holder(other.request.image_tags, str(other.id)) for other in older),
            *(Holder(stray.tags, stray.id) for stray in strays),
        )

    def _unfinished_strays(self) -> list[QuayBuild]:
        return [self._quay_build(stray) for stray, is_over in self.strays.items() if not is_over]

    def _act(self, row: Build, action: Action) -> None:
        self._may_crash()
        begun = begin(row, action, moment(self.quay.now))
        if begun is not row and not self.sabotage.forgets_intent:
            self._save(begun)
            if isinstance(action, RequestBuild):
                self._check_cap()
        self._may_crash()
        outcome = self._call(begun, action)
        self._watched[row.id] = self.quay.now
        self._may_crash()
        if self.sabotage.believes_first_log and isinstance(outcome, PhaseRead) and outcome.log:
            begun = replace(begun, seen=replace(begun.seen, log=outcome.log))
        after = evolve(begun, action, outcome, self._scene(begun))
        if isinstance(action, GiveUp):
            self.given_up.add(row.id)
        self._save(after)
        self._may_crash()

    def _save(self, build: Build) -> None:
        self.rows[build.id] = replace(build, goal=self.rows[build.id].goal)

    def _may_crash(self) -> None:
        if self.rng.random() < self.mood.crash:
            raise Crash

    def _run_to(self, when: float) -> None:
        self.quay.run_to(when)
        if self.quay.now > CHAOS_ENDS:
            return
        if self.rng.random() < self.mood.outage:
            self.down_until = self.quay.now + self.rng.choice([60.0, 600.0, 3600.0])
        if self.rng.random() < self.mood.outage:
            self.quay.blind_until = self.quay.now + self.rng.choice([10.0, 300.0])

    # ── calls ──

    def _call(self, build: Build, action: Action) -> Outcome | None:
        if isinstance(action, Hold | Quiet | Drop | GiveUp):
            return None
        if self.quay.now < self.down_until and not isinstance(action, ResolveCommit):
            return Blocked("Quay is unreachable", moment(self.quay.now + 10))
        if self.rng.random() < self.mood.unsent:
            self._run_to(self.quay.now + 0.1)
            return Failed(Failure.NOT_SENT, "503")
        match action:
            case ResolveCommit():
                return CommitKnown(build.tag_object or "")
            case RequestBuild():
                return self._request(build)
            case CancelBuild():
                return self._cancel(build)
            case FindBuild():
                return self._find(build)
            case PollBuild():
                return self._poll(build)
            case _:
                raise AssertionError(action)

    def _send(self, effect: Callable[[], object]) -> bool:
        """Whether an answer arrives. A lost one may have had its effect, may have it a little later, or never."""
        roll = self.rng.random()
        if roll >= self.mood.lost:
            self._run_to(self.quay.now + self.rng.uniform(0.05, 1.0))
            return True
        fate = self.rng.choice(["never", "done", "late"])
        dies = self.rng.random() < self.mood.crash
        takes = 0.0 if dies else self.rng.choice([0.1, REQUEST_TIMEOUT])
        if fate == "done":
            effect()
        if fate == "late":
            slow = SETTLE * (4 if self.mood.late_beyond_settle else 0.9)
            self.quay.at(takes + self.rng.uniform(0, slow), effect)
        if dies:
            raise Crash
        self._run_to(self.quay.now + takes)
        return False

    def _request(self, build: Build) -> Outcome:
        if any(set(stray.tags) & set(build.request.image_tags) for stray in self._unfinished_strays()):
            self.quay.defects.append(f"{build.id} was asked for while a stray could still write its tags")
        if self.rng.random() < self.mood.refused / 5:
            return Failed(Failure.REFUSED, "400: no")
        if self.quay.now < CHAOS_ENDS and self.luck.random() < self.mood.full:
            self.waits.add(WaitingLine.QUEUE)
            return QueueFull("Quay's queue is full", moment(self.quay.now + 20))
        course, tags, attempt = draw_course(self.rng, self.mood), build.request.image_tags, build.seen.attempt

        def post() -> QuayBuild:
            return self.quay.request(build.id, attempt, build.seq, tags, course)

        if not self._send(post):
            return Failed(Failure.UNANSWERED, "no answer")
        return self._accepted(post())

    def _cancel(self, build: Build) -> Outcome:
        known = self._quay_build(build.seen.quay_id)
        if not self._send(lambda: self.quay.delete(known, "us")):
            return Failed(Failure.UNANSWERED, "no answer")
        if self.rng.random() < self.mood.refused:
            return Failed(Failure.REFUSED, "403: not allowed")
        answer = self.quay.delete(known, "us")
        if answer == 201:
            return CancelDone()
        return Failed(Failure.REFUSED if answer == 400 else Failure.UNANSWERED, f"{answer}")

    def _find(self, build: Build) -> Outcome:
        if not self._send(lambda: None):
            return Failed(Failure.UNANSWERED, "no answer")
        self._look_for_strays()
        for known in self.quay.builds:
            is_marked = (known.owner, known.attempt) == (build.id, build.seen.attempt)
            if is_marked and known.id not in build.seen.ended:
                return self._accepted(known)
        return Absent()

    def _poll(self, build: Build) -> Outcome:
        if not self._send(lambda: None):
            return Failed(Failure.UNANSWERED, "no answer")
        is_list = self.rng.random() < 0.5
        if is_list:
            self._look_for_strays()
        return self._read(self._quay_build(build.seen.quay_id), is_list=is_list)

    def _accepted(self, known: QuayBuild) -> Accepted:
        return Accepted(known.id, moment(known.started), known.tags, self._read(known, is_list=False))

    def _read(self, known: QuayBuild, *, is_list: bool) -> PhaseRead:
        phase = self.quay.read(known)
        active = ahead = log = None
        if is_list:
            others = [other for other in self.quay.builds if other is not known]
            active = sum(other.phase in COURSE for other in others)
            ahead = sum(other.phase == "waiting" and other.started <= known.started for other in others)
        if phase in ("error", "expired") and self.rng.random() >= self.mood.lost:
            self.quay.run_to(self.quay.now + self.rng.uniform(0, 10))
            log = LogDigest(attempts=known.scheduled, has_output=known.course.has_output)
        return PhaseRead(phase, active, ahead, log)

    def _quay_build(self, key: str | None) -> QuayBuild:
        return next(build for build in self.quay.builds if build.id == key)

    # ── strays: marks that no row follows ──

    def _look_for_strays(self) -> None:
        for known in self.quay.builds:
            if known.id not in self.strays and known.phase not in OVER and not self._is_followed(known):
                self.strays[known.id] = False
                self.quay.delete(known, "us")

    def _sweep_strays(self) -> None:
        for stray, is_over in self.strays.items():
            self.strays[stray] = is_over or self.quay.is_over(self._quay_build(stray))

    def _is_followed(self, known: QuayBuild) -> bool:
        seen = self.rows[BuildId(known.owner)].seen
        is_awaited = seen.phase in (BuildPhase.PLANNED, BuildPhase.REQUESTING) and seen.attempt == known.attempt
        return known.id == seen.quay_id or known.id in seen.ended or is_awaited

    def _is_bound(self, known: QuayBuild) -> bool:
        """Whether the rules of order bind this build: not if it was given up, landed after all hope, or has tags that
        nobody asked for.
        """
        is_lawless = known.course.wrong_tags or self.mood.late_beyond_settle
        return known.owner not in self.given_up and not is_lawless

    # ── was every end true? ──

    def _false_ends(self) -> list[str]:
        return [f"{row.id}: {lie}" for row in self.rows.values() if row.is_final and (lie := self._lie(row))]

    def _lie(self, row: Build) -> str:
        seen = row.seen
        known = self._quay_build(seen.quay_id) if seen.quay_id else None
        said = f"{seen.phase} ({seen.because}) but Quay says {known.phase if known else 'nothing'}"
        match seen.phase:
            case BuildPhase.SUCCEEDED:
                return "" if known and known.phase == "complete" else said
            case BuildPhase.FAILED:
                return "" if known and known.phase in ("error", "internalerror") else said
            case BuildPhase.CANCELLED:
                return self._false_cancel(row, known, said)
            case _:
                return self._false_error(row, known, said)

    def _lost_heads(self) -> list[str]:
        heads = {push.ref: push for push in self.pushes}
        certain = [head for ref, head in heads.items() if self.mood.tells_push_times and ref not in self.confused]
        return [lost for head in certain if (lost := self._lost(head))]

    def _lost(self, head: Push) -> str:
        if head.after is None:
            return ""
        rows = [row for row in self.rows.values() if row.ref == head.ref and row.tag_object == head.after]
        if not rows:
            return f"{head} was never built"
        last = max(rows, key=lambda row: row.position)
        was_taken_back = last.goal.reason in (CancelReason.SUPERSEDED, CancelReason.DELETED)
        return f"{last.id}, the head of its ref, was {last.goal.reason}" if was_taken_back else ""

    def _false_cancel(self, row: Build, known: QuayBuild | None, said: str) -> str:
        if row.seen.because == "cancelled in Quay":
            return "" if known and known.cancelled_by == "someone" else said
        if row.goal.kind is GoalKind.BUILD:
            return f"nobody wanted that: {said}"
        return "" if known is None or known.phase == "cancelled" else said

    def _false_error(self, row: Build, known: QuayBuild | None, said: str) -> str:
        because = row.seen.because
        if because.startswith("Quay took"):
            return "" if known and known.course.wrong_tags else said
        if because.startswith("Quay's builder could not"):
            return "" if known and not known.course.has_output and known.phase == "internalerror" else said
        if because.startswith("timed out") and row.id not in self.given_up:
            return "" if known and known.phase == "cancelled" else said
        return "" if row.id in self.given_up or because == "400: no" else said
