"""Durations are a number and a unit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.config.durations import LONGEST, parse, written


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.5s", 0.5), ("5s", 5), ("2m", 120), ("1h", 3600), ("30d", 2_592_000), ("1.5h", 5400)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "5S", "-5s", "+5s", "1h30m", "1e3s", "\u0665s", "5ms", ".5s", "5.s"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='as in "5s"'):
        parse(text)


@pytest.mark.parametrize("text", ["3651d", "999999999999d", "999999999999s"])
def test_more_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=24), "24h"),
        (timedelta(hours=48), "2d"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=0.5), "0.5s"),
        (timedelta(0), "0s"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(duration: timedelta, text: str) -> None:
    assert written(duration) == text


@given(st.integers(0, int(LONGEST.total_seconds())))
def test_what_is_written_is_read_as_the_same(seconds: int) -> None:
    assert parse(written(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
