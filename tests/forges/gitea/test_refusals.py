"""Gitea's refusals, told apart by what to do next."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from buildbot.forges.exchange import Answer
from buildbot.forges.gitea.refusals import failure_of, words_of
from buildbot.ports import (
    CallError,
    CredentialRefused,
    Refused,
    Throttled,
    Unanswered,
    Unavailable,
    Vanished,
)
from tests.forges.wire import NOW


def refusal(status: int, document: object = None, **headers: str) -> Answer:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, {"message": document} if isinstance(document, str) else document, "/x", "Gitea")


def failure(status: int, document: object = None, **headers: str) -> CallError:
    return failure_of(refusal(status, document, **headers), "a status of acme/api", NOW)


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, "bad", Refused),
        (401, "invalid username, password or token", CredentialRefused),
        (401, None, Unavailable),
        (403, "token does not have at least one of required scope(s): [write:repository]", Refused),
        (403, "user should have a permission to write to a repo", Refused),
        (404, "The target couldn't be found.", Vanished),
        (404, None, Unavailable),
        (409, "Git Repository is empty.", Vanished),
        (409, "conflict", Refused),
        (413, "quota exceeded", Refused),
        (422, "[]: bad JSON", Refused),
        (423, "repo is archived", Refused),
        (302, None, Unavailable),
        (200, {}, Unanswered),
        (500, "object does not exist [id: x, rel_path: ]", Unanswered),
        (502, None, Unanswered),
        (504, None, Unanswered),
    ],
)
def test_each_refusal_is_one_of_the_ports_errors(status: int, document: object, kind: type[CallError]) -> None:
    failed = failure(status, document)
    assert type(failed) is kind
    assert "\n" not in str(failed)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, timedelta(minutes=1)),
        ({"retry_after": "17"}, timedelta(seconds=17)),
        ({"retry_after": "soon"}, timedelta(minutes=1)),
    ],
)
@pytest.mark.parametrize("document", [None, "slow down"])
def test_a_proxys_limit_says_when_to_come_back(headers: dict[str, str], wait: timedelta, document: object) -> None:
    failed = failure(429, document, **headers)
    assert isinstance(failed, Throttled)
    assert failed.retry_at == NOW + wait


def test_a_403_with_a_time_to_wait_is_a_refusal_all_the_same() -> None:
    assert isinstance(failure(403, "no", retry_after="17"), Refused)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"message": "Not Found", "errors": None, "url": "https://x"}, "Not Found"),
        ({"message": "Not Found", "errors": ["branch does not exist [name: x]"]}, "Not Found: branch does not exist"),
        ({"message": "", "errors": []}, "no reason given"),
        ({"message": 1, "errors": {"x": 1}}, "no reason given"),
        ({"message": "a\n\x1b[31mb\x00\ud800"}, "a [31mb"),
        ({"message": "x" * 500}, "x" * 199 + "…"),
        ([], "no reason given"),
        (None, "no reason given"),
    ],
)
def test_the_words_are_one_clean_line(document: object, words: str) -> None:
    assert words_of(refusal(404, document)).startswith(words)
