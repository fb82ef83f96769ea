"""What refusals mean at every forge; what a forge words or numbers in its own way stands in its own `refusals`. Pure.

A refusal counts as the forge's word only when it is JSON, as all of their APIs' are: a 404 *page* is a proxy or a wrong
`api_url`, and nothing may be called gone for it. Only a 429 counts as it is, since gateways send those too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from buildbot.forges.exchange import Answer
from buildbot.forges.fields import is_clean
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

UNTOLD_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1)
WORDS_LIMIT = 200
NO_REASON = "no reason given"
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


def in_one_line(texts: Iterable[object]) -> str:
    """Those of `texts` that are text and say something, joined by ": " to one clean line of at most 200 characters."""
    said = ": ".join(text for text in texts if isinstance(text, str) and text)
    line = " ".join("".join(c if is_clean(c) else " " for c in said).split())
    return (line if len(line) <= WORDS_LIMIT else line[: WORDS_LIMIT - 1] + "…") or NO_REASON


def common_failure(answer: Answer, said: str, doing: str, limit: datetime | None) -> CallError:
    """The error that an answer other than the hoped-for one stands for, as far as forges agree.

    `said` is the forge's reason in one line, `doing` finishes "GitHub refused …" ("a status of acme/api"), `limit` is
    when a limit of calls ends, None where there is none.
    """
    forge = answer.forge
    match answer.status:
        case status if limit is not None and 400 <= status < 500:
            return Throttled(f"{forge} takes no more calls for now: {said}", retry_at=limit)
        case 407:
            return Unreachable(f"the proxy on the way to {forge} wants a password")
        case status if 300 <= status < 500 and status != 408 and not isinstance(answer.document, dict):
            return Unavailable(f"{status} from something before {forge}'s API, or a wrong `api_url`")
        case 401:
            return CredentialRefused(f"{forge} does not accept the credential (wrong, expired or revoked): {said}")
        case 404:
            return Vanished(f"{forge} refused {doing}: it is not there, or the credential may not see it ({said})")
        case status if 400 <= status < 500 and status != 408:
            return Refused(f"{forge} refused {doing}: {said}")
        case status:
            return Unanswered(f"{forge} answered {status} to {doing}: {said}", timed_out=status in {408, 504})


def told_wait(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When `Retry-After` (seconds, or a date) says to come back, between a second and a day from `now`."""
    retry_after = headers.get("retry-after", "")
    if _SECONDS.fullmatch(retry_after.strip()):
        return now + bounded(timedelta(seconds=int(retry_after)))
    moment = _moment(retry_after)
    return None if moment is None else now + bounded(moment - now)


def told_reset(headers: Mapping[str, str], remaining: str, reset: str, now: datetime) -> datetime | None:
    """When the headers called so say that calls are allowed again; None while some are left or nothing is told.

    The reset is a time by the forge's clock in Unix seconds; the answer's Date tells how far ours is off.
    """
    if headers.get(remaining) != "0" or not _SECONDS.fullmatch(headers.get(reset, "")):
        return None
    theirs = _moment(headers.get("date", "")) or now
    return now + bounded(timedelta(seconds=int(headers[reset]) - theirs.timestamp()))


def bounded(wait: timedelta) -> timedelta:
    """A wait of at least a second and at most a day, whatever a header says."""
    return min(max(wait, timedelta(seconds=1)), LONGEST_WAIT)


def _moment(date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
