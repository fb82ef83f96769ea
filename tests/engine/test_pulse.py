"""A loop looks at once when there is news, in time when something is due, and not more often than it has to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from buildbot.engine.pulse import FARTHEST_SECONDS, LONGEST_NAP, TICK_SECONDS, Pulse
from tests.engine.virtual_time import VirtualLoop


def in_time(work: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


async def naps(pulse: Pulse, until: float) -> list[float]:
    """When each nap before that time ended."""
    loop, ends = asyncio.get_running_loop(), list[float]()
    while loop.time() < until:
        await pulse.nap()
        ends.append(round(loop.time(), 3))
    return ends


def test_news_ends_a_nap_at_once_also_if_it_came_before() -> None:
    async def story() -> None:
        pulse, loop = Pulse(), asyncio.get_running_loop()
        pulse.beat()
        await pulse.nap()
        assert loop.time() < TICK_SECONDS
        assert pulse.news == 1

    in_time(story())


def test_without_a_beat_a_nap_lasts_half_a_second() -> None:
    async def story() -> None:
        assert await naps(Pulse(), 1.9) == pytest.approx([LONGEST_NAP * n for n in (1, 2, 3, 4)], abs=0.01)

    in_time(story())


@pytest.mark.parametrize("seconds", [0.004, 0.1, 0.3, 0.499])
def test_what_is_due_ends_a_nap_within_a_tick_and_never_before(seconds: float) -> None:
    async def story() -> None:
        pulse = Pulse()
        pulse.beat_in(seconds)
        (end,) = await naps(pulse, seconds)
        assert seconds < end <= seconds + 2 * TICK_SECONDS

    in_time(story())


def test_what_is_due_after_several_naps_is_met_as_exactly() -> None:
    async def story() -> None:
        pulse = Pulse()
        pulse.beat_in(1.23)
        ends = await naps(pulse, 1.23)
        assert 1.23 < ends[-1] <= 1.23 + 2 * TICK_SECONDS
        assert len(ends) == 3

    in_time(story())


def test_a_thousand_due_times_are_gathered_by_ticks() -> None:
    async def story() -> None:
        pulse = Pulse()
        for number in range(1000):
            pulse.beat_in(0.4 * number / 1000)
        assert len(await naps(pulse, 0.4)) <= 0.4 / TICK_SECONDS + 2

    in_time(story())


def test_what_is_due_now_or_was_long_ago_is_looked_at_now() -> None:
    async def story() -> None:
        pulse, loop = Pulse(), asyncio.get_running_loop()
        pulse.beat_in(-5)
        await pulse.nap()
        assert loop.time() < TICK_SECONDS
        assert pulse.news == 0

    in_time(story())


def test_what_is_due_much_later_costs_no_timer() -> None:
    async def story() -> None:
        pulse = Pulse()
        pulse.beat_in(FARTHEST_SECONDS + 1)
        assert pulse._ticks == set()

    in_time(story())
