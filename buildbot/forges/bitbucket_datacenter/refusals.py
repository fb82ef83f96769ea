"""What Bitbucket Data Center's refusals mean: one line of its own words, and exactly one of the ports' errors. Pure.

Every refusal is `{"errors": [{"context", "message", "exceptionName"}]}`, and the name of the exception tells more than
the status:

| answer | meaning |
|---|---|
| 401 `AuthorisationException` | known, but may not see this repository: final for it, the token is good elsewhere |
| 401 otherwise | the token is wrong, expired or revoked |
| 404 `NoSuchCommitException` | the commit (or ref) is not there (yet): for a while transient |
| 404 `NoSuchRepositoryException`, `NoSuchProjectException` | final until the configuration changes |
| 429 | the account's bucket of calls is empty: wait, as long as `Retry-After` says or a minute |
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from buildbot.forges.bitbucket.refusals import limit_of
from buildbot.forges.exchange import Answer, is_unauthorized
from buildbot.forges.refusals import common_failure, in_one_line
from buildbot.ports import CallError, Refused

NO_PATH = "NoSuchPathException"
_NOT_PERMITTED = "AuthorisationException"
_NO_REPOSITORY = ("NoSuchRepositoryException", "NoSuchProjectException")


def words_of(answer: Answer) -> str:
    """The messages of the answer's `errors`, in one line; "no reason given" when it says nothing."""
    return in_one_line(_text(error) for error in _errors(answer))


def failure_of(answer: Answer, doing: str, now: datetime) -> CallError:
    """The error that an answer other than the hoped-for one stands for.

    `doing` finishes "Bitbucket refused …" ("a status of OPS/api"); `now` (aware UTC) is what waiting times count from.
    """
    said = words_of(answer)
    if is_unauthorized(answer) and not refuses_credential(answer):
        return Refused(f"Bitbucket refused {doing}: the token may not see the repository ({said})")
    return common_failure(answer, said, doing, limit_of(answer, now))


def refuses_credential(answer: Answer) -> bool:
    """A 401 that does not merely mean that this repository is closed to a token that is good."""
    return is_unauthorized(answer) and not is_called(answer, _NOT_PERMITTED)


def is_repository_missing(answer: Answer) -> bool:
    """A 404 for the repository or its project, not for something in it."""
    return answer.status == 404 and is_called(answer, *_NO_REPOSITORY)


def is_called(answer: Answer, *exceptions: str) -> bool:
    """Whether the answer names one of these exceptions, whatever package it is in."""
    names = [str(error.get("exceptionName")).rpartition(".")[2] for error in _errors(answer)]
    return any(name in exceptions for name in names)


def _errors(answer: Answer) -> Iterator[dict[str, object]]:
    errors = answer.document.get("errors") if isinstance(answer.document, dict) else None
    yield from (error for error in (errors if isinstance(errors, list) else []) if isinstance(error, dict))


def _text(error: dict[str, object]) -> object:
    context, message = error.get("context"), error.get("message")
    return f"{context}: {message}" if isinstance(context, str) and isinstance(message, str) else message
