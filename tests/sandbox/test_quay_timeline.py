"""Simulated time: in order, at its own time, at any speed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.sandbox.quay_timeline import Timeline


class Clock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    dues=st.lists(st.floats(0, 100), max_size=20),
    stops=st.lists(st.floats(0, 30), max_size=10),
    speed=st.floats(0.1, 1000),
)
def test_what_happens_does_not_depend_on_how_often_one_looks(
    dues: list[float], stops: list[float], speed: float
) -> None:
    clock, seen = Clock(), []
    timeline = Timeline(clock, speed)
    for due in dues:
        timeline.call_at(due, lambda due=due: seen.append((due, timeline.elapsed)))  # type: ignore[misc]
    for stop in stops:
        clock.now += stop
        timeline.advance()
        assert seen == [(due, due) for due in sorted(dues) if due <= timeline.elapsed]


def test_things_due_at_one_time_keep_their_order() -> None:
    clock, seen = Clock(), list[str]()
    timeline = Timeline(clock, 1.0)
    for name in "abc":
        timeline.call_in(1.0, lambda name=name: seen.append(name))  # type: ignore[misc]
    clock.now += 1.0
    timeline.advance()
    assert seen == ["a", "b", "c"]


def test_what_a_deed_calls_for_is_done_in_the_same_look() -> None:
    clock, seen = Clock(), list[float]()
    timeline = Timeline(clock, 1.0)

    def again() -> None:
        seen.append(timeline.elapsed)
        timeline.call_in(1.0, again)

    timeline.call_in(1.0, again)
    clock.now += 3.5
    timeline.advance()
    assert seen == [1.0, 2.0, 3.0]


def test_a_deed_sees_the_wall_clock_of_its_own_time_at_any_speed() -> None:
    clock, seen = Clock(), list[float]()
    timeline = Timeline(clock, 10.0)
    timeline.call_in(20.0, lambda: seen.append(timeline.wall))
    timeline.call_in(60.0, lambda: seen.append(timeline.wall))
    clock.now += 4.0
    timeline.speed = 2.0
    clock.now += 100.0
    timeline.advance()
    assert seen == [1002.0, 1014.0]


def test_a_clock_that_goes_backwards_stands_still() -> None:
    clock = Clock()
    timeline = Timeline(clock, 1.0)
    clock.now += 5.0
    timeline.advance()
    clock.now -= 100.0
    timeline.advance()
    clock.now += 1.0
    timeline.advance()
    assert timeline.elapsed == 6.0


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_time_must_pass(speed: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Timeline(Clock(), speed)
