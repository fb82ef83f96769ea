"""One random run of the real engine on the real store: pushes, people, crashes and lost answers, drawn from a seed.

Real are the loops, the passes, the lines, the store with its database, the client of Quay, and the sandbox's Quay
behind it. Only time is not (`virtual_time`), nor the forge (`forge_model`), nor that a process survives (`process`).
`verdict.play(seed)` runs one and says what went wrong.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import httpx
import structlog

from buildbot.domain.build import (
    Build,
    BuildId,
    BuildPhase,
    CancelReason,
    Goal,
    GoalKind,
    WaitingLine,
    read_mark,
)
from buildbot.domain.decision import Decision, judge
from buildbot.domain.lifecycle import InLine, overlap
from buildbot.domain.places import IN_FLIGHT
from buildbot.domain.push import Archive, PushEvent, RefKind, Source, kind_of
from buildbot.engine.pacing import Clock
from buildbot.engine.wording import StatusWording
from buildbot.ports import (
    BuildChange,
    BuildFilter,
    BuildOrder,
    Claim,
    ClaimLost,
    CredentialRefused,
    DueStatus,
    NotPossible,
    Recording,
    Refused,
    StatusReport,
    Stray,
)
from buildbot.registry.quay import QuayRegistry
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_builds import FINAL
from buildbot.sandbox.quay_builds import Build as QuayBuild
from buildbot.sandbox.quay_courses import Course
from buildbot.sandbox.quay_faults import Fault
from buildbot.store.sql_store import SqlStore
from tests.engine.forge_model import PUBLIC_URL, ForgeModel
from tests.engine.mishaps import (
    CANCEL,
    REQUEST,
    REQUEST_TIMEOUT,
    SETTLE,
    Sabotage,
    draw_course,
    draw_mishap,
    draw_mood,
    draw_rules,
    mood_that_shows,
    with_order,
)
from tests.engine.peeking import peeking
from tests.engine.process import Died, Process
from tests.engine.virtual_time import VirtualLoop
from tests.store.due import next_due

Result = TypeVar("Result")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = Source("github", "1", "acme/api", default_branch="main")
LONGEST_RUN, QUAYS_REST = 60 * 3600.0, 3 * 7200.0
MOST_PASSES, MOST_CALLS = 60, 60
"""In one minute, for one repository and in all."""
SURPRISE = 0.2
LONGEST_NAP, NAP_WHILE_HELD = 60.0, 5.0


class Push(NamedTuple):
    """A push as the forge made it: what moved, and when."""

    ref: str
    before: str | None
    after: str | None
    at: float
    touches: tuple[str, ...] | None = None
    is_forced: bool | None = None


@dataclass(frozen=True)
class Ending:
    """How everything stood when a run was over."""

    rows: dict[BuildId, Build]
    reports: dict[BuildId, StatusReport | None]
    quay: dict[str, QuayBuild]
    next_due: datetime | None
    unfinished: tuple[Build, ...]


def draw_pushes(rng: Random) -> list[Push]:
    """The pushes of a run, in the order in which they were made."""
    heads: dict[str, str | None] = {}
    pushes: list[Push] = []
    when = 0.0
    for number in range(rng.randint(1, 6)):
        when += 1 + rng.choice([1.0, 20.0, 200.0, 900.0]) * rng.random()
        ref = rng.choice(["refs/heads/main", "refs/heads/main", "refs/heads/dev", "refs/tags/v1"])
        before = heads.get(ref)
        known = [
            push.after for push in pushes if push.after not in (before, None) and kind_of(push.ref) == kind_of(ref)
        ]
        after: str | None = f"{number + 1:040x}"
        if known and rng.random() < 0.2:
            after = rng.choice(known)
        if before and rng.random() < 0.1:
            after = None
        touches = rng.choice([None, ("src/a.py",), ("docs/a.md", "src/a.py")])
        if after != before:
            pushes.append(Push(ref, before, after, float(int(when)), touches, rng.choice([None, False])))
            heads[ref] = after
    return pushes


class Simulation:
    """The world of one run: the store, Quay, the forge, and the processes that come and go.

    The store is a SQLite file of its own, unless the URL of an empty database with its tables is given.
    """

    def __init__(self, seed: int, sabotage: Sabotage | None = None, store_url: str = "") -> None:
        self.seed = seed
        self._store_url = store_url
        self.sabotage = sabotage or Sabotage()
        self.rng = Random(seed)
        mood = with_order(Random(f"order {seed}"), draw_mood(self.rng))
        self.mood = mood_that_shows(self.sabotage, mood)
        self.rules = draw_rules(self.rng, self.mood)
        self.pushes = draw_pushes(self.rng)
        self.clock = Clock(lambda: EPOCH + timedelta(seconds=self.now), lambda: self.now)
        self.wording = StatusWording(PUBLIC_URL, {})
        self.ended_at: dict[BuildId, float] = {}
        refuses = self.mood.forge / 20
        self.forge = ForgeModel(Random(seed), lambda: self.now, refuses, self.ended_at)
        self.born_alive: dict[BuildId, bool] = {}
        self.defects: list[str] = []
        self.strays: set[str] = set()
        self.waited: dict[BuildId, WaitingLine] = {}
        self.lawless: set[str] = set()
        self.cancelled_by_people: set[str] = set()
        self.deaths = 0
        self.lost_claims = 0
        self.passes: Counter[tuple[str, int]] = Counter()
        self.calls: Counter[tuple[str, int]] = Counter()
        self.ending: Ending | None = None
        self._claims: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._known_strays: dict[str, float] = {}
        self._order_ended: dict[tuple[BuildId, int], float] = {}
        self._orders: dict[tuple[BuildId, int], BuildOrder] = {}
        self._processes: list[Process] = []
        self._store_turn = asyncio.Lock()
        self._surprises = 5 if self.sabotage.forgets_wakes else self.rng.choice([0, 1, 3])
        self._surprised: list[asyncio.Task[None]] = []
        self._is_judged = False
        self._names = 0
        self._events = 0
        self._outages = [self._draw_outage() for _ in range(3) if self.rng.random() < 100 * self.mood.outage]

    def run(self) -> Ending:
        """Play it. What went wrong on the way stands in `defects`; the end is to be judged."""
        with _scratch() as folder, _collected_failures(self), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            self._loop = loop
            if not self._store_url:
                self._store_url = f"sqlite:///{shutil.copy(_template(), folder / 'store.db')}"
            runner.run(self._run())
        assert self.ending is not None
        return self.ending

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return self._loop.time()

    @property
    def is_calm(self) -> bool:
        """Whether nothing goes wrong any more."""
        return self.now >= self.mood.chaos_ends

    def strikes(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return chance > 0 and not self.is_calm and self.rng.random() < chance

    # ── the course of a run ──────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        quay = self.quay = Quay(clock=lambda: EPOCH.timestamp() + self.now)
        for name in ("acme/api", "acme/docs"):
            quay.add_repository(name)
        quay.grant("acme", "bot", "admin")
        if self.mood.quay_takes is not None:
            quay.limit_queue("acme", self.mood.quay_takes)
        quay.choose = self._born
        with SqlStore(self._store_url) as self.store, peeking(self._store_url) as self._peek:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=quay.app)) as client:
                self.registry = self._quay_client(client)
                await self._play()
                self._drop_processes()
                await asyncio.sleep(QUAYS_REST)
                self.ending = await self._ending()
        for failure in self._loop.failures:
            if not _is_death(failure):
                self.defects.append(f"a task failed: {failure!r}")

    def _quay_client(self, client: httpx.AsyncClient) -> QuayRegistry:
        return QuayRegistry(
            client,
            url=self.quay.url,
            token=self.quay.issue_token("bot"),
            request_timeout=timedelta(seconds=REQUEST_TIMEOUT),
            retry_pause=timedelta(),
            now=self.clock.now,
        )

    async def _play(self) -> None:
        events = [asyncio.create_task(self._at(when, event)) for when, event in self._draw_events()]
        self._events = len(events)
        for _ in range(self.mood.processes):
            self._start()
        while not await self._is_over():  # noqa: ASYNC110  time itself is awaited
            await asyncio.sleep(30)
        await asyncio.gather(*events, *self._surprised)

    async def _is_over(self) -> bool:
        if self.now > LONGEST_RUN or self.defects:
            return True
        if self._events:
            return False
        return await self._due_ever() is None

    async def _due_ever(self) -> datetime | None:
        """What is due first, whoever holds it now: by then every lease has run out."""
        return await self.stored(lambda: next_due(self.store, self.clock.now() + timedelta(days=1)))

    def _draw_events(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        for number, push in enumerate(self.pushes):
            for repeat in range(self.rng.choice([1, 1, 2])):
                late = self.rng.choice([0.0, 5.0, 400.0]) * self.rng.random()
                guid = f"{number}" if self.rng.random() < 0.5 else f"{number}-{repeat}"
                yield push.at + late, partial(self._push, push, guid)
        for chance, event in (
            (0.2, self._someone_cancels_in_quay),
            (0.3, self._ada_cancels),
            (0.3, self._ada_rebuilds),
            (0.2, self._someone_restarts),
        ):
            if self.rng.random() < chance:
                yield self.rng.uniform(1, 1200), event

    async def _at(self, when: float, event: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.sleep(when)
            await event()
            self._wake()
        finally:
            self._events -= 1

    def _surprise(self, event: Callable[[], Awaitable[None]]) -> None:
        """Sometimes people do something in the midst of a pass."""
        if self._surprises and self.rng.random() < SURPRISE:
            self._surprises -= 1
            self._events += 1
            self._surprised.append(asyncio.create_task(self._at(self.rng.uniform(0, 0.5), event)))

    def _wake(self) -> None:
        if self.rng.random() < 0.7:  # else another process recorded it, and this one only sees it when it looks
            for process in self._processes:
                process.wake()

    def _start(self) -> None:
        if self._is_judged:
            return
        self._names += 1
        self._processes.append(Process(self, f"process-{self._names}"))

    def restart(self, dead: Process) -> None:
        """Start another process some time after one died."""
        self.deaths += 1
        if dead not in self._processes:
            return  # it was being restarted already
        self._processes.remove(dead)
        self._loop.call_later(self.rng.choice([0.0, 1.0, 15.0, 100.0]), self._start)

    def _drop_processes(self) -> None:
        self._is_judged = True
        for process in self._processes:
            process.die()

    # ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _push(self, push: Push, guid: str) -> None:
        is_annotated = kind_of(push.ref) is RefKind.TAG and push.after is not None and int(push.after, 16) % 2 == 0
        commit = None if is_annotated else push.after
        if push.after is not None:
            self._show(push.after)
        event = PushEvent(
            source=SOURCE,
            ref=push.ref,
            before=push.before,
            after=push.after,
            commit=commit,
            archive=Archive("https://forge.test/{sha}.tar.gz", "api-{sha}"),
            pushed_at=EPOCH + timedelta(seconds=push.at) if self.mood.tells_push_times else None,
            forced=False if push.is_forced is False else None,
            changed_paths=push.touches,
        )
        await self._record(event, guid)

    def _show(self, sha: str) -> None:
        commit = f"c{sha[1:]}"
        self.forge.commits[sha] = commit
        wait = self.rng.choice([0.0, 10.0, 60.0]) if self.mood.is_slow_to_show_commits else 0.0
        for one in (sha, commit):
            self.forge.shows_at.setdefault(one, self.now + wait)

    async def _record(self, event: PushEvent, guid: str) -> None:
        judged = partial(judge, rules=self.rules)
        recording = Recording("github", guid, "push", self.clock.now(), (event,), judged, self.wording)
        recorded = await self.stored(lambda: self.store.record(recording))
        if recorded.decision is not Decision.CANCELLED:
            self.born_alive |= {build.id: build.goal.kind is GoalKind.BUILD for build in recorded.builds}

    async def _ada_cancels(self) -> None:
        alive = await self.stored(lambda: self.store.list_builds(BuildFilter(unfinished=True)))
        if alive:
            goal = Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada")
            await self.stored(lambda: self.store.cancel(self.rng.choice(alive).id, goal, self.clock.now()))

    async def _ada_rebuilds(self) -> None:
        known = await self.stored(lambda: self.store.list_builds(BuildFilter()))
        if not known:
            return
        old, move_tags = self.rng.choice(known).id, self.rng.random() < 0.5
        again = partial(self.store.rebuild, old, self.clock.now(), self.wording, move_tags=move_tags)
        try:
            self.born_alive[(await self.stored(again)).build.id] = True
        except NotPossible:
            return

    async def _someone_cancels_in_quay(self) -> None:
        if alive := [build for build in self.quay.builds if build.phase not in FINAL]:
            unlucky = self.rng.choice(alive)
            if self.quay.cancel_in_ui(unlucky.id):
                self.cancelled_by_people.add(unlucky.id)

    async def _someone_restarts(self) -> None:
        if not self._processes:
            return
        process = self._processes[0]
        self.restart(process)
        await process.stop()

    # ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stored(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """Let the store do something whole: it is done even if who asked for it dies meanwhile."""
        work = asyncio.ensure_future(self._work(make))
        return await asyncio.shield(work)

    async def _work(self, make: Callable[[], Awaitable[Result]]) -> Result:
        async with self._store_turn:
            self._loop.begin_work()
            try:
                return await make()
            finally:
                self._loop.end_work()

    def quiet_seconds(self, work: str) -> float:
        """How long the loop that does this work may sleep, for all that the store knows; 0.0: something is due."""
        now = self.clock.now()
        mine = f"(SELECT due, leased_until FROM {work}) AS mine"  # noqa: S608  one of two texts
        due = self._peek(f"SELECT min(due) FROM {mine} WHERE leased_until IS NULL OR leased_until <= ?", now)  # noqa: S608
        longest = NAP_WHILE_HELD if self._held else LONGEST_NAP
        if due is None:
            return longest
        wait = (due - now).total_seconds()
        return min(wait + 1e-6, longest) if wait > 0 else 0.0

    def note_claims(self, claims: Sequence[Claim]) -> None:
        """A process has taken these."""
        for claim in claims:
            minute = (claim.repository, int(self.now // 60))
            self._claims[claim.repository] = self._held[claim.repository] = claim.token
            self.passes[minute] += 1
            if self._is_about_to_end(claim):
                self._surprise(self._ada_rebuilds)
            if self.passes[minute] > MOST_PASSES:
                self.defects.append(f"{claim.repository} is looked at again and again at {self.now:.0f} s")

    def _is_about_to_end(self, claim: Claim) -> bool:
        """Whether the pass over a claim will find that nothing is left to do, so that nothing is due any more."""
        follows = claim.builds[0].seen.quay_id if len(claim.builds) == 1 else None
        return follows is not None and self.quay.build(follows).phase in FINAL

    def note_saved(self, claim: Claim, changes: Sequence[BuildChange], places: Mapping[BuildId, InLine]) -> None:
        """The store has taken these, except for those that found no place."""
        self._note_writer(claim)
        self.waited |= {build: given.line for build, given in places.items()}
        if any(
            change.build.seen.phase is BuildPhase.REQUESTING and change.build.id not in places for change in changes
        ):
            self._check_caps(claim)
        for change in changes:
            if change.build.is_final:
                self.ended_at.setdefault(change.build.id, self.now)

    def _check_caps(self, claim: Claim) -> None:
        in_flight = "SELECT count(*) FROM builds WHERE finished_at IS NULL AND phase IN (?, ?, ?)"
        caps, taken = self.mood.caps, self._peek(in_flight, *sorted(IN_FLIGHT))
        if 0 < caps.builds < taken or 0 < caps.per_namespace < taken:  # there is one namespace
            self.defects.append(
                f"{taken} builds were in flight under {caps} when {claim.repository} asked for one more"
            )

    def note_strays(self, claim: Claim, strays: Sequence[Stray]) -> None:
        """The store knows these strays."""
        self._note_writer(claim)
        for stray in strays:
            self._known_strays.setdefault(stray.quay_id, self.now)

    def note_released(self, claim: Claim) -> None:
        """A process has given this back."""
        if self._held.get(claim.repository) == claim.token:
            del self._held[claim.repository]

    def _note_writer(self, claim: Claim) -> None:
        if claim.token != self._claims[claim.repository]:
            self.defects.append(f"a claim on {claim.repository} that was lost wrote something")

    def token_now(self, claim: Claim) -> int:
        """The token of the newest claim on the same repository."""
        return self._claims[claim.repository]

    def wakes_now(self, claim: Claim) -> int:
        """How often the repository was woken by now."""
        return int(self._peek("SELECT wakes FROM claims WHERE repository = ?", claim.repository))

    def version_now(self, status: DueStatus) -> int:
        """The newest version of the wish."""
        return int(self._peek("SELECT version FROM commit_statuses WHERE id = ?", status.id))

    def status_token_now(self, status: DueStatus) -> int:
        """The token of the newest lease of the same status."""
        return int(self._peek("SELECT token FROM commit_statuses WHERE id = ?", status.id))

    # ── Quay ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def disturb(self, operation: str) -> None:
        """A call is about to be sent: let it feel what goes wrong just now. Raises what never reaches Quay."""
        kind = "write" if operation in (REQUEST, CANCEL) else "read"
        self.calls[(kind, int(self.now // 60))] += 1
        if self.is_calm:
            return
        faults = self.quay.faults
        faults.off()
        refused = {CANCEL: self.mood.refused, REQUEST: self.mood.refused / 5}
        if outage := next((kind for start, end, kind in self._outages if start <= self.now < end), None):
            if outage == "token":
                raise CredentialRefused("Quay does not accept the token")
            faults.on(outage, operation, times=1)
        elif self.strikes(refused.get(operation, 0.0)):
            raise Refused("400: no")
        elif mishap := draw_mishap(self.rng, self.mood, operation):
            faults.on(mishap.fault, operation, times=mishap.times, seconds=mishap.seconds)

    def _draw_outage(self) -> tuple[float, float, str]:
        start = self.rng.uniform(0, 1800)
        kind = self.rng.choice([Fault.DOWN, Fault.REDIS_DOWN, "token"])
        return start, start + self.rng.choice([10.0, 300.0, 1800.0]), kind

    def note_order(self, order: BuildOrder, claimed_at: float) -> None:
        """A build is about to be asked for, in a pass over a claim that was taken at this time."""
        mark = read_mark(order.archive_url)
        assert mark is not None
        self._orders[mark] = order
        self._surprise(self._ada_cancels)
        for quay_id, since in self._known_strays.items():
            stray = self.quay.build(quay_id)
            is_rival = stray.repository == order.repository and stray.phase not in (*FINAL, "expired")
            if is_rival and since < claimed_at and overlap(stray.tags, order.image_tags):
                self.defects.append(f"{mark} was asked for while a stray could still write its tags")

    def note_order_ended(self, order: BuildOrder) -> None:
        """Whoever asked has an answer, or will never have one."""
        if mark := read_mark(order.archive_url):
            self._order_ended[mark] = self.now

    def _born(self, build: QuayBuild) -> Course:
        mark = read_mark(build.archive_url)
        assert mark is not None
        if build.requested_at - EPOCH.timestamp() > self._order_ended.get(mark, self.now) + SETTLE - 1:
            self.strays.add(build.id)
        if set(build.tags) != set(self._orders[mark].image_tags):
            self.lawless.add(build.id)
        others = [other for other in self.quay._builds.all if _owner(other) == mark[0]]
        alive = [other.id for other in others if other.stored_phase != "cancelled" and other.id not in self.strays]
        if alive and build.id not in self.strays:
            self.defects.append(f"{mark[0]} was built twice: {alive} and attempt {mark[1]}")
        return draw_course(self.rng, build)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ending(self) -> Ending:
        rows = await self.stored(lambda: self.store.list_builds(BuildFilter(limit=1000)))
        reports = {row.id: (await self.stored(partial(self.store.story, row.id))).status for row in rows}
        return Ending(
            rows={row.id: row for row in reversed(rows)},
            reports=reports,
            quay={build.id: build for build in self.quay.builds},
            next_due=await self._due_ever(),
            unfinished=await self.stored(lambda: self.store.list_builds(BuildFilter(unfinished=True))),
        )


def owner_of(build: QuayBuild) -> BuildId:
    """Whose build at Quay this is."""
    owner = _owner(build)
    assert owner is not None
    return owner


def _owner(build: QuayBuild) -> BuildId | None:
    mark = read_mark(build.archive_url)
    return mark[0] if mark else None


def _is_death(failure: BaseException) -> bool:
    if isinstance(failure, BaseExceptionGroup):
        return all(_is_death(one) for one in failure.exceptions)
    return isinstance(failure, Died | ClaimLost)


def _ram() -> Path | None:
    fast = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
    return fast if fast.is_dir() else None


@contextmanager
def _scratch() -> Iterator[Path]:
    # In memory where there is such a folder: durability against a power cut is not what is simulated here.
    with tempfile.TemporaryDirectory(dir=_ram()) as folder:
        yield Path(folder)


_TEMPLATES: list[tempfile.TemporaryDirectory[str]] = []


def _template() -> Path:
    """An empty database with the schema, made once."""
    if not _TEMPLATES:
        _TEMPLATES.append(tempfile.TemporaryDirectory(dir=_ram()))
        SqlStore(f"sqlite:///{_TEMPLATES[0].name}/store.db").close()
    return Path(_TEMPLATES[0].name) / "store.db"


@contextmanager
def _collected_failures(sim: Simulation) -> Iterator[None]:
    """Silence, except that what the loops survive as a bug is a defect."""

    def collect(_: object, __: str, event: MutableMapping[str, Any]) -> str:
        if event["event"] == "claim lost":
            sim.lost_claims += 1
        error = sys.exc_info()[1]
        if event["event"] in ("pass failed", "status failed") and error is not None and not _is_death(error):
            sim.defects.append(f"{event['event']}: {error!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[collect], wrapper_class=structlog.make_filtering_bound_logger(30))
    try:
        yield
    finally:
        structlog.configure(**before)
