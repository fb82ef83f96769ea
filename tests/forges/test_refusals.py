"""What refusals mean at every forge: which of the ports' errors, when to come back, in one clean line."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.exchange import Answer
from buildbot.forges.refusals import (
    LONGEST_WAIT,
    WORDS_LIMIT,
    bounded,
    common_failure,
    in_one_line,
    told_reset,
    told_wait,
)
from buildbot.ports import (
    CallError,
    CredentialRefused,
    Refused,
    Throttled,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)
from tests.forges.wire import NOW

LATER = NOW + timedelta(minutes=5)


def failure(status: int, *, is_json: bool = True, is_limited: bool = False) -> CallError:
    answer = Answer(status, httpx.Headers(), {"message": "words"} if is_json else None, "/x", "Forgery")
    return common_failure(answer, "words", "a status of acme/api", LATER if is_limited else None)


@pytest.mark.parametrize(
    ("status", "is_json", "kind"),
    [
        (302, False, Unavailable),
        (400, True, Refused),
        (401, True, CredentialRefused),
        (401, False, Unavailable),
        (403, True, Refused),
        (404, True, Vanished),
        (404, False, Unavailable),
        (407, False, Unreachable),
        (408, False, Unanswered),
        (422, True, Refused),
        (200, True, Unanswered),
        (500, True, Unanswered),
        (503, False, Unanswered),
        (504, False, Unanswered),
    ],
)
def test_each_status_is_one_of_the_ports_errors(status: int, is_json: bool, kind: type[CallError]) -> None:
    failed = failure(status, is_json=is_json)
    assert type(failed) is kind
    assert "Forgery" in str(failed)


@pytest.mark.parametrize(("status", "timed_out"), [(408, True), (504, True), (500, False)])
def test_a_timeout_at_a_gateway_is_a_timeout(status: int, timed_out: bool) -> None:
    failed = failure(status)
    assert isinstance(failed, Unanswered)
    assert failed.timed_out is timed_out


@pytest.mark.parametrize("is_json", [False, True])
def test_a_limit_comes_before_everything_that_is_a_refusal(is_json: bool) -> None:
    failed = failure(403, is_json=is_json, is_limited=True)
    assert isinstance(failed, Throttled)
    assert failed.retry_at == LATER
    assert isinstance(failure(503, is_limited=True), Unanswered)


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=[])) | st.none() | st.integers()))
def test_words_are_one_short_clean_line_whatever_was_said(texts: list[object]) -> None:
    line = in_one_line(texts)
    line.encode()
    assert 0 < len(line) <= WORDS_LIMIT
    assert line.splitlines() == [line]


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["Validation Failed", "too long"], "Validation Failed: too long"),
        (["", None, 7], "no reason given"),
        (["  a\n\x1b[31mb\x00\ud800 "], "a [31mb"),
        (["x" * 500], "x" * 199 + "…"),
    ],
)
def test_what_was_said_is_joined_and_cleaned(texts: list[object], line: str) -> None:
    assert in_one_line(texts) == line


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ("17", timedelta(seconds=17)),
        (" 17 ", timedelta(seconds=17)),
        ("0", timedelta(seconds=1)),
        ("999999999", LONGEST_WAIT),
        (format_datetime(NOW + timedelta(minutes=3), usegmt=True), timedelta(minutes=3)),
        (format_datetime(NOW - timedelta(minutes=3), usegmt=True), timedelta(seconds=1)),
    ],
)
def test_when_to_come_back_is_told_in_seconds_or_as_a_date(told: str, wait: timedelta) -> None:
    assert told_wait({"retry-after": told}, NOW) == NOW + wait


@pytest.mark.parametrize("told", ["", "soon", "-5", "9" * 30, "1.5"])
def test_nonsense_tells_no_time(told: str) -> None:
    assert told_wait({"retry-after": told}, NOW) is None


@pytest.mark.parametrize("off", [timedelta(minutes=-20), timedelta(0), timedelta(minutes=20)])
def test_a_reset_by_the_forges_clock_is_a_wait_by_ours(off: timedelta) -> None:
    theirs = NOW + off
    headers = {"left": "0", "reset": str(int(theirs.timestamp()) + 600), "date": format_datetime(theirs, usegmt=True)}
    assert told_reset(headers, "left", "reset", NOW) == NOW + timedelta(minutes=10)


@pytest.mark.parametrize("headers", [{}, {"left": "1", "reset": "9"}, {"left": "0"}, {"left": "0", "reset": "soon"}])
def test_while_calls_are_left_or_nothing_is_told_there_is_no_reset(headers: dict[str, str]) -> None:
    assert told_reset(headers, "left", "reset", NOW) is None


@given(st.timedeltas())
def test_no_wait_is_shorter_than_a_second_or_longer_than_a_day(wait: timedelta) -> None:
    assert timedelta(seconds=1) <= bounded(wait) <= LONGEST_WAIT
