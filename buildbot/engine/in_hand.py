"""The builds of one claimed repository while a pass has them in hand: what is known of them now, what of it is written
down, and what of that has been told.

Those are three things. A call that only finds out whether Quay is back has its intent written down like every other,
but is no news to anybody unless it succeeds; so steps, statuses and the log compare with what was told last, and the
store with what was saved last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import structlog

from buildbot.domain.build import Build, BuildId, BuildPhase, mark_of
from buildbot.domain.lifecycle import Action, InLine, Outcome, RequestBuild, begin, evolve
from buildbot.domain.places import Caps
from buildbot.domain.status import may_own_status
from buildbot.domain.steps import steps
from buildbot.engine.glances import Glance, glance
from buildbot.engine.outcomes import average
from buildbot.engine.scenes import Scenes
from buildbot.engine.tools import Tools
from buildbot.ports import BuildChange, Claim, Wording
from buildbot.telemetry import BUILDS_ENDED

log = structlog.get_logger(__name__)

LINE_LOOKS = ((50, timedelta(minutes=1)), (500, timedelta(minutes=5)))
FAR_BACK_LOOK = timedelta(minutes=15)
"""How often a build in line is told its place, by how far back it stands: a look goes through the whole line. Whoever
is next is woken anyway."""


class BuildsInHand:
    """Builds by their ids, in the order of the pushes. `typical` follows how long they take; `has_news`: something was
    written that a commit status may have to say."""

    def __init__(self, claim: Claim, wording: Wording, caps: Caps, scenes: Scenes, tools: Tools) -> None:
        self.typical = claim.typical
        self.has_news = False
        self._claim = claim
        self._wording = wording
        self._caps = caps
        self._scenes = scenes
        self._store = tools.store
        self._clock = tools.clock
        self._sources = tools.memory.sources
        moment = tools.clock.monotonic()
        written, glimpsed = {build.id: build for build in claim.builds}, tools.memory.glances.recall(claim)
        self._now = {one.id: tools.memory.hurry.released(one, moment) for one in (written | glimpsed).values()}
        self._saved = self._now | {build_id: written[build_id] for build_id in glimpsed}
        self._glances = tools.memory.glances
        self._unwritten: dict[BuildId, Glance] = {}
        self._told = dict(self._now)
        self._line_looks: dict[BuildId, datetime] = {}
        self._writing = asyncio.Lock()

    def __getitem__(self, build_id: BuildId) -> Build:
        return self._now[build_id]

    def __iter__(self) -> Iterator[Build]:
        return iter(tuple(self._now.values()))

    def by_id(self) -> Mapping[BuildId, Build]:
        """All of them as they are now."""
        return self._now

    def told(self, build_id: BuildId) -> Build:
        """The build as it was told last."""
        return self._told[build_id]

    def begin(self, build_id: BuildId, action: Action) -> None:
        """Write the intent of a call into the build; not yet into the store."""
        self._now[build_id] = begin(self._now[build_id], action, self._clock.now())

    def fold(self, build_id: BuildId, action: Action, outcome: Outcome | None) -> None:
        """What became of a step."""
        build = self._now[build_id]
        after = evolve(build, action, outcome, self._scenes.of(build))
        self._now[build_id] = after
        if after.seen.phase is BuildPhase.SUCCEEDED:
            self._sources.found(after)
        if after.seen.phase is BuildPhase.SUCCEEDED and after.seen.building_since and after.seen.finished_at:
            self.typical = average(self.typical, after.seen.ran)

    def looks_again(self, build_id: BuildId) -> datetime | None:
        """When a build that stands in line is to be told its place again."""
        return self._line_looks.get(build_id)

    async def save(self, *only: BuildId, untold: frozenset[BuildId] = frozenset()) -> frozenset[BuildId]:
        """Write down what changed; of `untold` builds without a word about it in steps, status and log. Returns whose
        request was given no place: as if it had never been begun."""
        after = self._to_be_written(only or tuple(self._now))
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
        self.has_news |= any(change.is_news or change.claims_status for change in changes)
        places = await self._store.save(self._claim, changes, self._clock.now(), self._caps)
        refused = frozenset(build_id for build_id in places if _asked_for_place(saved.get(build_id), after))
        for build_id in refused:
            self._now[build_id] = self._saved[build_id] = saved[build_id]
            self._told[build_id] = before[build_id]
        for build_id in news.keys() - refused:
            _tell(before[build_id], news[build_id])
        await self._stand_in_line({build_id: place for build_id, place in places.items() if build_id in self._now})
        return refused

    async def save_together(self) -> None:
        """Write down what changed. Of calls that end while a write is under way the next write takes all along."""
        async with self._writing:
            await self.save()

    def remember(self) -> None:
        """Keep for the next pass what was not worth writing down."""
        self._glances.keep(self._claim, self._unwritten, self._clock.monotonic())

    def _to_be_written(self, ids: Iterable[BuildId]) -> dict[BuildId, Build]:
        changed = {one: self._now[one] for one in ids if self._now[one] != self._saved[one]}
        glances = {one: glance(self._saved[one], build) for one, build in changed.items()}
        unwritten = {one: found for one, found in glances.items() if found is not None}
        if len(unwritten) < len(changed):
            unwritten = {}  # those that are no news go along: so they all come due for writing together
        for one in ids:
            self._unwritten.pop(one, None)
        self._unwritten.update(unwritten)
        return {} if unwritten else changed

    async def _stand_in_line(self, places: Mapping[BuildId, InLine]) -> None:
        for build_id, place in places.items():
            look_after = next((pause for places, pause in LINE_LOOKS if place.place <= places), FAR_BACK_LOOK)
            self._line_looks[build_id] = place.until or self._clock.now() + look_after
            self.fold(build_id, RequestBuild(), place)
        if places:
            await self.save(*places)

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
