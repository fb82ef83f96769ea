"""One look at one claimed repository: decide for each of its builds, save the intents, call, fold in, save.

A pass holds nothing that matters: killed at any `await`, the rows say what was wanted, what was asked and what was
seen, and the next pass goes on from there. What it does remember between passes (`Memory`) may be lost at any time.

One list serves every build of the repository, and the strays (`strays.py`) besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from buildbot.domain.build import Build, BuildId, read_mark
from buildbot.domain.lifecycle import (
    Absent,
    Action,
    Admit,
    Blocked,
    CancelBuild,
    CheckSource,
    ComparePaths,
    Drop,
    Failed,
    FindBuild,
    GiveUp,
    Hold,
    Holder,
    PollBuild,
    Quiet,
    RequestBuild,
    ResolveCommit,
    Rest,
    SourceChecked,
    Wait,
    decide,
)
from buildbot.domain.push import short
from buildbot.engine.forge_questions import ForgeQuestions
from buildbot.engine.gate import Gate, is_read
from buildbot.engine.in_hand import BuildsInHand
from buildbot.engine.outcomes import accepted, failure_of, phase_in_list
from buildbot.engine.portions import in_portions
from buildbot.engine.registry_calls import RegistryCalls
from buildbot.engine.scenes import Scenes
from buildbot.engine.setup import Setup
from buildbot.engine.strays import Strays
from buildbot.engine.tools import Tools
from buildbot.ports import BuildRecord, Claim

LIST_SINCE = timedelta(hours=1)
STRAY_POLLS = 2
HOLD_LOOK = timedelta(minutes=1)


class RepositoryPass:
    """One pass over a claim, by the setup that is in force as it begins.

    `run` returns when to look again; `typical` is what it learned of build times. `has_found_source`: builds can be
    asked for now that waited for a look at their source. `has_news`: something was written that a commit status may
    have to say.
    """

    def __init__(self, claim: Claim, setup: Setup, tools: Tools) -> None:
        self._site = setup.registries[claim.registry]
        self._clock = tools.clock
        self._sources = tools.memory.sources
        self._scenes = Scenes(claim, self._site, tools)
        self._builds = BuildsInHand(claim, setup.wording, self._site.caps, self._scenes, tools)
        self._gate = Gate(setup, self._site, claim.repository, tools.clock)
        self._calls = RegistryCalls(self._site, claim.repository, tools)
        self._questions = ForgeQuestions(setup.forges, tools.memory.sources, tools.clock)
        self._strays = Strays(claim, self._site, tools.store, tools.clock)
        self._deferred: datetime | None = None
        self.has_found_source = False

    @property
    def typical(self) -> timedelta | None:
        """The repository's usual build time."""
        return self._builds.typical

    @property
    def has_news(self) -> bool:
        return self._builds.has_news

    async def run(self) -> datetime | None:
        """Do what is due; returns when to look again, None if only news can change anything. Raises ClaimLost."""
        actions = self._without_calls(self._decide_all())
        now, later = in_portions(self._let_through(actions))
        begun = await self._begin(now)
        if len(begun) < len(now):  # whoever stands behind them in line is to know that, too
            begun |= await self._begin(later)
        await self._perform(begun)
        self._builds.remember()
        return self._next_look()

    async def _begin(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """Write the intents down; what may be done now, without the requests that have to wait for a place."""
        for build_id, action in actions.items():
            self._builds.begin(build_id, action)
        waiting = await self._builds.save(untold=self._probes(actions))
        return {build_id: action for build_id, action in actions.items() if build_id not in waiting}

    # ── deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _decide_all(self) -> dict[BuildId, Action]:
        """The next step of every unfinished build, older ones first: they hold their image tags."""
        holders = self._strays.holders()
        actions: dict[BuildId, Action] = {}
        for build in [build for build in self._builds if not build.is_final]:
            action = self._decide(build, holders)
            actions[build.id] = action
            if not isinstance(action, Drop | GiveUp):
                holders.append(Holder(build.request.image_tags, _named(build)))
        return actions

    def _decide(self, build: Build, holders: Iterable[Holder]) -> Action:
        scene = self._scenes.of(build, holders)
        action = decide(build, scene)
        if not isinstance(action, CheckSource) or not self._sources.needs_no_look(build, self._clock.monotonic()):
            return action
        self._builds.fold(build.id, action, SourceChecked())
        return decide(self._builds[build.id], scene)

    def _without_calls(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """Fold in the steps that need no call; what is left does."""
        left: dict[BuildId, Action] = {}
        for build_id, action in actions.items():
            match action:
                case Drop() | GiveUp() | Hold() | Quiet() | Admit():
                    self._builds.fold(build_id, action, None)
                case Rest() | Wait():
                    pass
                case _:
                    left[build_id] = action
        return left

    def _let_through(self, actions: Mapping[BuildId, Action]) -> dict[BuildId, Action]:
        """Without what the lines do not take now, and without reads whose turn has not come."""
        allowed: dict[BuildId, Action] = {}
        for build_id, action in actions.items():
            line = self._gate.line_for(self._builds[build_id], action)
            if line is None or (closed := self._gate.closed(line)) is None:
                allowed[build_id] = action
            else:
                # Never saved: a call that is not let through takes its intent back, so it has to have one.
                self._builds.begin(build_id, action)
                self._builds.fold(build_id, action, failure_of(closed, line, self._clock))
        allowed, self._deferred = self._gate.in_turn(allowed, self._singly(allowed))
        return allowed

    def _probes(self, actions: Mapping[BuildId, Action]) -> frozenset[BuildId]:
        """Whose call only finds out whether the other side takes it by now. That is no news unless it does."""
        return frozenset(build_id for build_id, action in actions.items() if self._is_probe(build_id, action))

    def _is_probe(self, build_id: BuildId, action: Action) -> bool:
        if isinstance(action, RequestBuild) and self._builds.told(build_id).seen.failures:
            return True
        line = self._gate.line_for(self._builds[build_id], action)
        return line is not None and bool(line.trouble)

    def _singly(self, actions: Mapping[BuildId, Action]) -> frozenset[BuildId]:
        """Who is read by itself: after a DELETE, and where the list takes too long."""
        return frozenset(
            build_id
            for build_id, action in actions.items()
            if isinstance(action, PollBuild) and (self._calls.is_list_slow or _was_just_deleted(self._builds[build_id]))
        )

    def _next_look(self) -> datetime | None:
        times = [self._look_at(self._builds[build_id], action) for build_id, action in self._decide_all().items()]
        if self._strays:
            times.append(self._clock.now() + self._site.limits.poll_interval * STRAY_POLLS)
        return min((time for time in times if time is not None), default=None)

    def _look_at(self, build: Build, action: Action) -> datetime | None:
        now = self._clock.now()
        match action:
            case Rest():
                return None
            case Wait(until):
                return until or now + max(self._scenes.settles_in(build), timedelta())
            case Hold():
                return now + HOLD_LOOK
            case Quiet(until):
                return until
            case RequestBuild():
                return self._builds.looks_again(build.id) or now
            case PollBuild() | FindBuild():
                return self._deferred or now
            case _:
                return now

    # ── calling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _perform(self, actions: Mapping[BuildId, Action]) -> None:
        calls = [self._call(build_id, action) for build_id, action in actions.items() if not is_read(action)]
        reads = {build_id: action for build_id, action in actions.items() if is_read(action)}
        busy = actions.keys() - reads.keys()
        if reads or (self._strays and self._gate.may_list_unasked()):
            calls.append(self._read(reads, busy))
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)

    async def _call(self, build_id: BuildId, action: Action) -> None:
        build = self._builds[build_id]
        match action:
            case RequestBuild():
                outcome = await self._calls.request(build)
            case CancelBuild():
                outcome = await self._calls.cancel(build)
            case ResolveCommit() | ComparePaths() | CheckSource():
                outcome = await self._questions.ask(build, action)
            case _:
                raise ValueError(f"not a call: {action}")
        self._builds.fold(build_id, action, outcome)
        if self._is_remembered(build_id, action):
            self.has_found_source = True
        else:
            await self._builds.save_together()

    def _is_remembered(self, build_id: BuildId, action: Action) -> bool:
        """Whether the next pass will know what this call taught without a word of it in the store: a source that is
        there, which is written down with the request that follows directly."""
        build = self._builds[build_id]
        is_known = isinstance(action, CheckSource) and build.seen.is_checked
        return is_known and self._sources.needs_no_look(build, self._clock.monotonic())

    async def _read(self, reads: Mapping[BuildId, Action], busy: Iterable[BuildId]) -> None:
        """Read what is due: by one list for all but those that are read singly."""
        singly = self._singly(reads)
        listed = {build_id: action for build_id, action in reads.items() if build_id not in singly}
        async with asyncio.TaskGroup() as group:
            for build_id in singly:
                group.create_task(self._read_one(build_id))
            if listed or not singly:
                group.create_task(self._read_list(listed, {*busy, *singly}))
        await self._builds.save_together()

    async def _read_one(self, build_id: BuildId, *, follows_up: bool = False) -> None:
        outcome = await self._calls.read(self._builds[build_id], follows_up=follows_up)
        self._builds.fold(build_id, PollBuild(), outcome)

    async def _read_list(self, reads: Mapping[BuildId, Action], busy: set[BuildId]) -> None:
        records = await self._calls.list(self._list_since())
        if isinstance(records, Failed | Blocked):
            for build_id, action in reads.items():
                self._builds.fold(build_id, action, records)
            return
        await self._fold_list(records, reads, busy)
        await self._strays.follow(records, self._builds.by_id())

    def _list_since(self) -> datetime:
        asked = [build.seen.asked_at for build in self._builds if build.seen.asked_at and not build.is_final]
        return min([*asked, *self._strays.found_at()], default=self._clock.now()) - LIST_SINCE

    # ── folding in ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _fold_list(
        self, records: Sequence[BuildRecord], reads: Mapping[BuildId, Action], busy: set[BuildId]
    ) -> None:
        by_id = {record.id: record for record in records}
        by_mark = {mark: record for record in records if (mark := read_mark(record.archive_url))}
        missing = []
        for build in [one for one in self._builds if one.id not in busy and not one.is_final]:
            if build.seen.quay_id is None:
                self._fold_search(build, records, by_mark, was_asked=build.id in reads)
            elif record := by_id.get(build.seen.quay_id):
                read = await self._calls.with_log(phase_in_list(record, records), record.id)
                self._builds.fold(build.id, PollBuild(), read)
            elif build.id in reads:
                missing.append(build.id)
        for build_id in missing:
            await self._read_one(build_id, follows_up=True)

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
            self._builds.fold(build.id, FindBuild(), accepted(record, phase_in_list(record, records)))
        elif was_asked:
            self._builds.fold(build.id, FindBuild(), Absent())


def _was_just_deleted(build: Build) -> bool:
    return build.seen.delete is not None and not build.seen.delete.read_since


def _named(build: Build) -> str:
    commit = short(build.commit) if build.commit else build.ref_name
    return f"the build of {commit}, which still writes {', '.join(build.request.image_tags)}"
