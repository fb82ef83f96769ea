"""Who is asked for next: caps are kept, nobody is passed over for ever, a full queue is tried by one at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import BuildId, WaitingLine
from buildbot.domain.lifecycle import InLine
from buildbot.domain.places import Caps, FullQueue, Seating, Traffic, Waiter, in_order, namespace_of, seat
from tests.domain.builds import NOW, ago, in_

PLACE, QUEUE = WaitingLine.PLACE, WaitingLine.QUEUE
FULL = "Quay's queue is full (no)"


def waiter(seq: int, repository: str = "acme/api", served: float | None = None) -> Waiter:
    return Waiter(BuildId(f"b{seq}"), repository, seq, None if served is None else ago(seconds=served))


def order(*line: Waiter, **in_flight: int) -> list[int]:
    flying = {f"acme/{name}": number for name, number in in_flight.items()}
    return [one.seq for one in in_order(line, flying)]


def seated(seating: Seating) -> list[int]:
    return [one.seq for one in seating.seated]


def full(until: timedelta = timedelta()) -> dict[str, FullQueue]:
    return {"acme": FullQueue(FULL, NOW + until)}


# ── the order ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_one_repository_the_older_build_goes_first() -> None:
    assert order(waiter(3), waiter(1), waiter(2)) == [1, 2, 3]


def test_repositories_take_turns() -> None:
    many = [waiter(seq) for seq in (1, 2, 3)]
    assert order(*many, waiter(4, "acme/web"), waiter(5, "acme/docs")) == [1, 4, 5, 2, 3]


def test_who_has_fewer_builds_in_flight_goes_first() -> None:
    assert order(waiter(1), waiter(2, "acme/web"), api=2, web=1) == [2, 1]


def test_among_equals_who_was_served_the_longest_ago_goes_first() -> None:
    line = [waiter(1, "acme/api", served=1), waiter(2, "acme/web", served=60), waiter(3, "acme/docs")]
    assert order(*line) == [3, 2, 1]


def test_a_single_push_is_not_behind_a_thousand_of_another_repository() -> None:
    line = [waiter(seq, served=1) for seq in range(1, 1001)] + [waiter(1001, "acme/web")]
    assert order(*line)[0] == 1001
    assert order(*line, api=1, web=1)[0] == 1001


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_caps_everybody_has_a_place() -> None:
    assert seated(seat([waiter(1), waiter(2)], Traffic({"acme/api": 99}), Caps(), NOW)) == [1, 2]


@pytest.mark.parametrize(
    ("caps", "in_flight", "expected"),
    [
        (Caps(3), {"acme/api": 1}, [1, 2]),
        (Caps(3), {"acme/api": 3}, []),
        (Caps(3), {"acme/api": 5}, []),
        (Caps(0, 2), {"acme/api": 1}, [1]),
        (Caps(0, 2), {"other/api": 9}, [1, 2]),
        (Caps(3, 1), {"other/api": 1}, [1]),
    ],
    ids=repr,
)
def test_as_many_are_asked_for_as_there_are_places(caps: Caps, in_flight: dict[str, int], expected: list[int]) -> None:
    assert seated(seat([waiter(1), waiter(2), waiter(3)], Traffic(in_flight), caps, NOW)) == expected


def test_who_gets_no_place_learns_where_he_stands_in_the_line_that_holds_him_up() -> None:
    line = [waiter(1), waiter(2, "other/api"), waiter(3, "other/web"), waiter(4)]
    by_registry = seat(line, Traffic({"third/api": 1}), Caps(1), NOW)
    assert [by_registry.waiting[one.build].place for one in line] == [1, 2, 3, 4]
    by_namespace = seat(line, Traffic({"acme/x": 1, "other/x": 1}), Caps(0, 1), NOW)
    assert [by_namespace.waiting[one.build].place for one in line] == [1, 1, 2, 2]


def test_a_full_namespace_takes_no_place_from_another() -> None:
    line = [waiter(1), waiter(2, "other/api")]
    assert seated(seat(line, Traffic({"acme/x": 1}), Caps(2, 1), NOW)) == [2]


# ── a full queue ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_asks_a_full_queue_before_its_time_and_the_first_in_line_knows_it() -> None:
    line = [waiter(1), waiter(2)]
    seating = seat(line, Traffic(full=full(timedelta(seconds=5))), Caps(), NOW)
    assert seating.seated == ()
    assert seating.waiting[line[0].build] == InLine(QUEUE, 1, FULL, in_(seconds=5))
    assert seating.waiting[line[1].build] == InLine(QUEUE, 2, FULL)


def test_one_build_tries_a_full_queue_and_the_others_wait_for_what_it_learns() -> None:
    line = [waiter(1), waiter(2)]
    assert seated(seat(line, Traffic(full=full()), Caps(), NOW)) == [1]
    trying = seat(line, Traffic({"acme/x": 1}, {"acme/x": 1}, full()), Caps(), NOW)
    assert trying.waiting[line[0].build] == InLine(QUEUE, 1, FULL)


def test_a_full_queue_holds_up_no_other_namespace() -> None:
    line = [waiter(1), waiter(2, "other/api")]
    assert seated(seat(line, Traffic(full=full(timedelta(hours=1))), Caps(), NOW)) == [2]


@pytest.mark.parametrize(("repository", "namespace"), [("acme/api", "acme"), ("acme/deep/api", "acme"), ("api", "api")])
def test_a_namespace_is_what_stands_before_the_first_slash(repository: str, namespace: str) -> None:
    assert namespace_of(repository) == namespace


# ── at random ────────────────────────────────────────────────────────────────────────────────────────────────────────

repositories = st.sampled_from(["acme/a", "acme/b", "other/a", "third/a"])
lines = st.lists(repositories, max_size=20).map(lambda names: [waiter(seq, name) for seq, name in enumerate(names)])
all_caps = st.builds(Caps, st.integers(0, 6), st.integers(0, 4))
flights = st.dictionaries(repositories, st.integers(0, 4))
queues = st.dictionaries(
    st.sampled_from(["acme", "other"]),
    st.builds(FullQueue, st.just(FULL), st.sampled_from([ago(seconds=1), in_(seconds=9)])),
)


@given(lines, flights, queues, all_caps)
def test_no_cap_is_passed_and_everybody_is_answered_once(
    line: list[Waiter], in_flight: dict[str, int], full_queues: dict[str, FullQueue], caps: Caps
) -> None:
    seating = seat(line, Traffic(in_flight, {}, full_queues), caps, NOW)
    names = [one.repository for one in seating.seated]
    taken = Counter(in_flight) + Counter(names)
    assert {one.build for one in line} == {one.build for one in seating.seated} | seating.waiting.keys()
    assert len(seating.seated) + len(seating.waiting) == len(line)
    if caps.builds and names:
        assert sum(taken.values()) <= caps.builds
    for name in names:
        its = sum(number for one, number in taken.items() if namespace_of(one) == namespace_of(name))
        assert not caps.per_namespace or its <= caps.per_namespace


@given(lines, flights, queues, all_caps)
def test_places_in_line_are_counted_without_gaps(
    line: list[Waiter], in_flight: dict[str, int], full_queues: dict[str, FullQueue], caps: Caps
) -> None:
    waiting = seat(line, Traffic(in_flight, {}, full_queues), caps, NOW).waiting
    assert all(1 <= given.place <= len(waiting) for given in waiting.values())


@given(st.lists(repositories, min_size=1, max_size=30), st.integers(1, 3))
def test_with_one_place_after_another_everybody_is_served_in_rounds(names: list[str], cap: int) -> None:
    """Each repository's n-th build comes before anybody's (n + 1)-th, give or take the builds in flight."""
    left = [waiter(seq, name) for seq, name in enumerate(names)]
    served: dict[str, datetime] = {}
    flying: list[str] = []
    turns: Counter[str] = Counter()
    now = NOW
    while left:
        now += timedelta(seconds=1)
        in_flight = Counter(flying)
        line = [replace(one, served=served.get(one.repository)) for one in left]
        for one in seat(line, Traffic(in_flight), Caps(cap), now).seated:
            waiting_for = {other.repository for other in left}
            assert all(turns[one.repository] <= turns[other] + cap for other in waiting_for)
            turns[one.repository] += 1
            served[one.repository] = now
            flying.append(one.repository)
            left = [other for other in left if other.build != one.build]
        flying = flying[1:]
