"""Rounds on a real store: one instance at a time, looks when they are due, within a budget, with their own troubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from buildbot.engine.pacing import Clock, Closed
from buildbot.engine.rounds import LOOK_BURST, Look, Looked, Round, RoundLoop, Rounds, Subject
from buildbot.engine.setup import Setup
from buildbot.ports import CallError, ClaimLost, RoundReport, Throttled, Unanswered, Vanished
from buildbot.store.sql_store import SqlStore
from tests.store.world import LEASE, START
from tests.stories.world import until

pytestmark = pytest.mark.anyio
EVERY = timedelta(minutes=15)


@dataclass
class Hand:
    """A clock whose hand the test moves."""

    now: datetime = START

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.seconds)


class Noting(Round):
    """Counts its looks in what it remembers; what is to happen at one is a test's affair."""

    name = "noting"

    def __init__(self, *names: str, happens: Callable[[Look], None] = lambda _: None) -> None:
        self.every = EVERY
        self.setup = Setup()
        self.a_minute = 6000
        self.names = names
        self.looks: list[str] = []
        self.note = ""
        self.found: tuple[str, ...] = ()
        self._happens = happens

    def looks_per_minute(self, forge: str) -> int:
        assert forge == "github"
        return self.a_minute

    def subjects(self) -> tuple[Subject, ...]:
        return tuple(Subject("github", name) for name in self.names)

    async def look(self, look: Look) -> Looked:
        self.looks.append(look.subject.name)
        self._happens(look)
        times = 1 + (look.state or {"times": 0})["times"]
        await look.remember({"times": times})
        return Looked({"times": times}, look.now + EVERY, self.found, self.note)


@dataclass
class Bench:
    """A store, a clock, and loops that go rounds over it, each as an instance of its own."""

    store: SqlStore
    hand: Hand = field(default_factory=Hand)
    owners: int = 0

    def loop(self, round_: Round) -> RoundLoop:
        """An instance that has just started."""
        self.owners += 1
        return RoundLoop(lambda: round_, self.store, self.hand.clock(), owner=f"i{self.owners}", lease=LEASE)

    async def report(self) -> RoundReport:
        """How the round stands; it has been begun."""
        (one,) = await self.store.round_reports()
        return one


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as store:
        yield Bench(store)


async def test_everything_is_looked_at_at_start_and_then_when_it_is_due(bench: Bench) -> None:
    one = Noting("api", "web")
    loop = bench.loop(one)
    assert await loop.go_if_due()
    assert (one.looks, (await bench.report()).looked) == (["api", "web"], 2)
    bench.hand.now += EVERY - timedelta(seconds=1)
    assert not await loop.go_if_due()
    bench.hand.now += timedelta(seconds=1)
    assert await loop.go_if_due()
    assert one.looks == ["api", "web"] * 2
    assert await bench.store.watched_state("noting", "github:api") == '{"times": 2}'


async def test_a_process_that_starts_looks_at_once_though_nothing_is_due(bench: Bench) -> None:
    for start in range(2):
        bench.hand.now = START + timedelta(minutes=start)
        one = Noting("api")
        assert await bench.loop(one).go_if_due()
        assert one.looks == ["api"]


async def test_what_a_new_configuration_adds_is_looked_at_at_once(bench: Bench) -> None:
    one = Noting("api")
    loop = bench.loop(one)
    await loop.go_if_due()
    bench.hand.now += timedelta(minutes=1)
    one.names, one.setup = ("api", "web"), Setup()
    assert await loop.go_if_due()
    assert one.looks == ["api", "web"]
    assert not await loop.go_if_due()


async def test_a_round_that_is_off_is_not_gone(bench: Bench) -> None:
    loop = RoundLoop(lambda: None, bench.store, bench.hand.clock(), owner="i", lease=LEASE)
    assert not await loop.go_if_due()
    assert await bench.store.round_reports() == ()


async def test_of_several_instances_that_start_together_one_looks(bench: Bench) -> None:
    several = [Noting("api", "web", "docs") for _ in range(3)]
    loops = [bench.loop(one) for one in several]
    for _ in range(2):
        await asyncio.gather(*(loop.go_if_due() for loop in loops))
        for loop in loops:
            await loop.go_if_due()
        bench.hand.now += EVERY
    looks = [look for one in several for look in one.looks]
    assert sorted(looks) == sorted(["api", "web", "docs"] * 2)


async def test_looks_are_spread_and_those_that_waited_longest_come_first(bench: Bench) -> None:
    names = [f"r{number:02}" for number in range(LOOK_BURST + 10)]
    one = Noting(*names)
    one.a_minute = 60
    loop = bench.loop(one)
    assert await loop.go_if_due()
    assert one.looks == names[:LOOK_BURST]
    for _ in range(10):
        bench.hand.now += timedelta(seconds=1)
        assert await loop.go_if_due()
    assert one.looks == names


async def test_a_look_that_fails_is_that_subjects_trouble_and_tried_again_in_a_minute(bench: Bench) -> None:
    troubles: list[CallError] = [Unanswered("GitHub answered 502")]

    def happens(look: Look) -> None:
        if look.subject.name == "api" and troubles:
            raise troubles.pop()

    one = Noting("api", "web", happens=happens)
    loop = bench.loop(one)
    await loop.go_if_due()
    assert (one.looks, (await bench.report()).troubles) == (["api", "web"], ("GitHub answered 502",))
    bench.hand.now += timedelta(minutes=1)
    await loop.go_if_due()
    assert (one.looks, (await bench.report()).troubles) == (["api", "web", "api"], ())


async def test_what_is_not_there_is_noted_and_looked_for_no_sooner_than_all_else(bench: Bench) -> None:
    def happens(look: Look) -> None:
        if look.now < START + EVERY:
            raise Vanished(f"there is no {look.subject.name}")

    loop = bench.loop(Noting("api", happens=happens))
    await loop.go_if_due()
    assert ((await bench.report()).notes, (await bench.report()).troubles) == (("there is no api",), ())
    bench.hand.now += EVERY - timedelta(seconds=1)
    assert not await loop.go_if_due()
    bench.hand.now += timedelta(seconds=1)
    assert await loop.go_if_due()
    assert (await bench.report()).notes == ()
    assert await bench.store.watched_state("noting", "github:api") == '{"times": 1}'


@pytest.mark.parametrize(
    "error",
    [
        Throttled("slow down", retry_at=START + timedelta(minutes=5)),
        Closed("GitHub is away", START + timedelta(minutes=5)),
    ],
    ids=["throttled", "closed"],
)
async def test_a_forge_that_says_when_is_asked_again_then(bench: Bench, error: Exception) -> None:
    def happens(look: Look) -> None:
        if look.now < START + timedelta(minutes=5):
            raise error

    loop = bench.loop(Noting("api", happens=happens))
    await loop.go_if_due()
    assert (await bench.report()).troubles == (str(error),)
    bench.hand.now += timedelta(minutes=4)
    assert not await loop.go_if_due()
    bench.hand.now += timedelta(minutes=1)
    assert await loop.go_if_due()
    assert (await bench.report()).troubles == ()


async def test_a_mistake_of_ours_at_one_subject_holds_up_no_other(bench: Bench) -> None:
    def happens(look: Look) -> None:
        if look.subject.name == "api":
            raise KeyError("what")

    one = Noting("api", "web", happens=happens)
    await bench.loop(one).go_if_due()
    (trouble,) = (await bench.report()).troubles
    assert "KeyError" in trouble
    assert one.looks == ["api", "web"]


async def test_what_is_found_and_noted_is_told(bench: Bench) -> None:
    one = Noting("api")
    one.found, one.note = ("a push", "another"), "webhooks cannot be seen"
    await bench.loop(one).go_if_due()
    report = await bench.report()
    assert (report.found, report.found_what, report.notes) == (2, "another", ("webhooks cannot be seen",))


async def test_who_slept_through_the_lease_writes_nothing(bench: Bench) -> None:
    class Asleep(Noting):
        async def look(self, look: Look) -> Looked:
            bench.hand.now += 2 * LEASE
            assert await bench.store.begin_round("noting", "other", bench.hand.now, LEASE, at_once=True)
            return await super().look(look)

    with pytest.raises(ClaimLost):
        await bench.loop(Asleep("api")).go_if_due()
    assert await bench.store.watched("noting") == ()
    assert (await bench.report()).finished_at is None


async def test_what_was_remembered_before_a_failure_stays(bench: Bench) -> None:
    class Breaking(Noting):
        async def look(self, look: Look) -> Looked:
            await look.remember({"asked": 1})
            raise Unanswered("lost")

    await bench.loop(Breaking("api")).go_if_due()
    assert await bench.store.watched_state("noting", "github:api") == '{"asked": 1}'


async def test_nothing_to_watch_is_a_round_that_is_over_at_once(bench: Bench) -> None:
    assert await bench.loop(Noting()).go_if_due()
    assert (await bench.report()).looked == 0


async def test_rounds_are_gone_by_themselves_and_end_in_order(bench: Bench) -> None:
    one, ended = Noting("api"), []

    class Slow(Noting):
        name = "slow"

        async def look(self, look: Look) -> Looked:
            self.looks.append(look.subject.name)
            await asyncio.sleep(0.1)
            ended.append(look.subject.name)
            return Looked({}, look.now + EVERY)

    slow = Slow("api", "web")
    async with Rounds(bench.loop(one), bench.loop(slow)).running():
        await until(lambda: bool(one.looks and slow.looks))
    assert ended == ["api"]
    assert {report.name for report in await bench.store.round_reports() if report.finished_at} == {"noting", "slow"}
