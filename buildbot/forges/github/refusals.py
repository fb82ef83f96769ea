"""What GitHub's refusals mean: one line of its own words, and exactly one of the ports' errors. Pure.

GitHub uses few status codes for many things. 403 is a missing permission, but also a rate limit; a secondary limit
need not carry a header and is told by its words alone. 404 is "does not exist" and "you may not see it" and, for a
classic token, "you may not write it". 422 is a commit that is not there (yet) and every mistake of ours. What GitHub
shares with every forge is in `forges.refusals`.
"""

from __future__ import annotations

from datetime import datetime

from buildbot.forges.exchange import Answer
from buildbot.forges.refusals import NO_REASON, UNTOLD_WAIT, common_failure, in_one_line, told_reset, told_wait
from buildbot.ports import CallError, CredentialRefused, Vanished

NO_COMMIT = "No commit found for"
_SECONDARY = ("secondary rate limit", "abuse detection", "rate limit exceeded")
_LOCKED_OUT = "login attempts"
EMPTY = "Repository is empty"


def words_of(answer: Answer) -> str:
    """GitHub's `message` and those of its `errors`, in one line; "no reason given" when it says nothing.

    `errors` is a list on older servers and one text on github.com today.
    """
    said = answer.document
    if not isinstance(said, dict):
        return NO_REASON
    errors = said.get("errors")
    details = [_detail(error) for error in (errors if isinstance(errors, list) else [errors])]
    return in_one_line((said.get("message"), *details))


def _detail(error: object) -> object:
    if not isinstance(error, dict):
        return error
    place = " ".join(str(error[key]) for key in ("resource", "field", "code") if isinstance(error.get(key), str))
    return error.get("message") or place


def failure_of(answer: Answer, doing: str, now: datetime) -> CallError:
    """The error that an answer other than the hoped-for one stands for.

    `doing` finishes "GitHub refused …" ("a status of acme/api"); `now` (aware UTC) is what waiting times count from.
    """
    said, limit = words_of(answer), _limit(answer, now)
    match answer.status:
        case 403 if limit is None and _LOCKED_OUT in said:
            return CredentialRefused(f"GitHub takes no credential from here for a while: {said}")
        case 422 if NO_COMMIT in said:
            return Vanished(f"GitHub refused {doing}: {said}")
        case 409 if EMPTY in said:
            return Vanished(f"GitHub refused {doing}: {said}")
        case _:
            return common_failure(answer, said, doing, limit)


def _limit(answer: Answer, now: datetime) -> datetime | None:
    if answer.status not in {403, 429}:
        return None
    told = told_wait(answer.headers, now) or told_reset(
        answer.headers, "x-ratelimit-remaining", "x-ratelimit-reset", now
    )
    if told is not None:
        return told
    is_secondary = any(word in words_of(answer).lower() for word in _SECONDARY)
    return now + UNTOLD_WAIT if answer.status == 429 or is_secondary else None
