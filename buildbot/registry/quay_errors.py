"""What Quay's answers mean: one line of its own words, and exactly one of the ports' errors.

Quay speaks five dialects of error (its ApiError, flask-restful's `message`, `{"error": …}` sent as text/html, a bare
`message`, and HTML), and the proxies in front of it speak HTML or plain text. All are read here and nowhere else, so
the rest of the bot never looks at a status code or a text.

Three choices are not obvious:

- A bad token is 401 for a GET but 403 "CSRF token was invalid or missing." for POST and DELETE; a lacking scope is
  403 `insufficient_scope`. The first condemns the credential, the second only this call.
- 403 and 404 count as Quay's word only when they are JSON, as all of its API's are. A 404 or 403 *page* is a proxy that
  restarts, a wall in front, or a wrong `url`: nothing was done, and a build must not be called vanished for it.
- A 4xx in general means that nothing happened, for good; a 5xx other than 503 that nobody knows (Quay answers 500 to a
  DELETE that did cancel).
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

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

WORDS_LIMIT = 200
TEXT_LIMIT = 10_000
LONGEST_RETRY_AFTER = timedelta(days=1)

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)?", re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """One call in words for people: `doing` finishes "Quay refused …", `about` names what may not exist.

    `needs` is what a token must have for it, told when Quay says that it may not.
    """

    method: str
    path: str
    doing: str
    about: str
    needs: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read whole, or cut at the size limit (`is_cut`). `secret` is taken out of what is quoted from it."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""
    location: str = ""
    is_cut: bool = False
    secret: str = field(default="", repr=False)

    @property
    def is_success(self) -> bool:
        """The status is 2xx, which does not say that the body makes sense."""
        return 200 <= self.status < 300


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def one_line(text: str, limit: int = WORDS_LIMIT) -> str:
    """The first line that says something, without escape sequences, control or invisible characters, cut to `limit`."""
    plain = _ESCAPE_SEQUENCE.sub("", text[:TEXT_LIMIT])
    for line in plain.splitlines():
        words = " ".join("".join(c if c.isprintable() else " " for c in line).split())
        if words:
            return words if len(words) <= limit else words[: limit - 1] + "…"
    return ""


def words_of(answer: Answer) -> str:
    """What the answer says, in one line of the other side's own words; "no reason given" when it says nothing."""
    text = answer.body.decode("utf-8", "replace")
    said = _said_in_json(decoded(answer)) if is_json(answer) else _said_in_page(text, answer.content_type)
    if answer.secret:
        said = said.replace(answer.secret, "***")
    return one_line(said) or "no reason given"


def decoded(answer: Answer) -> object:
    """The body as JSON, whatever its content type (Quay sends some JSON as text/html). Raises `Unanswered`."""
    if answer.is_cut:
        raise Unanswered(f"Quay's answer is too large: more than {len(answer.body) // 1_000_000} MB")
    try:
        document: object = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        kind = one_line(answer.content_type, 60) or "nothing of a kind"
        raise Unanswered(f"Quay answered {answer.status} with {kind} that is not JSON") from error
    return document


def is_json(answer: Answer) -> bool:
    """Whether the body is JSON that can carry words, as all answers of Quay's API are; what proxies add is not."""
    try:
        return isinstance(decoded(answer), dict | list | str)
    except Unanswered:
        return False


def _said_in_json(document: object) -> str:
    if isinstance(document, str):
        return document
    if not isinstance(document, dict):
        return ""
    for key in ("detail", "error_message", "message", "error_description", "error", "title"):
        match document.get(key):
            case str() as text if text.strip():
                return text
            case dict() as fields if fields:
                return "; ".join(f"{name}: {reason}" for name, reason in fields.items())
    return ""


def _said_in_page(text: str, content_type: str) -> str:
    if title := _TITLE.search(text[:TEXT_LIMIT]):
        return html.unescape(" ".join(title[1].split()))
    return text[:TEXT_LIMIT] if content_type.startswith("text/plain") else ""


def retry_time(header: str, now: datetime) -> datetime | None:
    """When a `Retry-After` (seconds or a date, RFC 9110 10.2.3) says to come back, at most a day away, or None."""
    text = header.strip()
    if _SECONDS.fullmatch(text):
        return now + min(timedelta(seconds=int(text)), LONGEST_RETRY_AFTER)
    moment = utc_moment(text)
    return min(max(moment, now), now + LONGEST_RETRY_AFTER) if moment else None


def utc_moment(text: str) -> datetime | None:
    """An RFC 2822 date as aware UTC. Quay writes `-0000`, which Python reads as a datetime without a zone."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


# ── meaning ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def failure_of(call: Call, answer: Answer, now: datetime) -> CallError:
    """The error that an answer other than 2xx stands for. `now` (aware UTC) is what a `Retry-After` counts from."""
    said = words_of(answer)
    match answer.status:
        case 401:
            return _bad_token(said)
        case 403 | 404 if not is_json(answer):
            return Unavailable(f"{answer.status} from something before Quay's API, or a wrong url: {said}")
        case 403:
            return _forbidden(call, said)
        case 404:
            return _missing(call, said)
        case 400 if said.startswith("Unable to locate a build"):
            return Vanished(f"Quay has no {call.about}: {said}")
        case 407:
            return Unreachable(f"the proxy on the way to Quay wants a password: {said}")
        case 429:
            return _throttled(call, answer, now)
        case 503:
            return Unavailable(f"Quay does not take {call.doing} now: {said}")
        case status if 300 <= status < 400:
            return Unavailable(f"Quay's url leads elsewhere{_to_host(answer.location)}: is it the right one?")
        case status if 400 <= status < 500 and status != 408:
            return Refused(f"Quay refused {call.doing}: {said}")
        case status:
            return Unanswered(f"Quay answered {status}: {said}", timed_out=status in {408, 504})


def _bad_token(said: str) -> CredentialRefused:
    return CredentialRefused(f"Quay does not accept the token (wrong, expired or revoked): {said}")


def _forbidden(call: Call, said: str) -> CallError:
    if "CSRF" in said:
        return _bad_token(said)
    return Refused(f"Quay refused {call.doing}: {said}; it needs {call.needs}")


def _missing(call: Call, said: str) -> CallError:
    if call.method == "POST":
        return Refused(f"Quay refused {call.doing}: {call.about} not found ({said})")
    return Vanished(f"Quay has no {call.about}: {said}")


def _throttled(call: Call, answer: Answer, now: datetime) -> Throttled:
    # Quay itself has one limit, the namespace's queue, and only for requests; every other 429 is a proxy's.
    by_queue = call.method == "POST" and is_json(answer)
    words, retry_at = words_of(answer), retry_time(answer.retry_after, now)
    if by_queue:
        return Throttled(f"Quay's queue is full ({words})", retry_at=retry_at)
    return Throttled(f"the proxy before Quay takes fewer calls: {words}", retry_at=retry_at, by_proxy=True)


def _to_host(location: str) -> str:
    try:
        host = httpx.URL(location).host
    except httpx.InvalidURL:
        return ""
    return f", to {one_line(host, 80)}" if host else ""


def transport_failure(error: httpx.HTTPError, place: str) -> CallError:
    """The error that a failed exchange stands for: before anything was sent, or after. `place` is host and port."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError() | httpx.UnsupportedProtocol():
            return Unreachable(f"cannot reach {place}: {one_line(str(error)) or 'no connection in time'}")
        case httpx.PoolTimeout():
            return Unreachable(f"no free connection to {place} in time")
        case httpx.TimeoutException():
            return timed_out(place)
        case httpx.DecodingError():
            return Unanswered(f"{place} sent an answer whose compression is broken")
        case _:
            return Unanswered(f"the connection to {place} broke before the answer ({type(error).__name__})")


def timed_out(place: str) -> Unanswered:
    """The error of an exchange that was begun and not answered in time."""
    return Unanswered(f"{place} did not answer in time", timed_out=True)
