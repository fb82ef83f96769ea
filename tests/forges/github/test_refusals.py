"""GitHub's refusals, told apart by what to do next."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from buildbot.forges.exchange import Answer
from buildbot.forges.github.refusals import failure_of, words_of
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
from tests.forges.github.wire import NOW

SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
RESET = str(int(NOW.timestamp()) + 600)


def refusal(status: int, document: object = None, **headers: str) -> Answer:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, {"message": document} if isinstance(document, str) else document, "/x", "GitHub")


def failure(status: int, document: object = None, **headers: str) -> CallError:
    return failure_of(refusal(status, document, **headers), "a status of acme/api", NOW)


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, "Problems parsing JSON", Refused),
        (401, "Bad credentials", CredentialRefused),
        (401, None, Unavailable),
        (403, "Resource not accessible by integration", Refused),
        (403, "Maximum number of login attempts exceeded. Please try again later.", CredentialRefused),
        (403, None, Unavailable),
        (404, "Not Found", Vanished),
        (404, None, Unavailable),
        (407, None, Unreachable),
        (408, None, Unanswered),
        (410, "Gone", Refused),
        (422, "No commit found for SHA: abc", Vanished),
        (422, "Validation Failed", Refused),
        (451, "Repository access blocked", Refused),
        (302, None, Unavailable),
        (200, {"message": "hello"}, Unanswered),
        (500, "Server Error", Unanswered),
        (502, None, Unanswered),
        (503, None, Unanswered),
        (504, None, Unanswered),
    ],
)
def test_each_refusal_is_one_of_the_ports_errors(status: int, document: object, kind: type[CallError]) -> None:
    failed = failure(status, document)
    assert type(failed) is kind
    assert "\n" not in str(failed)


@pytest.mark.parametrize(
    ("status", "document", "headers", "wait"),
    [
        (429, None, {}, timedelta(minutes=1)),
        (429, "slow down", {"retry_after": "17"}, timedelta(seconds=17)),
        (403, "any words", {"retry_after": "17"}, timedelta(seconds=17)),
        (403, None, {"retry_after": "17"}, timedelta(seconds=17)),
        (403, SECONDARY, {}, timedelta(minutes=1)),
        (403, "You have triggered an abuse detection mechanism.", {}, timedelta(minutes=1)),
        (403, "API rate limit exceeded for user ID 1.", {}, timedelta(minutes=1)),
        (403, "x", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": RESET}, timedelta(minutes=10)),
        (403, "x", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1"}, timedelta(seconds=1)),
        (429, "x", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "soon"}, timedelta(minutes=1)),
        (403, SECONDARY, {"retry_after": "9" * 30}, timedelta(minutes=1)),
        (403, SECONDARY, {"retry_after": "999999999"}, timedelta(days=1)),
        (403, SECONDARY, {"retry_after": format_datetime(NOW + timedelta(minutes=3))}, timedelta(minutes=3)),
        (403, SECONDARY, {"retry_after": "17", "x_ratelimit_remaining": "0"}, timedelta(seconds=17)),
    ],
)
def test_a_limit_says_when_to_come_back(
    status: int, document: object, headers: dict[str, str], wait: timedelta
) -> None:
    failed = failure(status, document, **headers)
    assert isinstance(failed, Throttled)
    assert failed.retry_at == NOW + wait


@pytest.mark.parametrize("off", [timedelta(minutes=-20), timedelta(), timedelta(minutes=20)])
def test_a_reset_by_githubs_clock_is_a_wait_by_ours(off: timedelta) -> None:
    theirs: datetime = NOW + off
    reset = str(int(theirs.timestamp()) + 600)
    failed = failure(
        403, "x", x_ratelimit_remaining="0", x_ratelimit_reset=reset, date=format_datetime(theirs, usegmt=True)
    )
    assert isinstance(failed, Throttled)
    assert failed.retry_at == NOW + timedelta(minutes=10)


def test_calls_left_over_make_a_403_a_matter_of_permission() -> None:
    assert isinstance(failure(403, "Forbidden", x_ratelimit_remaining="17", x_ratelimit_reset=RESET), Refused)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"message": "Not Found"}, "Not Found"),
        (
            {"message": "Validation Failed", "errors": [{"message": "description is too long"}]},
            "Validation Failed: description is too long",
        ),
        (
            {"message": "Validation Failed", "errors": [{"resource": "Status", "field": "state", "code": "invalid"}]},
            "Validation Failed: Status state invalid",
        ),
        ({"message": "No", "errors": ["one", {"message": "two"}, 3]}, "No: one: two"),
        ({"errors": "x"}, "x"),
        ({"errors": {"x": 1}}, "no reason given"),
        ({"message": ["x"]}, "no reason given"),
        ({"message": "  a\n\x1b[31mb\x00\ud800 "}, "a [31mb"),
        ({"message": "x" * 500}, "x" * 199 + "…"),
        (None, "no reason given"),
        ([], "no reason given"),
    ],
)
def test_githubs_words_are_one_clean_line(document: object, words: str) -> None:
    assert words_of(refusal(422, document)) == words


def test_a_timeout_at_a_gateway_is_a_timeout() -> None:
    failed = failure(504)
    assert isinstance(failed, Unanswered)
    assert failed.timed_out
