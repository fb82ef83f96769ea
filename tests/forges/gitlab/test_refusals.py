"""GitLab's refusals, told apart by what to do next."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest

from buildbot.forges.exchange import Answer
from buildbot.forges.gitlab.refusals import failure_of, state_before, words_of
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
from tests.forges.gitlab.wire import NOW

RESET = str(int(NOW.timestamp()) + 600)
SCOPE = {"error": "insufficient_scope", "error_description": "The request requires higher privileges.", "scope": "api"}


def refusal(status: int, document: object = None, **headers: str) -> Answer:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, {"message": document} if isinstance(document, str) else document, "/x", "GitLab")


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, "state does not have a valid value", Refused),
        (401, "401 Unauthorized", CredentialRefused),
        (401, {"error": "invalid_token", "error_description": "Token was revoked."}, CredentialRefused),
        (401, None, Unavailable),
        (403, "403 Forbidden", Refused),
        (403, SCOPE, Refused),
        (403, None, Unavailable),
        (404, "404 Commit Not Found", Vanished),
        (404, "404 Project Not Found", Vanished),
        (404, None, Unavailable),
        (405, "405 Method Not Allowed", Refused),
        (407, None, Unreachable),
        (408, None, Unanswered),
        (409, "Another update to this commit status is in progress", Unavailable),
        (409, None, Unavailable),
        (422, "The number of jobs has exceeded the limit of 500", Refused),
        (302, None, Unavailable),
        (200, {"message": "hello"}, Unanswered),
        (500, "500 Internal Server Error", Unanswered),
        (502, None, Unanswered),
        (503, None, Unanswered),
        (504, None, Unanswered),
    ],
)
def test_each_refusal_is_one_of_the_ports_errors(status: int, document: object, kind: type[CallError]) -> None:
    failed = failure_of(refusal(status, document), "a status of acme/api", NOW)
    assert type(failed) is kind
    assert "\n" not in str(failed)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, timedelta(minutes=1)),
        ({"retry_after": "17"}, timedelta(seconds=17)),
        ({"ratelimit_remaining": "0", "ratelimit_reset": RESET}, timedelta(minutes=10)),
        ({"ratelimit_remaining": "0", "ratelimit_reset": RESET, "retry_after": "17"}, timedelta(seconds=17)),
        ({"ratelimit_remaining": "5", "ratelimit_reset": RESET}, timedelta(minutes=1)),
        ({"retry_after": format_datetime(NOW + timedelta(minutes=3))}, timedelta(minutes=3)),
        ({"retry_after": "soon"}, timedelta(minutes=1)),
    ],
)
@pytest.mark.parametrize("document", [None, "429 Too Many Requests"])
def test_a_limit_says_when_to_come_back(headers: dict[str, str], wait: timedelta, document: object) -> None:
    failed = failure_of(refusal(429, document, **headers), "a status of acme/api", NOW)
    assert isinstance(failed, Throttled)
    assert failed.retry_at == NOW + wait


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"message": "404 Commit Not Found"}, "404 Commit Not Found"),
        ({"message": {"description": ["is too long", "is odd"]}}, "description is too long, is odd"),
        ({"message": {"base": {"deep": ["x"]}}}, "base deep x"),
        ({"message": ["one", 2, "two"]}, "one: two"),
        ({"error": "state is missing"}, "state is missing"),
        (SCOPE, "insufficient_scope: The request requires higher privileges."),
        ({"message": "  a\n\x1b[31mb\x00\ud800 "}, "a [31mb"),
        ({"message": "x" * 500}, "x" * 199 + "…"),
        ({"message": 7}, "no reason given"),
        (None, "no reason given"),
        ([], "no reason given"),
    ],
)
def test_gitlabs_words_are_one_clean_line(document: object, words: str) -> None:
    assert words_of(refusal(422, document)) == words


@pytest.mark.parametrize(
    ("status", "words", "state"),
    [
        (400, "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot …)", "pending"),
        (400, "Cannot transition status via :run from :running", "running"),
        (400, "Cannot transition status via :succeed from :failed", "failed"),
        (400, "state does not have a valid value", None),
        (500, "Cannot transition status via :run from :running", None),
    ],
)
def test_a_refused_transition_tells_where_the_status_stands(status: int, words: str, state: str | None) -> None:
    assert state_before(refusal(status, words)) == state
