"""What Gitea's and Forgejo's refusals mean: one line of their words, and exactly one of the ports' errors. Pure.

They have no limits of their own, so that a 429 is a proxy's, and no rules for statuses: of a whole commit id, what can
be refused is the repository, the right to write, and the commit.

| answer to a status | becomes |
|---|---|
| 404: no such repository; Forgejo's also: no such commit | what two reads find, see `api` |
| 500: trouble; Gitea's also: no such commit | the same |
| 400, 403 (scope, role), 422, 423 (archived) | Refused |
| 401 | CredentialRefused |
| 409 `Git Repository is empty.` | Vanished |
| 413 (quota) | Refused |
| 429 | Throttled until `Retry-After` |
"""

from __future__ import annotations

from datetime import datetime

from buildbot.forges.exchange import Answer
from buildbot.forges.refusals import NO_REASON, UNTOLD_WAIT, common_failure, in_one_line, told_wait
from buildbot.ports import CallError, Vanished

_EMPTY = "is empty"


def words_of(answer: Answer) -> str:
    """The `message` and the `errors` of an answer in one line; "no reason given" when it says nothing.

    Where there is nothing to add, `message` is the name of the check that failed, and `errors` is null.
    """
    said = answer.document
    if not isinstance(said, dict):
        return NO_REASON
    errors = said.get("errors")
    return in_one_line((said.get("message"), *(errors if isinstance(errors, list) else ())))


def failure_of(answer: Answer, doing: str, now: datetime) -> CallError:
    """The error that an answer other than the hoped-for one stands for.

    `doing` finishes "Gitea refused …" ("a status of acme/api"); `now` (aware UTC) is what waiting times count from.
    """
    said = words_of(answer)
    if answer.status == 409 and _EMPTY in said:
        return Vanished(f"{answer.forge} refused {doing}: {said}")
    limit = told_wait(answer.headers, now) or now + UNTOLD_WAIT if answer.status == 429 else None
    return common_failure(answer, said, doing, limit)
