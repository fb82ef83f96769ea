"""Tails for viewers: however many look, the registry is asked rarely, politely, and never waited for in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

import pytest

from buildbot.domain.build import Build, BuildId, BuildPhase, LogDigest
from buildbot.domain.lifecycle import Limits
from buildbot.domain.log import LogEntry
from buildbot.engine.log_tail import KNOWN_BUILDS, READ_SECONDS, LogTails
from buildbot.engine.pacing import POLL_BURST, Clock, RegistryLine
from buildbot.engine.setup import Current, Setup
from buildbot.engine.sites import RegistrySite
from buildbot.ports import Registry, Unreachable, Vanished
from tests.web.builds import NOW, build

pytestmark = pytest.mark.anyio

P = BuildPhase


@dataclass
class FakeQuay:
    """A registry that only has logs: what to answer, whether to answer yet, and who asked for what."""

    lines: list[str] = field(default_factory=lambda: ["Step 1/1 : FROM scratch"])
    error: Exception | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def get_repo_build_logs(self, repository: str, build_id: str, start: int = 0) -> tuple[LogEntry, ...]:
        self.asked.append((repository, build_id))
        self.was_asked.set()
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return tuple(LogEntry("", line) for line in self.lines)[start:]


@dataclass
class World:
    """A registry, its line, a clock that stands until it is moved, and the tails."""

    quay: FakeQuay = field(default_factory=FakeQuay)
    seconds: float = 0.0
    polls_per_second: float = 1000.0
    patience: float = 60.0

    def __post_init__(self) -> None:
        self.quay.answers.set()
        clock = Clock(now=lambda: NOW + timedelta(seconds=self.seconds), monotonic=lambda: self.seconds)
        self.line = RegistryLine("Quay", self.polls_per_second, clock)
        site = RegistrySite("quay", cast("Registry", self.quay), self.line, Limits(), timedelta(seconds=30))
        self.tails = LogTails(Current(Setup(registries={"quay": site})), clock, patience_seconds=self.patience)


@asynccontextmanager
async def world(polls_per_second: float = 1000.0, patience: float = 60.0) -> AsyncIterator[World]:
    made = World(polls_per_second=polls_per_second, patience=patience)
    yield made
    await made.tails.close()


def builds() -> Iterator[Build]:
    """Different builds, as many as wanted."""
    count = 0
    while True:
        count += 1
        yield build(id=BuildId(f"{count:032x}"), quay_id=f"quay-{count}")


async def test_the_log_of_a_running_build_is_read_at_the_registry() -> None:
    async with world() as it:
        it.quay.lines = ["Step 1/2 : FROM scratch", "\x1b[31mred\x1b[0m"]
        assert await it.tails.tail(build()) == ("Step 1/2 : FROM scratch", "red")
        assert it.quay.asked == [("acme/api", "quay-1")]


@pytest.mark.parametrize("untold", [build(quay_id=None), build(request=replace(build().request, registry="elsewhere"))])
async def test_without_a_build_at_a_known_registry_there_is_no_log(untold: Build) -> None:
    async with world() as it:
        assert await it.tails.tail(untold) is None
        assert it.quay.asked == []


async def test_the_stored_log_of_an_ended_build_needs_no_call() -> None:
    async with world() as it:
        assert await it.tails.tail(build(P.FAILED, log=LogDigest(tail=("the end",)))) == ("the end",)
        assert it.quay.asked == []


async def test_a_retry_shows_its_own_log_and_the_stored_one_only_while_that_is_unknown() -> None:
    async with world() as it:
        again = build(log=LogDigest(tail=("of the first attempt",)))
        it.quay.error = Vanished("no such build")
        assert await it.tails.tail(again) == ("of the first attempt",)
        it.quay.error, it.seconds = None, READ_SECONDS
        assert await it.tails.tail(again) == ("Step 1/1 : FROM scratch",)


async def test_a_crowd_of_viewers_is_one_call() -> None:
    async with world() as it:
        it.quay.answers.clear()
        viewers = [asyncio.create_task(it.tails.tail(build())) for _ in range(50)]
        await it.quay.was_asked.wait()
        it.quay.answers.set()
        assert set(await asyncio.gather(*viewers)) == {("Step 1/1 : FROM scratch",)}
        assert len(it.quay.asked) == 1


async def test_a_build_is_read_at_most_every_ten_seconds() -> None:
    async with world() as it:
        calls = []
        for seconds in (0.0, 1.0, READ_SECONDS - 0.1, READ_SECONDS, READ_SECONDS + 1, 2 * READ_SECONDS):
            it.seconds = seconds
            await it.tails.tail(build())
            calls.append(len(it.quay.asked))
        assert calls == [1, 1, 1, 2, 2, 3]


async def test_a_failed_read_counts_like_one_that_worked() -> None:
    async with world() as it:
        it.quay.error = Vanished("no such build")
        assert [await it.tails.tail(build()) for _ in range(5)] == [None] * 5
        assert len(it.quay.asked) == 1


async def test_what_was_known_stays_when_a_later_read_fails() -> None:
    async with world() as it:
        before = await it.tails.tail(build())
        it.quay.error, it.seconds = Unreachable("no route"), READ_SECONDS
        assert await it.tails.tail(build()) == before
        assert len(it.quay.asked) == 2


async def test_the_log_of_an_ended_build_is_read_once_for_good() -> None:
    async with world() as it:
        for it.seconds in (0.0, 100.0, 100_000.0):
            assert await it.tails.tail(build(P.SUCCEEDED)) == ("Step 1/1 : FROM scratch",)
        assert len(it.quay.asked) == 1


async def test_what_was_read_before_the_end_is_not_taken_for_the_end() -> None:
    async with world() as it:
        await it.tails.tail(build())
        it.quay.lines, it.seconds = ["Successfully built"], READ_SECONDS
        assert await it.tails.tail(build(P.SUCCEEDED)) == ("Successfully built",)


async def test_an_empty_log_is_not_the_last_word_on_an_ended_build() -> None:
    async with world() as it:
        it.quay.lines = []
        assert await it.tails.tail(build(P.SUCCEEDED)) == ()
        it.quay.lines, it.seconds = ["archived by now"], READ_SECONDS
        assert await it.tails.tail(build(P.SUCCEEDED)) == ("archived by now",)


async def test_a_build_asked_for_again_has_another_log() -> None:
    async with world() as it:
        await it.tails.tail(build())
        it.quay.lines = ["of the second"]
        assert await it.tails.tail(build(quay_id="quay-2")) == ("of the second",)


async def test_a_closed_line_is_not_called_and_costs_no_turn() -> None:
    async with world() as it:
        it.line.hold(NOW + timedelta(seconds=1), "resting")
        assert await it.tails.tail(build()) is None
        assert it.quay.asked == []
        it.seconds = 1.0
        assert await it.tails.tail(build()) == ("Step 1/1 : FROM scratch",)


async def test_viewers_take_one_turn_of_a_used_up_budget_all_together() -> None:
    async with world(polls_per_second=1.0) as it:
        some = builds()
        for _ in range(POLL_BURST + 10):
            await it.tails.tail(next(some))
        assert len(it.quay.asked) == POLL_BURST
        # the one place that all those viewers keep is the next second's: a poll gets the one after it
        assert it.line.poll_wait("acme/api") == 2.0
        it.seconds = 1.0
        await it.tails.tail(next(some))
        assert len(it.quay.asked) == POLL_BURST + 1


async def test_a_slow_registry_keeps_no_page_waiting_and_its_answer_is_not_lost() -> None:
    async with world(patience=0.0) as it:
        it.quay.answers.clear()
        assert await it.tails.tail(build()) is None
        it.seconds = 2 * READ_SECONDS
        assert await it.tails.tail(build()) is None
        assert it.quay.asked == [("acme/api", "quay-1")]
        it.quay.answers.set()
        while (lines := await it.tails.tail(build())) is None:  # noqa: ASYNC110  each look is one turn of the loop
            await asyncio.sleep(0)
        assert lines == ("Step 1/1 : FROM scratch",)


async def test_a_viewer_who_leaves_takes_nobody_elses_answer_along() -> None:
    async with world() as it:
        it.quay.answers.clear()
        leaver, stayer = (asyncio.create_task(it.tails.tail(build())) for _ in range(2))
        await it.quay.was_asked.wait()
        leaver.cancel()
        it.quay.answers.set()
        assert await stayer == ("Step 1/1 : FROM scratch",)
        assert len(it.quay.asked) == 1


async def test_the_builds_looked_at_longest_ago_are_forgotten() -> None:
    async with world() as it:
        some = builds()
        first, second = next(some), next(some)
        await it.tails.tail(first)
        await it.tails.tail(second)
        for _ in range(KNOWN_BUILDS - 2):
            await it.tails.tail(next(some))
        await it.tails.tail(first)
        it.seconds = 1.0
        await it.tails.tail(next(some))
        calls = len(it.quay.asked)
        await it.tails.tail(first)
        assert len(it.quay.asked) == calls
        await it.tails.tail(second)
        assert len(it.quay.asked) == calls + 1


async def test_closing_ends_the_reads_under_way() -> None:
    async with world(patience=0.0) as it:
        before = asyncio.all_tasks()
        it.quay.answers.clear()
        await it.tails.tail(build())
        assert len(asyncio.all_tasks() - before) == 1
        await it.tails.close()
        assert asyncio.all_tasks() == before


async def test_a_mistake_of_ours_is_not_hidden() -> None:
    async with world() as it:
        it.quay.error = RuntimeError("a bug")
        with pytest.raises(RuntimeError, match="a bug"):
            await it.tails.tail(build())
