"""One look at one claimed repository: decide for each of its builds, save the intents, call, fold in, save.

A pass holds nothing that matters: killed at any `await`, the rows say what was wanted, what was asked and what was
seen, and the next pass goes on from there. What it does remember between passes (`Memory`) may be lost at any time.

One list serves every build of the repository, and the strays (`strays.py`) besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from buildbot.domain.build import Build, BuildId, BuildPhase, mark_of, read_mark
from buildbot.domain.lifecycle import (
    Absent,
    Action,
    Admit,
    CancelBuild,
    CancelDone,
    CheckSource,
    ComparePaths,
    Drop,
    Failed,
    Failure,
    FindBuild,
    GiveUp,
    Hold,
    Holder,
    InLine,
    Outcome,
    PhaseRead,
    PollBuild,
    Quiet,
    RequestBuild,
    ResolveCommit,
    Rest,
    Scene,
    SourceChecked,
    Wait,
    begin,
    decide,
    evolve,
)
from buildbot.domain.log import digest
from buildbot.domain.push import short
from buildbot.domain.status import may_own_status
from buildbot.domain.steps import steps
from buildbot.engine.forge_questions import ForgeQuestions, KnownSources
from buildbot.engine.hurrying import Hurry
from buildbot.engine.outcomes import accepted, average, failure_of, phase_in_list, request_failure
from buildbot.engine.pacing import DEFAULT_PAUSE, Clock, Closed, Line
from buildbot.engine.portions import in_portions
from buildbot.engine.setup import Setup
from buildbot.engine.strays import Strays
from buildbot.ports import (
    BuildChange,
    BuildOrder,
    BuildRecord,
    CallError,
    Claim,
    Store,
    Unanswered,
)
from buildbot.telemetry import BUILDS_ENDED, timed_call

log = structlog.get_logger(__name__)
_Ask = Callable[[Callable[[], Awaitable[BuildRecord]]], Awaitable[BuildRecord]]

PHASES_WITH_A_REASON = frozenset({"error", "expired"})
LIST_SINCE = timedelta(hours=1)
STRAY_POLLS = 2
HOLD_LOOK = timedelta(minutes=1)
LINE_LOOKS = ((50, HOLD_LOOK), (500, timedelta(minutes=5)))
FAR_BACK_LOOK = timedelta(minutes=15)
"""How often a build in line is told its place, by how far back it stands: a look goes through the whole line. Whoever
is next is woken anyway."""
SLOW_LIST_SECONDS = 300.0


@dataclass(slots=True)
class Memory:
    """What one process remembers between passes, by the monotonic clock: since when an attempt is in doubt, until when
    a list is not asked for that took too long, which sources need no look, and whose waiting has lost its reason."""

    doubts: dict[tuple[BuildId, int], float] = field(default_factory=dict)
    slow_lists: dict[tuple[str, str], float] = field(default_factory=dict)
    sources: KnownSources = field(default_factory=KnownSources)
    hurry: Hurry = field(default_factory=Hurry)


async def _no_relay(_build: Build) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass works with. `relayed_url` is where the bot itself serves a build's source; None: it cannot."""

    store: Store
    clock: Clock
    memory: Memory
    relayed_url: Callable[[Build], Awaitable[str | None]] = _no_relay


class RepositoryPass:
    """One pass over a claim, by the setup that is in force as it begins.

    `run` returns when to look again; `typical` is what it learned of build times.
    """

    def __init__(self, claim: Claim, setup: Setup, tools: Tools) -> None:
        self.typical = claim.typical
        self._claim = claim
        self._setup = setup
        self._wording = setup.wording
        self._site = setup.registries[claim.registry]
        self._tools = tools
        moment = tools.clock.monotonic()
        self._builds = {build.id: tools.memory.hurry.released(build, moment) for build in claim.builds}
        self._saved = dict(self._builds)
        self._told = dict(self._builds)
        self._questions = ForgeQuestions(setup.forges, tools.memory.sources, tools.clock)
        self._strays = Strays(claim, self._site, tools.store, tools.clock)
        self._deferred: datetime | None = None
        self._line_looks: dict[BuildId, datetime] = {}
        self._note_doubts(claim)

    async def run(self) -> datetime | None:
        """Do what is due; returns when to look again, None if only news can change anything. Raises ClaimLost."""
        actions = self._without_calls(self._decide_all())
        now, later = in_portions(self._let_through(actions))
        begun = await self._begin(now)
        if len(begun) < len(now):  # whoever stands behind them in line is to know that, too
            begun |= await self._begin(later)
        await self._perform(begun)
        return self._next_look()

    async def _begin(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """Write the intents down; what may be done now, without the requests that have to wait for a place."""
        for build_id, action in actions.items():
            self._builds[build_id] = begin(self._builds[build_id], action, self._now)
        waiting = await self._save(untold=self._probes(actions))
        return {build_id: action for build_id, action in actions.items() if build_id not in waiting}

    # ── deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> datetime:
        return self._tools.clock.now()

    def _decide_all(self) -> dict[BuildId, Action]:
        """The next step of every unfinished build, older ones first: they hold their image tags."""
        holders = self._strays.holders()
        actions: dict[BuildId, Action] = {}
        for build in [build for build in self._builds.values() if not build.is_final]:
            action = self._decide(build, self._scene(build, holders))
            actions[build.id] = action
            if not isinstance(action, Drop | GiveUp):
                holders.append(Holder(build.request.image_tags, _named(build)))
        return actions

    def _decide(self, build: Build, scene: Scene) -> Action:
        action = decide(build, scene)
        known, now = self._tools.memory.sources, self._tools.clock.monotonic()
        if not isinstance(action, CheckSource) or not known.needs_no_look(build, now):
            return action
        self._builds[build.id] = evolve(build, action, SourceChecked(), scene)
        return decide(self._builds[build.id], scene)

    def _scene(self, build: Build, holders: Iterable[Holder] = ()) -> Scene:
        return Scene(
            now=self._now,
            limits=self._site.limits,
            holders=tuple(holders),
            settled=self._settles_in(build) <= timedelta(),
            typical=self._claim.typical,
        )

    def _settles_in(self, build: Build) -> timedelta:
        since = self._tools.memory.doubts.get((build.id, build.seen.attempt))
        if since is None:
            return self._site.settle_time
        return self._site.settle_time - timedelta(seconds=self._tools.clock.monotonic() - since)

    def _note_doubts(self, claim: Claim) -> None:
        doubts = self._tools.memory.doubts
        for build in claim.builds:
            attempt = (build.id, build.seen.attempt)
            is_in_doubt = build.seen.phase is BuildPhase.REQUESTING
            if is_in_doubt and (claim.is_taken_over or attempt not in doubts):
                doubts[attempt] = self._tools.clock.monotonic()
            elif not is_in_doubt:
                doubts.pop(attempt, None)

    def _without_calls(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """Fold in the steps that need no call; what is left does."""
        left: dict[BuildId, Action] = {}
        for build_id, action in actions.items():
            match action:
                case Drop() | GiveUp() | Hold() | Quiet() | Admit():
                    build = self._builds[build_id]
                    self._builds[build_id] = evolve(build, action, None, self._scene(build))
                case Rest() | Wait():
                    pass
                case _:
                    left[build_id] = action
        return left

    def _let_through(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """Without what the lines do not take now, and without reads whose turn has not come."""
        allowed: dict[BuildId, Action] = {}
        probed: list[Line] = []
        for build_id, action in actions.items():
            line = self._line_for(self._builds[build_id], action)
            if line is None or (closed := self._closed(line, probed)) is None:
                allowed[build_id] = action
            else:
                # Never saved: a call that is not let through takes its intent back, so it has to have one.
                self._builds[build_id] = begin(self._builds[build_id], action, self._now)
                self._fold(build_id, action, failure_of(closed, line, self._tools.clock))
        return self._in_turn(allowed)

    def _closed(self, line: Line, probed: list[Line]) -> Closed | None:
        """Why the line takes no call; of a pass's calls one is the probe of a line in trouble, the rest wait for it."""
        if (closed := line.closed()) is not None or not line.trouble:
            return closed
        if any(line is one for one in probed):
            return Closed(line.trouble, self._now + DEFAULT_PAUSE)
        probed.append(line)
        return None

    def _in_turn(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """A list takes one turn for all that it serves, each single read takes one."""
        turns: dict[str, float] = {}
        allowed: dict[BuildId, Action] = {}
        for build_id, action in actions.items():
            is_single = self._is_read_singly(build_id, action)
            key = f"{self._claim.repository} {build_id}" if is_single else self._claim.repository
            if _is_read(action) and key not in turns:
                turns[key] = self._site.line.poll_wait(key)
            if not _is_read(action) or not turns[key]:
                allowed[build_id] = action
        waits = [wait for wait in turns.values() if wait]
        self._deferred = self._now + timedelta(seconds=min(waits)) if waits else None
        return allowed

    def _probes(self, actions: Mapping[BuildId, Action]) -> frozenset[BuildId]:
        """Whose call only finds out whether the other side takes it by now. That is no news unless it does."""
        return frozenset(build_id for build_id, action in actions.items() if self._is_probe(build_id, action))

    def _is_probe(self, build_id: BuildId, action: Action) -> bool:
        if isinstance(action, RequestBuild) and self._told[build_id].seen.failures:
            return True
        line = self._line_for(self._builds[build_id], action)
        return line is not None and bool(line.trouble)

    def _list_wait(self) -> float:
        return self._site.line.poll_wait(self._claim.repository)

    def _line_for(self, build: Build, action: Action) -> Line | None:
        if not isinstance(action, ResolveCommit | ComparePaths | CheckSource):
            return self._site.line
        forge = self._setup.forges.get(build.source.forge)
        return forge.line if forge else None

    def _next_look(self) -> datetime | None:
        times = [self._look_at(self._builds[build_id], action) for build_id, action in self._decide_all().items()]
        if self._strays:
            times.append(self._now + self._site.limits.poll_interval * STRAY_POLLS)
        return min((time for time in times if time is not None), default=None)

    def _look_at(self, build: Build, action: Action) -> datetime | None:
        match action:
            case Rest():
                return None
            case Wait(until):
                return until or self._now + max(self._settles_in(build), timedelta())
            case Hold():
                return self._now + HOLD_LOOK
            case Quiet(until):
                return until
            case RequestBuild():
                return self._line_looks.get(build.id, self._now)
            case PollBuild() | FindBuild():
                return self._deferred or self._now
            case _:
                return self._now

    # ── calling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _perform(self, actions: Mapping[BuildId, Action]) -> None:
        calls = [self._call(build_id, action) for build_id, action in actions.items() if not _is_read(action)]
        reads = {build_id: action for build_id, action in actions.items() if _is_read(action)}
        busy = actions.keys() - reads.keys()
        if reads or (self._strays and not self._site.line.closed() and not self._list_wait()):
            calls.append(self._read(reads, busy))
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)

    async def _call(self, build_id: BuildId, action: Action) -> None:
        build = self._builds[build_id]
        match action:
            case RequestBuild():
                outcome = await self._request(build)
            case CancelBuild():
                outcome = await self._cancel(build)
            case ResolveCommit() | ComparePaths() | CheckSource():
                outcome = await self._questions.ask(build, action)
            case _:
                raise ValueError(f"not a call: {action}")
        self._fold(build_id, action, outcome)
        await self._save(build_id)

    async def _request(self, build: Build) -> Outcome:
        request = build.request
        source = await self._tools.relayed_url(build) if request.is_relayed else request.archive_url
        if source is None:
            return Failed(Failure.REFUSED, "the source has to go through the bot, and server.public_url is not set")
        order = BuildOrder(
            repository=request.repository,
            archive_url=f"{source}#{build.mark}",
            image_tags=request.image_tags,
            context=request.context,
            dockerfile_path=request.dockerfile_path,
            pull_robot=request.pull_robot,
        )
        attempt, doubts = (build.id, build.seen.attempt), self._tools.memory.doubts
        doubts.pop(attempt, None)
        try:
            with timed_call(self._site.key, "requestRepoBuild"):
                ask = partial(self._site.registry.request_repo_build, order)
                record = await self._site.line.work(ask, self._claim.repository)
        except (CallError, Closed) as error:
            doubts[attempt] = self._tools.clock.monotonic()
            return request_failure(error, self._site.line, self._tools.clock)
        return accepted(record)

    async def _cancel(self, build: Build) -> Outcome:
        cancel = partial(self._site.registry.cancel_repo_build, self._claim.repository, build.seen.quay_id or "")
        try:
            with timed_call(self._site.key, "cancelRepoBuild"):
                await self._site.line.work(cancel, self._claim.repository)
        except (CallError, Closed) as error:
            return failure_of(error, self._site.line, self._tools.clock)
        return CancelDone()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, reads: Mapping[BuildId, Action], busy: Iterable[BuildId]) -> None:
        """Read what is due: by one list for all, singly after a DELETE and where the list takes too long."""
        singly = [build_id for build_id, action in reads.items() if self._is_read_singly(build_id, action)]
        listed = {build_id: action for build_id, action in reads.items() if build_id not in singly}
        async with asyncio.TaskGroup() as group:
            for build_id in singly:
                group.create_task(self._read_one(build_id, self._site.line.poll))
            if listed or not singly:
                group.create_task(self._read_list(listed, {*busy, *singly}))
        await self._save()

    def _is_read_singly(self, build_id: BuildId, action: Action) -> bool:
        delete = self._builds[build_id].seen.delete
        slow_until = self._tools.memory.slow_lists.get((self._claim.registry, self._claim.repository), 0.0)
        is_slow = self._tools.clock.monotonic() < slow_until
        return isinstance(action, PollBuild) and (is_slow or (delete is not None and not delete.read_since))

    async def _read_one(self, build_id: BuildId, ask: _Ask) -> None:
        build, registry, line = self._builds[build_id], self._site.registry, self._site.line
        is_whole = build.seen.delete is not None
        read = registry.get_repo_build if is_whole else registry.get_repo_build_status
        operation = "getRepoBuild" if is_whole else "getRepoBuildStatus"
        try:
            with timed_call(self._site.key, operation):
                record = await ask(partial(read, self._claim.repository, build.seen.quay_id or ""))
        except (CallError, Closed) as error:
            self._fold(build_id, PollBuild(), failure_of(error, line, self._tools.clock))
            return
        self._fold(build_id, PollBuild(), await self._with_log(PhaseRead(record.phase), record.id))

    async def _read_list(self, reads: Mapping[BuildId, Action], busy: set[BuildId]) -> None:
        slow, key = self._tools.memory.slow_lists, (self._claim.registry, self._claim.repository)
        ask = partial(self._site.registry.get_repo_builds, self._claim.repository, self._list_since())
        try:
            with timed_call(self._site.key, "getRepoBuilds"):
                records = await self._site.line.poll(ask)
        except (CallError, Closed) as error:
            if isinstance(error, Unanswered) and error.timed_out:
                slow[key] = self._tools.clock.monotonic() + SLOW_LIST_SECONDS
            for build_id, action in reads.items():
                self._fold(build_id, action, failure_of(error, self._site.line, self._tools.clock))
            return
        slow.pop(key, None)
        await self._fold_list(records, reads, busy)
        await self._strays.follow(records, self._builds)

    def _list_since(self) -> datetime:
        asked = [build.seen.asked_at for build in self._builds.values() if build.seen.asked_at and not build.is_final]
        return min([*asked, *self._strays.found_at()], default=self._now) - LIST_SINCE

    async def _fold_list(
        self, records: Sequence[BuildRecord], reads: Mapping[BuildId, Action], busy: set[BuildId]
    ) -> None:
        by_id = {record.id: record for record in records}
        by_mark = {mark: record for record in records if (mark := read_mark(record.archive_url))}
        missing = []
        for build in [one for one in self._builds.values() if one.id not in busy and not one.is_final]:
            if build.seen.quay_id is None:
                self._fold_search(build, records, by_mark, was_asked=build.id in reads)
            elif record := by_id.get(build.seen.quay_id):
                read = await self._with_log(phase_in_list(record, records), record.id)
                self._fold(build.id, PollBuild(), read)
            elif build.id in reads:
                missing.append(build.id)
        for build_id in missing:
            await self._read_one(build_id, self._site.line.follow_up)

    def _fold_search(
        self,
        build: Build,
        records: Sequence[BuildRecord],
        by_mark: Mapping[tuple[BuildId, int], BuildRecord],
        *,
        was_asked: bool,
    ) -> None:
        record = by_mark.get((build.id, build.seen.attempt)) if build.seen.attempt else None
        if record is not None and record.id not in build.seen.ended:
            self._fold(build.id, FindBuild(), accepted(record, phase_in_list(record, records)))
        elif was_asked:
            self._fold(build.id, FindBuild(), Absent())

    async def _with_log(self, read: PhaseRead, quay_id: str) -> PhaseRead:
        if read.phase not in PHASES_WITH_A_REASON:
            return read
        ask = partial(self._site.registry.get_repo_build_logs, self._claim.repository, quay_id)
        try:
            with timed_call(self._site.key, "getRepoBuildLogs"):
                return replace(read, log=digest(await self._site.line.follow_up(ask)))
        except (CallError, Closed) as error:
            log.warning("log not read", repository=self._claim.repository, quay_build=quay_id, because=str(error))
            return read

    # ── folding in and saving ────────────────────────────────────────────────────────────────────────────────────────

    def _fold(self, build_id: BuildId, action: Action, outcome: Outcome) -> None:
        build = self._builds[build_id]
        after = evolve(build, action, outcome, self._scene(build))
        self._builds[build_id] = after
        if after.seen.phase is BuildPhase.SUCCEEDED:
            self._tools.memory.sources.found(after)
        if after.seen.phase is BuildPhase.SUCCEEDED and after.seen.building_since and after.seen.finished_at:
            self.typical = average(self.typical, after.seen.ran)

    async def _save(self, *only: BuildId, untold: frozenset[BuildId] = frozenset()) -> frozenset[BuildId]:
        """Write down what changed; of `untold` builds without a word about it in steps, status and log. Returns whose
        request was given no place: as if it had never been begun."""
        now = {build_id: self._builds[build_id] for build_id in only or self._builds}
        after = {build_id: build for build_id, build in now.items() if build != self._saved[build_id]}
        if not after:
            return frozenset()
        news = {build_id: build for build_id, build in after.items() if build_id not in untold}
        saved, before = ({build_id: known[build_id] for build_id in after} for known in (self._saved, self._told))
        changes = [
            self._change(before[build_id], build, news.get(build_id), saved[build_id].seen.phase)
            for build_id, build in after.items()
        ]
        # Before the write, for whoever saves while it is under way would write and tell the same once more. If it
        # fails, so does the pass.
        self._saved.update(after)
        self._told.update(news)
        places = await self._tools.store.save(self._claim, changes, self._now, self._site.caps)
        refused = frozenset(build_id for build_id in places if _asked_for_place(saved.get(build_id), after))
        for build_id in refused:
            self._builds[build_id] = self._saved[build_id] = saved[build_id]
            self._told[build_id] = before[build_id]
        for build_id in news.keys() - refused:
            _tell(before[build_id], news[build_id])
        await self._stand_in_line({build_id: place for build_id, place in places.items() if build_id in self._builds})
        return refused

    async def _stand_in_line(self, places: Mapping[BuildId, InLine]) -> None:
        for build_id, place in places.items():
            look_after = next((pause for places, pause in LINE_LOOKS if place.place <= places), FAR_BACK_LOOK)
            self._line_looks[build_id] = place.until or self._now + look_after
            self._fold(build_id, RequestBuild(), place)
        if places:
            await self._save(*places)

    def _change(self, before: Build, after: Build, news: Build | None, was: BuildPhase) -> BuildChange:
        told = news or before
        old, new = self._wording(before), self._wording(told)
        is_first_word = _is_unaccepted(before, told) and old.description != new.description
        is_news = is_first_word or (old.state, old.stage) != (new.state, new.stage)
        return BuildChange(
            build=after,
            status=new,
            is_news=is_news,
            steps=steps(before, told),
            claims_status=claims_status(before, told),
            is_admitted=_is_undecided(before) and told.seen.phase is BuildPhase.PLANNED,
            was=was,
        )


def claims_status(before: Build, after: Build) -> bool:
    """Whether there is a status from now on that the build may own. One that was dropped undecided leaves no trace on
    the commit."""
    is_dropped = _is_undecided(before) and after.seen.phase is BuildPhase.CANCELLED
    return may_own_status(after) and not may_own_status(before) and not is_dropped


def _is_undecided(build: Build) -> bool:
    return build.seen.phase is BuildPhase.COMPARING


def _is_unaccepted(before: Build, after: Build) -> bool:
    """Whether what there is to tell may be the first word about a build: Quay's answer, or what it waits for."""
    return before.seen.accepted_at is None and after.seen.phase is not BuildPhase.REQUESTING


def _asked_for_place(saved: Build | None, after: Mapping[BuildId, Build]) -> bool:
    if saved is None:
        return False
    return (saved.seen.phase, after[saved.id].seen.phase) == (BuildPhase.PLANNED, BuildPhase.REQUESTING)


def _is_read(action: Action) -> bool:
    return isinstance(action, PollBuild | FindBuild)


def _named(build: Build) -> str:
    commit = short(build.commit) if build.commit else build.ref_name
    return f"the build of {commit}, which still writes {', '.join(build.request.image_tags)}"


def _tell(before: Build, after: Build) -> None:
    old, new = before.seen, after.seen
    if (old.phase, old.quay_phase, old.because) == (new.phase, new.quay_phase, new.because):
        return
    log.info(
        "build moved",
        build=after.id,
        rule=after.request.rule,
        repository=after.request.repository,
        attempt=mark_of(after.id, new.attempt),
        quay_build=new.quay_id,
        quay_phase=new.quay_phase,
        because=new.because,
        **{"from": old.phase, "to": new.phase},
    )
    if after.is_final and not before.is_final:
        BUILDS_ENDED.labels(after.request.registry, new.phase).inc()
