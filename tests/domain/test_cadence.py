"""When to ask again, by table; and that no interval leaves its bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.build import Seen
from buildbot.domain.cadence import LONGEST_BACKOFF, WIDEST_POLL, backoff, poll_after
from tests.domain.builds import NOW, accepted, ago

FIVE = timedelta(seconds=5)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (10_000_000, 60)],
)
def test_back_off_doubles_from_a_second_to_a_minute(failures: int, seconds: int) -> None:
    assert backoff(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seen", "typical", "seconds"),
    [
        (accepted("waiting"), None, 5),
        (accepted("waiting", quay_phase_since=ago(seconds=80)), None, 15),
        (accepted("waiting", quay_phase_since=ago(hours=1)), None, 30),
        (accepted("waiting", quay_phase_since=None), None, 5),
        (accepted("internalerror"), None, 15),
        (accepted("expired", ran=timedelta(hours=1)), 600, 15),
        (accepted("building"), None, 5),
        (accepted("building", ran=timedelta(seconds=100)), None, 9),
        (accepted("building", ran=timedelta(hours=1)), None, 12.5),
        (accepted("building"), 600, 50),
        (accepted("building", ran=timedelta(seconds=60)), 600, 80),
        (accepted("building", ran=timedelta(seconds=490)), 600, 20),
        (accepted("pushing", ran=timedelta(seconds=509)), 600, 5),
        (accepted("pushing", ran=timedelta(seconds=600)), 600, 8.5),
        (accepted("pushing", ran=timedelta(seconds=800)), 10, 30),
        (accepted("building"), 10, 8.5),
        (accepted("building", ran=timedelta(seconds=10)), 10, 5),
    ],
)
def test_polls_widen_while_nothing_can_happen_and_narrow_towards_the_end(
    seen: Seen, typical: int | None, seconds: float
) -> None:
    usual = None if typical is None else timedelta(seconds=typical)
    assert poll_after(seen, NOW, FIVE, usual) == timedelta(seconds=seconds)


@given(
    st.sampled_from(["waiting", "building", "pushing", "internalerror", "expired", "cannot_load", "odd"]),
    st.integers(0, 10**6),
    st.none() | st.integers(0, 10**5),
    st.integers(1, 60),
)
def test_no_interval_is_shorter_than_the_shortest_or_much_wider_than_the_build_is_old(
    phase: str, age: int, typical: int | None, shortest: int
) -> None:
    seen = accepted(phase, quay_phase_since=ago(seconds=age), ran=timedelta(seconds=age))
    usual = None if typical is None else timedelta(seconds=typical)
    interval = poll_after(seen, NOW, timedelta(seconds=shortest), usual)
    widest = max(timedelta(seconds=shortest) * WIDEST_POLL, timedelta(seconds=shortest * 10 + age / 2))
    assert timedelta(seconds=shortest) <= interval <= widest


@given(st.integers(0, 100))
def test_back_off_never_shrinks_and_never_passes_its_longest(failures: int) -> None:
    assert backoff(failures) <= backoff(failures + 1) <= LONGEST_BACKOFF
