"""What GitHub's refusals mean: one line of its own words, and exactly one of the ports' errors. Pure.

GitHub uses few status codes for many things. 403 is a missing permission, but also a rate limit; a secondary limit
need not carry a header and is told by its words alone. 404 is "does not exist" and "you may not see it" and, for a
classic token, "you may not write it". 422 is a commit that is not there (yet) and every mistake of ours. A refusal
counts as GitHub's word only when it is JSON, as all of its API's are: a 404 *page* is a proxy or a wrong `api_url`, and
nothing may be called gone for it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from buildbot.forges.fields import is_clean
from buildbot.forges.github.exchange import Answer
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

SECONDARY_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1)
WORDS_LIMIT = 200
NO_COMMIT = "No commit found for"
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
_SECONDARY = ("secondary rate limit", "abuse detection", "rate limit exceeded")
_LOCKED_OUT = "login attempts"


def words_of(answer: Answer) -> str:
    """GitHub's `message` and those of its `errors`, in one line; "no reason given" when it says nothing.

    `errors` is a list on older servers and one text on github.com today.
    """
    said = answer.document
    if not isinstance(said, dict):
        return "no reason given"
    errors = said.get("errors")
    details = [_detail(error) for error in (errors if isinstance(errors, list) else [errors])]
    texts = [text for text in (said.get("message"), *details) if isinstance(text, str)]
    line = " ".join("".join(c if is_clean(c) else " " for c in ": ".join(filter(None, texts))).split())
    return (line if len(line) <= WORDS_LIMIT else line[: WORDS_LIMIT - 1] + "…") or "no reason given"


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
        case 403 | 429 if limit is not None:
            return Throttled(f"GitHub takes no more calls for now: {said}", retry_at=limit)
        case 407:
            return Unreachable("the proxy on the way to GitHub wants a password")
        case status if 300 <= status < 500 and status != 408 and not isinstance(answer.document, dict):
            return Unavailable(f"{status} from something before GitHub's API, or a wrong `api_url`")
        case 401:
            return CredentialRefused(f"GitHub does not accept the credential (wrong, expired or revoked): {said}")
        case 403 if _LOCKED_OUT in said:
            return CredentialRefused(f"GitHub takes no credential from here for a while: {said}")
        case 404:
            return Vanished(f"GitHub refused {doing}: it is not there, or the credential may not see it ({said})")
        case 422 if NO_COMMIT in said:
            return Vanished(f"GitHub refused {doing}: {said}")
        case status if 400 <= status < 500 and status != 408:
            return Refused(f"GitHub refused {doing}: {said}")
        case status:
            return Unanswered(f"GitHub answered {status} to {doing}: {said}", timed_out=status in {408, 504})


def _limit(answer: Answer, now: datetime) -> datetime | None:
    headers = answer.headers
    if (wait := _wait_of(headers.get("retry-after", ""), now)) is not None:
        return now + wait
    if headers.get("x-ratelimit-remaining") == "0" and _SECONDS.fullmatch(headers.get("x-ratelimit-reset", "")):
        return now + _until_reset(headers["x-ratelimit-reset"], headers.get("date", ""), now)
    is_secondary = any(word in words_of(answer).lower() for word in _SECONDARY)
    return now + SECONDARY_WAIT if answer.status == 429 or is_secondary else None


def _wait_of(retry_after: str, now: datetime) -> timedelta | None:
    if _SECONDS.fullmatch(retry_after.strip()):
        return _bounded(timedelta(seconds=int(retry_after)))
    moment = _moment(retry_after)
    return None if moment is None else _bounded(moment - now)


def _until_reset(reset: str, date: str, now: datetime) -> timedelta:
    # The reset is a time by GitHub's clock; the answer's Date tells how far ours is off.
    return _bounded(timedelta(seconds=int(reset) - (_moment(date) or now).timestamp()))


def _moment(date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta(seconds=1)), LONGEST_WAIT)
