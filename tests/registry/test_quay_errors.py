"""One line of the other side's words, out of whatever it sends; and when it says to come back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.registry.quay_errors import WORDS_LIMIT, Answer, one_line, retry_time, words_of
from tests.registry.quay_wire import NOW


def words(body: str | bytes, content_type: str = "application/json", secret: str = "") -> str:
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    return words_of(Answer(400, content_type, raw, secret=secret))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"detail": "Not Found", "error_message": "x", "title": "not_found"}', "Not Found"),
        ('{"message": "Unable to locate a build by id: x"}', "Unable to locate a build by id: x"),
        ('{"message": {"limit": "The maximum", "since": "Returns"}}', "limit: The maximum; since: Returns"),
        ('{"error": "CSRF token was invalid or missing."}', "CSRF token was invalid or missing."),
        ('{"is_readonly":true,"message":"System is currently read-only."}', "System is currently read-only."),
        (json.dumps({"detail": "None is not of type 'array'\n\nFailed validating"}), "None is not of type 'array'"),
        ('{"detail": "", "message": "later"}', "later"),
        ('{"detail": null, "status": 400}', "no reason given"),
        ("[1, 2]", "no reason given"),
        ("", "no reason given"),
        ("\x00\x01", "no reason given"),
        ("<html><head><title>413 Request\r\n Entity &lt;Large&gt;</title>", "413 Request Entity <Large>"),
        ("<html>no title</html>", "no reason given"),
    ],
)
def test_each_shape_of_error_becomes_one_line(body: str, said: str) -> None:
    assert words(body) == said


def test_plain_text_speaks_for_itself_and_markup_does_not() -> None:
    assert words("default backend - 404", "text/plain; charset=utf-8") == "default backend - 404"
    assert words("<Error><Code>AccessDenied</Code></Error>", "application/xml") == "no reason given"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n\n  first \t line \nsecond", "first line"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("a\x00b\x7fc", "a b c"),
        ("safe\u202eevil\u200b", "safe evil"),
        ("x" * 500, "x" * (WORDS_LIMIT - 1) + "…"),
        ("\x1b", ""),
    ],
)
def test_hostile_text_becomes_plain(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.binary(), st.sampled_from(["application/json", "text/html", "text/plain", "", "\x00"]))
def test_whatever_comes_becomes_one_short_printable_line(body: bytes, content_type: str) -> None:
    said = words(body, content_type)
    assert 0 < len(said) <= WORDS_LIMIT
    assert said.isprintable()


@given(st.text(), st.text())
def test_whatever_is_said_in_json_becomes_one_short_printable_line(before: str, after: str) -> None:
    said = words(json.dumps({"error": f"{before} S3cretS3cret {after}"}), secret="S3cretS3cret")
    assert 0 < len(said) <= WORDS_LIMIT
    assert said.isprintable()
    assert "S3cretS3cret" not in said


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", timedelta(seconds=7)),
        (" 0 ", timedelta()),
        ("999999999", timedelta(days=1)),
        ("Mon, 23 Nov 2026 17:05:00 GMT", timedelta(minutes=5)),
        ("Mon, 23 Nov 2026 16:05:00 GMT", timedelta()),
        ("Mon, 23 Nov 2099 16:05:00 GMT", timedelta(days=1)),
    ],
)
def test_a_time_to_come_back_is_counted_from_now_and_bounded(header: str, after: timedelta) -> None:
    assert retry_time(header, NOW) == NOW + after


@pytest.mark.parametrize("header", ["", "-5", "1.5", "soon", "\u0667", "9" * 5000, "inf"])
def test_a_time_that_cannot_be_read_is_none(header: str) -> None:
    assert retry_time(header, NOW) is None
