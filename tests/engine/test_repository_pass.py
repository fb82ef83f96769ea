"""One pass over a repository, where no story can reach: what is written, what is told, and in whose turn."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from buildbot.domain.build import Build, BuildId, BuildPhase, Seen, WaitingLine, mark_of
from buildbot.domain.lifecycle import InLine, Limits
from buildbot.domain.log import LogEntry
from buildbot.domain.places import Caps
from buildbot.domain.status import CommitStatus
from buildbot.engine.pacing import POLL_BURST, Clock, RegistryLine
from buildbot.engine.portions import MOST_REQUESTS
from buildbot.engine.registry_calls import SLOW_LIST_SECONDS
from buildbot.engine.repository_pass import RepositoryPass
from buildbot.engine.setup import Setup
from buildbot.engine.sites import RegistrySite
from buildbot.engine.tools import Memory, Tools
from buildbot.ports import (
    BuildChange,
    BuildOrder,
    BuildRecord,
    CallError,
    Claim,
    Registry,
    Store,
    Stray,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
)
from tests.domain.builds import NOW, REQUEST, SUPERSEDED, a_build, accepted, ago, planned, requesting

pytestmark = pytest.mark.anyio
ONE = BuildId("b1")

SETTLE_SECONDS = 30.0
PUBLIC_URL = "https://builds.example.com"


@dataclass
class FakeQuay:
    """A registry as a pass sees it: what it lists, how calls fail, who called what."""

    records: list[BuildRecord] = field(default_factory=list)
    errors: dict[str, CallError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if (error := self.errors.get(what.partition(" ")[0])) is not None:
            raise error

    async def request_repo_build(self, order: BuildOrder) -> BuildRecord:
        self._called("request")
        made = BuildRecord(f"new{len(self.records)}", "waiting", order.image_tags, NOW, order.archive_url)
        self.records.insert(0, made)
        return made

    async def cancel_repo_build(self, _repository: str, build: str) -> None:
        self._called(f"cancel {build}")

    async def get_repo_build(self, repository: str, build: str) -> BuildRecord:
        return await self.get_repo_build_status(repository, build)

    async def get_repo_build_status(self, _repository: str, build: str) -> BuildRecord:
        self._called(f"status {build}")
        return next(record for record in self.records if record.id == build)

    async def get_repo_builds(self, _repository: str, _since: datetime) -> tuple[BuildRecord, ...]:
        self._called("list")
        return tuple(self.records)

    async def get_repo_build_logs(self, _repository: str, build: str) -> tuple[LogEntry, ...]:
        self._called(f"logs {build}")
        return ()


@dataclass
class FakeStore:
    """A store that takes its time, and keeps what it was given."""

    saves: list[Sequence[BuildChange]] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    line: bool = False

    async def save(
        self, _claim: Claim, changes: Sequence[BuildChange], _now: datetime, _caps: Caps
    ) -> Mapping[BuildId, InLine]:
        await asyncio.sleep(0)
        asking = [one for one in changes if self.line and one.build.seen.phase is BuildPhase.REQUESTING]
        places = {one.build.id: InLine(WaitingLine.PLACE, at + 1) for at, one in enumerate(asking)}
        self.saves.append([one for one in changes if one.build.id not in places])
        return places

    async def save_strays(self, _claim: Claim, strays: Sequence[Stray]) -> None:
        self.strays.extend(strays)

    async def followed(self, builds: Collection[BuildId]) -> Mapping[BuildId, frozenset[str]]:
        over = [stray for stray in self.strays if stray.finished_at]
        return {build: frozenset(stray.quay_id for stray in over if stray.build == build) for build in builds}

    def told(self, build: BuildId = ONE) -> list[str]:
        """The steps written down for a build, in order."""
        return [step for changes in self.saves for one in changes if one.build.id == build for step in one.steps]

    def statuses(self, build: BuildId = ONE) -> list[CommitStatus]:
        """The news written down for its commit."""
        return [one.status for changes in self.saves for one in changes if one.build.id == build and one.is_news]


@dataclass
class World:
    """A registry, a store, a clock that is turned by hand, and passes over one repository."""

    seconds: float = 0.0
    polls_per_second: float = 1000.0
    quay: FakeQuay = field(default_factory=FakeQuay)
    store: FakeStore = field(default_factory=FakeStore)
    memory: Memory = field(default_factory=Memory)
    has_news: bool = False

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: NOW + timedelta(seconds=self.seconds), lambda: self.seconds)
        self.line = RegistryLine("quay", self.polls_per_second, self.clock)
        self.looks = 0
        self.builds: dict[BuildId, Build] = {}
        self.strays: tuple[Stray, ...] = ()

    def add(self, seen: Seen, number: int = 1, tag: str | None = None) -> Build:
        """A build, each with an image tag of its own unless one is given."""
        request = replace(REQUEST, image_tags=(tag or f"tag{number}",))
        build = replace(a_build(seen), id=BuildId(f"b{number}"), seq=number, request=request)
        self.builds[build.id] = build
        return build

    def listed(self, build: Build, phase: str = "waiting") -> BuildRecord:
        """Put the build that a row follows into Quay's list."""
        url = f"https://github.com/x.tar.gz#{mark_of(build.id, max(build.seen.attempt, 1))}"
        record = BuildRecord(build.seen.quay_id or "q?", phase, build.request.image_tags, NOW, url)
        self.quay.records.append(record)
        return record

    async def look(self) -> datetime | None:
        """One pass; what it saved is there for the next."""
        site = RegistrySite("quay", cast("Registry", self.quay), self.line, Limits(), timedelta(seconds=SETTLE_SECONDS))
        tools = Tools(cast("Store", self.store), self.clock, self.memory)
        unfinished = tuple(build for build in self.builds.values() if not build.is_final)
        self.looks += 1
        claim = Claim("quay", "acme/api", self.looks, 0, unfinished, self.strays, is_taken_over=False)
        one = RepositoryPass(claim, Setup(registries={"quay": site}, public_url=PUBLIC_URL), tools)
        due, self.has_news = await one.run(), one.has_news
        for change in (one for changes in self.store.saves for one in changes):
            self.builds[change.build.id] = change.build
        return due

    def seen(self, number: int = 1) -> Seen:
        return self.builds[BuildId(f"b{number}")].seen


async def test_what_two_saves_of_one_pass_could_write_is_written_once() -> None:
    it = World()
    it.add(planned(), 1)
    it.listed(it.add(accepted(due=NOW, quay_id="q2"), 2), "building")
    await it.look()
    told = it.store.told(ONE)
    assert len(told) == len(set(told))
    assert told[0] == "asked Quay for the build"
    assert "Quay says building" in it.store.told(BuildId("b2"))


async def test_the_intent_is_written_before_the_request_is_made() -> None:
    it = World()
    it.add(planned())
    await it.look()
    phases = [change.build.seen.phase for changes in it.store.saves for change in changes]
    assert phases == [BuildPhase.REQUESTING, BuildPhase.WAITING]


async def test_what_only_finds_out_whether_quay_is_back_is_not_told() -> None:
    it = World()
    it.quay.errors["request"] = Unreachable("cannot reach quay")
    it.add(planned())
    await it.look()
    told, news = list(it.store.told()), list(it.store.statuses())
    for _ in range(5):
        it.seconds += 10
        await it.look()
    assert it.quay.calls == ["request"] * 6
    assert (it.store.told(), it.store.statuses()) == (told, news)
    assert it.seen().attempt == 0
    it.quay.errors.clear()
    it.seconds += 10
    await it.look()
    assert it.store.told()[len(told) :][0] == "asked Quay for the build"
    assert it.seen().phase is BuildPhase.WAITING


async def test_an_attempt_that_is_turned_away_again_and_again_is_told_once() -> None:
    it = World()
    it.quay.errors["request"] = Unavailable("read only")
    it.add(planned())
    for _ in range(5):
        await it.look()
        it.seconds += 61
    assert it.quay.calls == ["request"] * 5
    assert it.store.told().count("asked Quay for the build") == 1


async def test_of_many_builds_one_probes_and_the_rest_wait() -> None:
    it = World()
    it.quay.errors["request"] = Unreachable("cannot reach quay")
    for number in range(1, 6):
        it.add(planned(), number)
    await it.look()
    before = len(it.quay.calls)
    it.seconds += 11
    await it.look()
    assert len(it.quay.calls) == before + 1
    assert {it.seen(number).because for number in range(1, 6)} == {"cannot reach quay (since 12:00 UTC)"}


async def test_one_list_serves_all_builds_of_the_repository() -> None:
    it = World()
    for number in range(1, 9):
        it.listed(it.add(accepted(due=NOW, quay_id=f"q{number}"), number), "building")
    await it.look()
    assert it.quay.calls == ["list"]
    assert {it.seen(number).quay_phase for number in range(1, 9)} == {"building"}


async def test_a_look_that_finds_nothing_new_writes_nothing_and_the_next_one_knows_of_it() -> None:
    it = World()
    it.listed(it.add(accepted("building", due=NOW, building_since=NOW)), "building")
    due = await it.look()
    assert due is not None
    assert (it.quay.calls, it.store.saves, it.has_news) == (["list"], [], False)
    it.seconds = 1
    assert await it.look() == due
    assert it.quay.calls == ["list"]


async def test_what_looks_found_is_written_once_a_minute_for_all_builds_together() -> None:
    it = World()
    for number in (1, 2):
        seen = accepted("building", due=NOW, building_since=NOW, quay_id=f"q{number}", observed_at=ago(seconds=number))
        it.listed(it.add(seen, number), "building")
    while it.seconds < 200:
        await it.look()
        it.seconds += 5
    written = [{one.build.seen.observed_at for one in changes} for changes in it.store.saves]
    assert {len(changes) for changes in it.store.saves} == {2}
    assert {len(moments) for moments in written} == {1}
    assert 3 <= len(written) <= 4
    assert it.seen(1).ran + timedelta(seconds=1) == it.seen(2).ran  # which was seen a second longer ago at first
    assert it.store.told() == []


async def test_news_of_one_build_is_written_with_what_is_no_news_of_the_others() -> None:
    it = World()
    for number in (1, 2):
        seen = accepted("building", due=NOW, building_since=NOW, quay_id=f"q{number}")
        it.listed(it.add(seen, number), "building" if number == 1 else "complete")
    await it.look()
    assert [{one.build.id for one in changes} for changes in it.store.saves] == [{"b1", "b2"}]
    assert (it.has_news, it.seen(2).phase) == (True, BuildPhase.SUCCEEDED)


async def test_a_list_that_takes_too_long_is_left_alone_for_five_minutes() -> None:
    it = World()
    it.listed(it.add(accepted(due=NOW)), "building")
    it.quay.errors["list"] = Unanswered("did not answer in time", timed_out=True)
    await it.look()
    it.quay.errors.clear()
    it.seconds = 61
    await it.look()
    it.seconds = SLOW_LIST_SECONDS + 61
    await it.look()
    assert it.quay.calls == ["list", "status q1", "list"]


async def test_single_reads_take_a_turn_each() -> None:
    it = World(polls_per_second=1.0)
    it.memory.slow_lists["quay", "acme/api"] = SLOW_LIST_SECONDS
    count = POLL_BURST + 5
    for number in range(count):
        it.listed(it.add(accepted(due=NOW, quay_id=f"q{number}"), number), "building")
    due = await it.look()
    assert len(it.quay.calls) == POLL_BURST
    assert due == NOW + timedelta(seconds=1)
    it.seconds = 3
    await it.look()
    assert len(it.quay.calls) == POLL_BURST + 3


async def test_a_read_whose_turn_has_not_come_leaves_the_claim_until_then() -> None:
    it = World(polls_per_second=1.0)
    for number in range(POLL_BURST):
        it.line.poll_wait(f"other/{number}")
    it.listed(it.add(accepted(due=NOW)))
    assert await it.look() == NOW + timedelta(seconds=1)
    assert it.quay.calls == []


async def test_the_settle_time_runs_from_when_the_call_ended() -> None:
    it = World()
    it.add(planned())
    it.quay.errors["request"] = Unanswered("the connection broke")
    assert await it.look() == NOW + timedelta(seconds=SETTLE_SECONDS)
    it.seconds = SETTLE_SECONDS - 0.1
    await it.look()
    assert it.quay.calls == ["request"]
    it.seconds = SETTLE_SECONDS
    await it.look()
    assert it.quay.calls == ["request", "list"]


async def test_a_lost_attempt_is_adopted_by_its_mark_and_no_other() -> None:
    it = World()
    build = it.add(requesting(attempt=2, asked_at=NOW))
    for attempt, phase in ((1, "complete"), (3, "waiting")):
        url = f"https://github.com/x.tar.gz#{mark_of(build.id, attempt)}"
        it.quay.records.append(BuildRecord(f"q{attempt}", phase, ("tag1",), NOW, url))
    it.quay.records.append(BuildRecord("hidden", "waiting", ("tag1",), NOW, None))
    it.memory.doubts.begin(build, -SETTLE_SECONDS)
    await it.look()
    assert (it.seen().phase, it.seen().quay_id) == (BuildPhase.PLANNED, None)


async def test_a_stray_whose_cancel_never_left_is_cancelled_at_the_next_look() -> None:
    it = World()
    build = it.add(accepted(due=NOW))
    it.listed(build, "building")
    late = BuildRecord("late", "waiting", ("tag1",), NOW, f"https://x/y.tar.gz#{mark_of(build.id, 7)}")
    it.quay.records.append(late)
    it.quay.errors["cancel"] = Unreachable("cannot reach quay")
    await it.look()
    assert [(stray.quay_id, stray.is_cancelled) for stray in it.store.strays] == [("late", True), ("late", False)]
    it.quay.errors.clear()
    it.seconds = 61
    it.strays = (it.store.strays[-1],)
    await it.look()
    assert it.quay.calls.count("cancel late") == 2
    assert it.store.strays[-1].is_cancelled


async def test_a_stray_is_cancelled_once_and_holds_its_tags_until_it_has_ended() -> None:
    it = World()
    it.strays = (Stray("late", BuildId("gone"), ("tag1",), "building", NOW, is_cancelled=True),)
    it.quay.records.append(BuildRecord("late", "pushing", ("tag1",), NOW, "https://x/y.tar.gz#gone.1"))
    it.add(planned())
    await it.look()
    assert "request" not in it.quay.calls
    assert it.seen().because == "waits for a late build (late)"
    it.quay.records[:] = [replace(it.quay.records[0], phase="complete")]
    it.seconds = 61
    await it.look()
    assert it.store.strays[-1].finished_at is not None
    it.strays = ()
    await it.look()
    assert "request" in it.quay.calls
    assert not [call for call in it.quay.calls if call.startswith("cancel")]


@pytest.mark.parametrize("phase", ["waiting", "expired"])
async def test_a_stray_that_quay_never_ends_is_not_waited_for_twice(phase: str) -> None:
    it = World()
    build = it.add(planned(attempt=2, asked_at=NOW))
    it.strays = (Stray("late", build.id, ("tag1",), phase, NOW - timedelta(days=2), is_cancelled=True),)
    it.quay.records.append(BuildRecord("late", phase, ("tag1",), NOW, f"https://x/y.tar.gz#{mark_of(build.id, 1)}"))
    await it.look()
    assert it.seen().because == "waits for a late build (late)"
    assert it.store.strays[-1].finished_at is not None
    it.strays = ()
    await it.look()
    await it.look()
    assert "request" in it.quay.calls
    assert len(it.store.strays) == 1


async def test_the_usual_build_time_is_learned_from_what_succeeds() -> None:
    it = World(seconds=100.0)
    it.listed(it.add(accepted("pushing", due=NOW, building_since=NOW)), "complete")
    site = RegistrySite("quay", cast("Registry", it.quay), it.line, Limits(), timedelta(seconds=30))
    setup = Setup(registries={"quay": site}, public_url=PUBLIC_URL)
    tools = Tools(cast("Store", it.store), it.clock, it.memory)
    one = RepositoryPass(Claim("quay", "acme/api", 1, 0, tuple(it.builds.values())), setup, tools)
    await one.run()
    assert one.typical == timedelta(seconds=100)


async def test_a_superseded_build_is_cancelled_by_a_read_that_is_fresh() -> None:
    it = World(seconds=3.0)
    build = it.add(accepted("building", due=NOW + timedelta(seconds=30)))
    it.builds[build.id] = replace(build, goal=SUPERSEDED)
    it.listed(build, "building")
    await it.look()
    assert it.quay.calls == ["cancel q1"]
    assert (it.seen().phase, it.seen().because) == (BuildPhase.CANCELLED, "superseded by 9f8e7d6")


# ── standing in line, quiet, portions ────────────────────────────────────────────────────────────────────────────────


async def test_without_a_place_nothing_is_asked_and_the_build_says_where_it_stands() -> None:
    it = World()
    it.store.line = True
    it.add(planned())
    it.add(planned(), 2)
    assert await it.look() == NOW + timedelta(minutes=1)
    assert it.quay.calls == []
    assert [it.seen(number).place for number in (1, 2)] == [1, 2]
    assert it.store.told() == ["waits for a free place"]
    assert it.store.statuses()[-1].description == "Waits for a free place: 1st in line (main)"
    it.store.line = False
    await it.look()
    assert it.quay.calls == ["request", "request"]
    assert it.store.told()[1:3] == ["asked Quay for the build", "requesting"]


async def test_a_place_that_stays_the_same_is_not_written_down_again() -> None:
    it = World()
    it.store.line = True
    it.add(planned())
    await it.look()
    saves = len([changes for changes in it.store.saves if changes])
    it.seconds = 60
    await it.look()
    assert len([changes for changes in it.store.saves if changes]) == saves


async def test_whoever_stands_behind_a_whole_portion_learns_it_too() -> None:
    it = World()
    it.store.line = True
    count = MOST_REQUESTS + 3
    for number in range(count):
        it.add(planned(), number)
    await it.look()
    assert all(it.seen(number).because == "waits for a free place" for number in range(count))


async def test_a_pass_asks_for_a_portion_and_comes_back_for_the_rest_at_once() -> None:
    it = World()
    for number in range(MOST_REQUESTS + 5):
        it.add(planned(), number)
    assert await it.look() == NOW
    assert it.quay.calls == ["request"] * MOST_REQUESTS
    await it.look()
    assert it.quay.calls.count("request") == MOST_REQUESTS + 5


async def test_a_full_queue_is_told_once_and_asked_without_a_word() -> None:
    it = World()
    it.add(planned())
    it.quay.errors["request"] = Throttled("Quay's queue is full (no)")
    for _ in range(3):
        await it.look()
    assert it.store.told() == ["asked Quay for the build", "requesting", "planned: Quay's queue is full (no)"]
    assert (it.seen().phase, it.seen().line, it.seen().attempt) == (BuildPhase.PLANNED, WaitingLine.QUEUE, 0)


async def test_a_build_that_waits_for_quiet_is_told_and_looked_at_when_it_is_over() -> None:
    it = World()
    build = it.add(planned())
    quiet = replace(build.request, quiet_period=timedelta(minutes=2))
    it.builds[ONE] = replace(build, request=quiet)
    assert await it.look() == NOW + timedelta(minutes=1)
    assert it.quay.calls == []
    assert it.store.statuses()[-1].description == "Waits for quiet until 12:01:00 UTC (main)"
    it.seconds = 60
    await it.look()
    assert it.quay.calls == ["request"]


async def test_a_build_that_waits_for_quiet_holds_its_image_tags() -> None:
    it = World()
    build = it.add(planned(), tag="latest")
    it.builds[ONE] = replace(build, request=replace(build.request, quiet_period=timedelta(hours=1)))
    it.add(planned(), 2, tag="latest")
    await it.look()
    assert it.quay.calls == []
    assert "which still writes latest" in it.seen(2).because


async def test_answers_that_come_together_are_written_down_together() -> None:
    it = World()
    for number in range(1, 11):
        it.add(planned(), number)
    await it.look()
    intents, *answers = it.store.saves
    assert (len(intents), len(answers)) == (10, 2), "what came while the first answer was written went in one write"
    assert sum(len(written) for written in answers) == 10
