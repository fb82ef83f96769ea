"""How often the other side is asked: budgets, probes and throttles, by a clock that the tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.engine.pacing import (
    FEWEST_IN_FLIGHT,
    MOST_RESERVED,
    POLL_BURST,
    WORK_IN_FLIGHT,
    Budget,
    Clock,
    Closed,
    Line,
    RegistryLine,
)
from buildbot.ports import CallError, CredentialRefused, Refused, Throttled, Unanswered, Unavailable, Unreachable

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Turned:
    """Both clocks, turned by hand."""

    seconds: float = 0.0

    def clock(self) -> Clock:
        return Clock(lambda: NOON + timedelta(seconds=self.seconds), lambda: self.seconds)


@dataclass
class Script:
    """A call that ends as the test says, and how often it was made."""

    ends: list[CallError | None] = field(default_factory=list)
    made: int = 0

    async def __call__(self) -> str:
        self.made += 1
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end
        return "answer"


@pytest.fixture
def time() -> Turned:
    return Turned()


async def ends_in(call: Callable[[], Awaitable[object]]) -> type[BaseException] | None:
    try:
        await call()
    except (CallError, Closed) as error:
        return type(error)
    return None


def refusing(error: CallError) -> Script:
    return Script([error] * 1000)


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    rate=st.sampled_from([0.5, 1.0, 5.0, 100.0]),
    burst=st.integers(1, 30),
    steps=st.lists(st.floats(0.0, 5.0), max_size=60),
)
def test_a_budget_never_gives_more_than_its_burst_and_its_rate(rate: float, burst: int, steps: list[float]) -> None:
    time, taken = Turned(), 0
    budget = Budget(rate, burst, time.clock())
    for step in steps:
        time.seconds += step
        while budget.take() == 0.0:
            taken += 1
            assert taken <= burst + rate * time.seconds + 1e-6


def test_a_budget_says_when_the_next_place_is_free_and_keeps_its_word(time: Turned) -> None:
    budget = Budget(2, 1, time.clock())
    assert budget.take() == 0.0
    wait = budget.take()
    assert wait == pytest.approx(0.5)
    time.seconds += wait
    assert budget.take() == 0.0


def test_a_reserved_place_is_kept_for_its_key_and_used_up_by_coming_for_it(time: Turned) -> None:
    budget = Budget(1, 1, time.clock())
    assert budget.reserve("a") == 0.0
    assert (budget.reserve("b"), budget.reserve("c"), budget.reserve("b")) == (1.0, 2.0, 1.0)
    time.seconds = 2.0
    assert (budget.reserve("c"), budget.reserve("b")) == (0.0, 0.0)
    assert budget.reserve("b") == 1.0


def test_places_that_nobody_comes_for_are_forgotten(time: Turned) -> None:
    budget = Budget(1000, 1, time.clock())
    for number in range(MOST_RESERVED + 5):
        budget.reserve(str(number))
    time.seconds = 120.0
    budget.reserve("one more")
    budget.reserve("and another")
    assert len(budget._reserved) <= 2


# ── lines in trouble ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unreachable_side_is_probed_after_a_second_and_doubling_to_ten(time: Turned) -> None:
    line, call = Line("Quay", time.clock()), refusing(Unreachable("cannot reach quay"))
    probed_at = []
    for tenth in range(400):
        time.seconds = tenth / 10
        if await ends_in(lambda: line.call(call)) is Unreachable:
            probed_at.append(time.seconds)
    assert probed_at == [0.0, 1.0, 3.0, 7.0, 15.0, 25.0, 35.0]
    assert line.trouble == "cannot reach quay (since 12:00 UTC)"


async def test_many_calls_that_fail_together_are_one_outage(time: Turned) -> None:
    line, call = Line("Quay", time.clock()), refusing(Unreachable("cannot reach quay"))
    gate = asyncio.Event()

    async def slowly() -> str:
        await gate.wait()
        return await call()

    calls = [asyncio.create_task(ends_in(lambda: line.call(slowly))) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    assert set(await asyncio.gather(*calls)) == {Unreachable}
    closed = line.closed()
    assert closed is not None
    assert closed.until == NOON + timedelta(seconds=1)


async def test_a_probe_is_one_call_and_who_comes_meanwhile_learns_so_at_once(time: Turned) -> None:
    line = Line("Quay", time.clock())
    await ends_in(lambda: line.call(refusing(Unreachable("cannot reach quay"))))
    time.seconds = 1.0
    gate, probe = asyncio.Event(), Script()

    async def slowly() -> str:
        await gate.wait()
        return await probe()

    probing = asyncio.create_task(line.call(slowly))
    await asyncio.sleep(0)
    assert await ends_in(lambda: line.call(probe)) is Closed
    gate.set()
    await probing
    assert probe.made == 1
    assert line.closed() is None
    assert line.trouble == ""


async def test_a_probe_that_is_given_up_leaves_the_next_one_to_somebody_else(time: Turned) -> None:
    line = Line("Quay", time.clock())
    await ends_in(lambda: line.call(refusing(Unreachable("cannot reach quay"))))
    time.seconds = 1.0
    probing = asyncio.create_task(line.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    assert await ends_in(lambda: line.call(Script())) is None


async def test_a_refused_credential_is_probed_once_a_minute(time: Turned) -> None:
    line, call = Line("Quay", time.clock()), refusing(CredentialRefused("the token is bad"))
    for second in range(300):
        time.seconds = second
        await ends_in(lambda: line.call(call))
    assert call.made == 5
    closed = line.closed()
    assert closed is not None
    assert str(closed) == "the token is bad (since 12:00 UTC)"


async def test_a_forge_is_not_paused_for_one_of_its_credentials(time: Turned) -> None:
    line = Line("github", time.clock(), minds_credential=False)
    await ends_in(lambda: line.call(refusing(CredentialRefused("the token is bad"))))
    assert line.closed() is None


async def test_three_unanswered_calls_in_a_row_are_an_outage_and_two_are_not(time: Turned) -> None:
    line, call = Line("Quay", time.clock()), refusing(Unanswered("502"))
    await ends_in(lambda: line.call(call))
    await ends_in(lambda: line.call(call))
    await line.call(Script())
    await ends_in(lambda: line.call(call))
    await ends_in(lambda: line.call(call))
    assert line.closed() is None
    await ends_in(lambda: line.call(call))
    assert line.closed() is not None


async def test_a_probe_without_an_answer_lengthens_the_pause_like_any_other(time: Turned) -> None:
    line = Line("Quay", time.clock())
    await ends_in(lambda: line.call(refusing(Unreachable("cannot reach quay"))))
    time.seconds = 1.0
    assert await ends_in(lambda: line.call(refusing(Unanswered("502")))) is Unanswered
    assert await ends_in(lambda: line.call(Script())) is Closed
    time.seconds = 3.0
    assert await ends_in(lambda: line.call(Script())) is None


@pytest.mark.parametrize("answer", [Refused("no"), Unavailable("read only"), Throttled("queue full")])
async def test_a_refusal_is_an_answer_and_ends_the_trouble(time: Turned, answer: CallError) -> None:
    line = Line("Quay", time.clock())
    await ends_in(lambda: line.call(refusing(Unreachable("cannot reach quay"))))
    time.seconds = 1.0
    await ends_in(lambda: line.call(refusing(answer)))
    assert line.trouble == ""


async def test_a_line_that_is_held_opens_at_the_latest_time_that_was_named(time: Turned) -> None:
    line = Line("user:ci-bot", time.clock())
    line.hold(NOON + timedelta(seconds=30), "a limit")
    line.hold(NOON + timedelta(seconds=10), "another")
    time.seconds = 29.9
    assert await ends_in(lambda: line.call(Script())) is Closed
    time.seconds = 30.0
    assert await ends_in(lambda: line.call(Script())) is None


# ── a registry's line ────────────────────────────────────────────────────────────────────────────────────────────────


def too_many() -> CallError:
    return Throttled("Too Many Requests", by_proxy=True)


async def test_polls_are_spread_and_work_is_not(time: Turned) -> None:
    line = RegistryLine("quay", 5, time.clock())
    waits = [line.poll_wait(f"acme/{number}") for number in range(POLL_BURST + 10)]
    assert waits == pytest.approx([0.0] * POLL_BURST + [number / 5 for number in range(1, 11)], abs=1e-9)
    work = Script()
    await asyncio.gather(*(line.work(work) for _ in range(100)))
    assert work.made == 100


async def test_at_most_so_many_calls_of_work_are_in_flight(time: Turned) -> None:
    line, gate = RegistryLine("quay", 5, time.clock()), asyncio.Event()
    begun = 0

    async def slowly() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    calls = [asyncio.create_task(line.work(slowly)) for _ in range(WORK_IN_FLIGHT + 5)]
    await asyncio.sleep(0.01)
    assert begun == WORK_IN_FLIGHT
    gate.set()
    await asyncio.gather(*calls)
    assert begun == WORK_IN_FLIGHT + 5


async def most_at_once(line: RegistryLine) -> int:
    """How many of many calls are under way before the first is answered."""
    gate, begun = asyncio.Event(), 0

    async def slowly() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    calls = [asyncio.create_task(line.work(slowly)) for _ in range(2 * WORK_IN_FLIGHT)]
    await asyncio.sleep(0.01)
    found = begun
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return found


@pytest.mark.parametrize("trouble", [Unanswered("no answer in time", timed_out=True), Unavailable("503")], ids=str)
async def test_a_quay_that_has_trouble_to_answer_is_given_half_as_much_at_once(
    time: Turned, trouble: CallError
) -> None:
    line = RegistryLine("quay", 5, time.clock())
    await ends_in(lambda: line.work(refusing(trouble)))
    assert await most_at_once(line) == WORK_IN_FLIGHT // 2


async def test_it_is_never_given_less_than_a_few_and_one_more_for_each_good_answer(time: Turned) -> None:
    line = RegistryLine("quay", 5, time.clock())
    for _ in range(20):
        await ends_in(lambda: line.work(refusing(Unavailable("503"))))
    assert await most_at_once(line) == FEWEST_IN_FLIGHT
    for _ in range(5):
        await line.work(Script())
    assert await most_at_once(line) == FEWEST_IN_FLIGHT + 5
    for _ in range(WORK_IN_FLIGHT):
        await line.work(Script())
    assert await most_at_once(line) == WORK_IN_FLIGHT


async def test_calls_that_wait_take_turns_by_whose_they_are(time: Turned) -> None:
    line, gate, begun = RegistryLine("quay", 5, time.clock()), asyncio.Event(), list[str]()

    async def slowly(whose: str) -> None:
        begun.append(whose)
        await gate.wait()

    many = [asyncio.create_task(line.work(partial(slowly, "many"), "many")) for _ in range(WORK_IN_FLIGHT + 9)]
    await asyncio.sleep(0)
    single = asyncio.create_task(line.work(partial(slowly, "single"), "single"))
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*many, single)
    assert begun.index("single") <= WORK_IN_FLIGHT + 1


async def test_after_the_proxys_429_all_calls_share_five_a_second_for_a_minute(time: Turned) -> None:
    line = RegistryLine("quay", 100, time.clock())
    await ends_in(lambda: line.work(refusing(too_many())))
    passed = []
    for hundredth in range(7000):
        time.seconds = hundredth / 100
        if line.poll_wait(f"acme/{hundredth}") == 0.0:
            passed.append(time.seconds)
    in_the_minute = [moment for moment in passed if moment < 60.0]
    assert 280 <= len(in_the_minute) <= 301
    assert len(passed) - len(in_the_minute) > 300


async def test_an_answer_about_the_queue_throttles_nobody(time: Turned) -> None:
    line = RegistryLine("quay", 100, time.clock())
    await ends_in(lambda: line.work(refusing(Throttled("Maximum queued build rate exceeded."))))
    assert [line.poll_wait(f"acme/{number}") for number in range(10)] == [0.0] * 10


async def test_while_throttled_work_goes_before_polls(time: Turned) -> None:
    line = RegistryLine("quay", 100, time.clock())
    await ends_in(lambda: line.work(refusing(too_many())))
    assert line.poll_wait("acme/api") == 0.0
    work = asyncio.create_task(line.work(Script()))
    await asyncio.sleep(0)
    time.seconds = 0.2
    assert line.poll_wait("acme/api") == pytest.approx(0.2)
    await work


def throttled_for(line: RegistryLine, time: Turned) -> float:
    """How long from now polls are paced, found out by counting how many of a burst are let through at once."""
    began = time.seconds
    while [line.poll_wait(f"{time.seconds} {number}") for number in range(3)].count(0.0) < 3:
        time.seconds += 1.0
    return time.seconds - began


async def test_a_burst_that_is_turned_away_whole_is_one_reason_to_slow_down(time: Turned) -> None:
    line, gate = RegistryLine("quay", 100, time.clock()), asyncio.Event()

    async def slowly() -> None:
        await gate.wait()
        raise too_many()

    calls = [asyncio.create_task(ends_in(lambda: line.work(slowly))) for _ in range(WORK_IN_FLIGHT)]
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*calls)
    assert throttled_for(line, time) == 60.0


async def test_a_429_in_spite_of_the_lower_rate_makes_it_last_longer_up_to_five_minutes(time: Turned) -> None:
    line = RegistryLine("quay", 100, time.clock())
    for _ in range(10):
        await ends_in(lambda: line.work(refusing(too_many())))
        time.seconds += 1.0
    assert throttled_for(line, time) == 299.0


async def test_a_follow_up_waits_for_its_turn_while_throttled(time: Turned) -> None:
    line, logs = RegistryLine("quay", 100, time.clock()), Script()
    await ends_in(lambda: line.work(refusing(too_many())))
    assert line.poll_wait("acme/api") == 0.0
    reading = asyncio.create_task(line.follow_up(logs))
    await asyncio.sleep(0.01)
    assert logs.made == 0
    time.seconds = 0.2
    await reading
    assert logs.made == 1


async def test_a_new_rate_counts_from_now_on_and_forgives_nothing(time: Turned) -> None:
    budget = Budget(1.0, 3, time.clock())
    assert [budget.take() for _ in range(4)] == [0, 0, 0, 1.0]
    budget.set_rate(10.0)
    assert budget.take() == pytest.approx(0.1)
    time.seconds = 0.1
    assert [budget.take(), budget.take()] == [0, pytest.approx(0.1)]
    budget.set_rate(0.5)
    assert budget.take() == pytest.approx(2.0)


async def test_places_that_are_kept_come_at_the_new_rate_in_their_order(time: Turned) -> None:
    budget = Budget(0.1, 1, time.clock())
    assert [budget.reserve(key) for key in ("a", "b", "c")] == [0, 10.0, 20.0]
    budget.set_rate(1.0)
    assert [budget.reserve(key) for key in ("b", "c", "d")] == pytest.approx([1.0, 2.0, 3.0])


@given(rates=st.lists(st.floats(0.01, 100), min_size=1, max_size=5), taken=st.integers(0, 9))
def test_going_back_to_the_old_rate_at_once_changes_nothing(rates: list[float], taken: int) -> None:
    clock = Turned().clock()
    budgets = [Budget(2.0, 5, clock) for _ in range(2)]
    for budget in budgets:
        for _ in range(taken):
            budget.take()
    for rate in (*rates, 2.0):
        budgets[0].set_rate(rate)
    assert budgets[0].take() == pytest.approx(budgets[1].take())
