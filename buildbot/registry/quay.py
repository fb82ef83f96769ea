"""Quay's six build operations, each one call over HTTP, and three questions that change nothing (for `doctor`).

What this guarantees to the engine:

- Every way a call can end is a value or one of the ports' errors (see `quay_errors`); nothing of httpx comes out.
- A request and a cancel are sent exactly once. Reads are tried up to three times within a few seconds, and only after a
  5xx or a lost connection: a timeout has already cost its time, and a 4xx or 429 would only be repeated.
- One attempt takes no longer than `request_timeout` in all (httpx counts per read, so a slow drip would never end).
  Connecting and waiting for a free connection may take a quarter of it each: what the whole timeout ends has been sent.
- The token goes to the configured origin and nowhere else: redirects are followed by hand, once, and only there.
  (httpx would turn a redirected POST into a GET for some statuses.) Cookies are not kept: Quay's pages set sessions.

The shapes and oddities that this relies on were recorded against Quay (August 2026, commit ffba0c7): `docker_tags` is
the request's real field while the published API says `tags`, so both are sent; a non-ASCII `archive_url` is a 500, so
it is percent-encoded; cancel answers 201 where 204 is documented; an unknown build is 404, but 400 on `/status` and
`/logs`.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from buildbot.domain.log import LogEntry
from buildbot.ports import (
    BuildOrder,
    BuildRecord,
    CallError,
    CredentialRefused,
    Refused,
    Unanswered,
    Unreachable,
    Vanished,
)
from buildbot.registry.quay_errors import (
    Answer,
    Call,
    decoded,
    failure_of,
    is_json,
    timed_out,
    transport_failure,
    utc_moment,
    words_of,
)
from buildbot.registry.quay_logs import SIZE_LIMIT, archive_of, archived_entries, entries_of, own_archive_path

READ_TRIES = 3
READ_TRIES_WITHIN = timedelta(seconds=4)
ARCHIVE_HOPS = 3

_BUILD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~-._"


class ProbeResult(StrEnum):
    """What a probe found. `UNTOLD`: the answer proves neither; its words say what came instead."""

    YES = "yes"
    NO = "no"
    BAD_TOKEN = "bad-token"  # noqa: S105  # a result, not a token
    UNTOLD = "could-not-tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found, and one line of why for people."""

    result: ProbeResult
    detail: str


class QuayRegistry:
    """`buildbot.ports.Registry` over Quay's HTTP API. The client is the caller's, who also closes it.

    `url` is where Quay's pages are ("https://quay.io"), `token` an OAuth 2 access token: `repo:write` is enough for all
    but cancelling, which needs `repo:admin` of a user who is the repository's admin. `retry_pause` is the longest
    first pause between tries of a read; each is random, and may be twice as long as the one before.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        url: str,
        token: str,
        request_timeout: timedelta,
        retry_pause: timedelta = timedelta(milliseconds=300),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._url = httpx.URL(url.rstrip("/")).copy_with(userinfo=b"", query=None, fragment=None)
        self._token = token
        self._seconds = request_timeout.total_seconds()
        self._retry_pause = retry_pause
        self._now = now

    def __repr__(self) -> str:
        return f"QuayRegistry({str(self._url)!r})"

    # ── the six operations ───────────────────────────────────────────────────────────────────────────────────────────

    async def request_repo_build(self, order: BuildOrder) -> BuildRecord:
        """Ask for a build, once. `Unanswered` means that it may exist: look for its mark before asking again."""
        robot = f" or robot {order.pull_robot}" if order.pull_robot else ""
        scopes = "a repo:write token of a user who may write" + (" and org:admin for pull_robot" if robot else "")
        call = Call(
            "POST",
            f"{_builds_of(order.repository)}/",
            doing=f"the build of {order.repository}",
            about=f"repository {order.repository}{robot}",
            needs=scopes,
            body=json.dumps(_request_body(order)).encode(),
        )
        return record_of(decoded(await self._ask(call)))

    async def cancel_repo_build(self, repository: str, build: str) -> None:
        """Take a build back, once; returning means that it is cancelled for good (201; documented: 204)."""
        answer = await self._ask(_cancel(repository, build))
        if answer.body.strip():
            decoded(answer)

    async def get_repo_build(self, repository: str, build: str) -> BuildRecord:
        """One build, whole. `Vanished` when Quay has none of this id in this repository."""
        return record_of(decoded(await self._read(_build(repository, build, ""))))

    async def get_repo_build_status(self, repository: str, build: str) -> BuildRecord:
        """One build's phase, by `/status`, which shows the same object and has its own way to say "unknown" (400)."""
        return record_of(decoded(await self._read(_build(repository, build, "/status"))))

    async def get_repo_builds(self, repository: str, since: datetime) -> tuple[BuildRecord, ...]:
        """All builds requested at `since` (aware) or later, newest first. `limit=0` is Quay's word for "no limit"."""
        call = Call(
            "GET",
            f"{_builds_of(repository)}/?limit=0&since={math.floor(since.timestamp())}",
            doing=f"to list the builds of {repository}",
            about=f"repository {repository}",
            needs="a repo:read token of a user who may read",
        )
        return records_of(decoded(await self._read(call)))

    async def get_repo_build_logs(self, repository: str, build: str, start: int = 0) -> tuple[LogEntry, ...]:
        """The log from entry `start` on, live or archived; empty when there is none."""
        document = decoded(await self._read(_logs(repository, build, start)))
        archive = archive_of(document)
        return entries_of(document) if archive is None else await self._archived(archive, start)

    def build_page(self, repository: str, build: str) -> str:
        """Quay's own page of a build; it answers anyone, and asks for a login in the page."""
        names = "/".join(quote(name, safe="") for name in repository.split("/"))
        return f"{str(self._url).rstrip('/')}/repository/{names}/build/{quote(build, safe='')}"

    # ── questions without effect ─────────────────────────────────────────────────────────────────────────────────────

    async def may_request(self, repository: str) -> Finding:
        """Whether the token may request builds: a POST of `{}` is checked for the right to write before its fields are.

        Proves nothing about the repository's existence.
        """
        call = Call("POST", f"{_builds_of(repository)}/", "a build", f"repository {repository}", "repo:write", b"{}")
        return await self._probe(call, {400: ProbeResult.YES, 403: ProbeResult.NO})

    async def may_cancel(self, repository: str) -> Finding:
        """Whether the token may cancel builds: a DELETE of a build that cannot exist is 404 for those who may.

        Proves nothing about the repository's existence.
        """
        return await self._probe(_cancel(repository, str(uuid.uuid4())), {404: ProbeResult.YES, 403: ProbeResult.NO})

    async def has_repository(self, repository: str) -> Finding:
        """Whether the repository exists; any answer of Quay's but 200 and 404 leaves it open (403 hides existence)."""
        path = f"/api/v1/repository/{_segments(repository)}?includeTags=false"
        call = Call("GET", path, f"to show {repository}", f"repository {repository}", "repo:read")
        finding = await self._probe(call, {200: ProbeResult.YES, 404: ProbeResult.NO})
        return Finding(ProbeResult.UNTOLD, finding.detail) if finding.result is ProbeResult.BAD_TOKEN else finding

    async def _probe(self, call: Call, results: Mapping[int, ProbeResult]) -> Finding:
        try:
            answer = await self._exchange(call)
            if answer.is_success:
                return _answered(results, answer, call)
        except CallError as error:
            return Finding(ProbeResult.UNTOLD, str(error))
        failure = failure_of(call, answer, self._now())
        if isinstance(failure, CredentialRefused):
            return Finding(ProbeResult.BAD_TOKEN, str(failure))
        is_quays_word = isinstance(failure, Refused | Vanished) and is_json(answer)
        return Finding(
            results.get(answer.status, ProbeResult.UNTOLD) if is_quays_word else ProbeResult.UNTOLD, str(failure)
        )

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, call: Call) -> Answer:
        tries = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, Unanswered) and not error.timed_out),
            stop=stop_after_attempt(READ_TRIES) | stop_after_delay(READ_TRIES_WITHIN),
            wait=wait_random_exponential(multiplier=self._retry_pause.total_seconds(), max=2),
            reraise=True,
        )
        return await tries(self._ask, call)

    async def _ask(self, call: Call) -> Answer:
        answer = await self._exchange(call)
        if not answer.is_success:
            raise failure_of(call, answer, self._now())
        return answer

    async def _exchange(self, call: Call) -> Answer:
        url = self._at(call.path)
        answer = await self._send(call.method, url, self._bearer(), call.body)
        if answer.status in {307, 308} and (target := self._own_target(url, answer.location)):
            answer = await self._send(call.method, target, self._bearer(), call.body)
        return answer

    def _at(self, path: str) -> httpx.URL:
        return httpx.URL(str(self._url).rstrip("/") + path)

    def _own_target(self, url: httpx.URL, location: str) -> httpx.URL | None:
        # Behind a proxy that ends TLS, Quay names its own host with http: the target is asked for at our origin.
        try:
            target = url.join(location)
        except httpx.InvalidURL:
            return None
        if not location or target.host != self._url.host:
            return None
        return self._url.copy_with(raw_path=target.raw_path)

    def _bearer(self) -> str:
        if not (self._token.isascii() and self._token.isprintable() and self._token.strip()):
            raise CredentialRefused("the Quay token is empty or holds characters that no header can carry")
        return f"Bearer {self._token}"

    async def _send(self, method: str, url: httpx.URL, authorization: str | None, body: bytes | None = None) -> Answer:
        headers = {"Accept": "application/json", "User-Agent": _user_agent()}
        if authorization:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        limits = httpx.Timeout(self._seconds, connect=self._seconds / 4, pool=self._seconds / 4)
        request = self._client.build_request(method, url, headers=headers, content=body, timeout=limits)
        request.headers.pop("Cookie", None)
        if not authorization:
            request.headers.pop("Authorization", None)
        place = url.netloc.decode("ascii", "replace")
        try:
            async with asyncio.timeout(self._seconds):
                return await self._receive(request)
        except httpx.HTTPError as error:
            raise transport_failure(error, place) from error
        except TimeoutError as error:
            raise timed_out(place) from error

    async def _receive(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > SIZE_LIMIT:
                    break
        finally:
            await response.aclose()
        return Answer(
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            body=bytes(body[:SIZE_LIMIT]),
            retry_after=response.headers.get("Retry-After", ""),
            location=response.headers.get("Location", ""),
            is_cut=len(body) > SIZE_LIMIT,
            secret=self._token,
        )

    # ── archived logs ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _archived(self, archive: httpx.URL, start: int) -> tuple[LogEntry, ...]:
        # A store that is away or refuses says nothing about Quay or our token: here every failure is a lost answer.
        try:
            answer = await self._fetch(archive)
        except Unreachable as error:
            raise Unanswered(f"the archived log could not be fetched: {error}") from error
        if answer.status in {403, 404}:
            return ()  # a build that never had a log gets a URL as well, and the URL answers so
        if not answer.is_success:
            raise Unanswered(f"{archive.host} answered {answer.status} for the archived log: {words_of(answer)}")
        return archived_entries(answer, start)

    async def _fetch(self, url: httpx.URL) -> Answer:
        answer = await self._fetch_once(url)
        for _ in range(ARCHIVE_HOPS):
            if answer.status not in {301, 302, 303, 307, 308} or not answer.location:
                break
            try:
                url = url.join(answer.location)
            except httpx.InvalidURL:
                break
            answer = await self._fetch_once(url)
        return answer

    async def _fetch_once(self, url: httpx.URL) -> Answer:
        if path := own_archive_path(url):
            credentials = b64encode(f"$oauthtoken:{self._token}".encode()).decode()
            return await self._send("GET", self._at(path), f"Basic {credentials}")
        return await self._send("GET", url.copy_with(userinfo=b""), None)


def _answered(results: Mapping[int, ProbeResult], answer: Answer, call: Call) -> Finding:
    is_object = isinstance(decoded(answer), dict)
    result = results.get(answer.status, ProbeResult.UNTOLD) if is_object else ProbeResult.UNTOLD
    return Finding(result, f"Quay answered {answer.status} for {call.about}")


# ── calls in words ───────────────────────────────────────────────────────────────────────────────────────────────────


def _segments(path: str) -> str:
    names = path.split("/")
    if any(name in {"", ".", ".."} for name in names):
        raise Refused(f"{path!r} is not a name that Quay could know")
    return "/".join(quote(name, safe="", errors="replace") for name in names)


def _builds_of(repository: str) -> str:
    return f"/api/v1/repository/{_segments(repository)}/build"


def _path_of(repository: str, build: str) -> str:
    if not _BUILD_ID.fullmatch(build) or not build.strip("."):
        raise Vanished(f"{build!r} is not a build that Quay could know")
    return f"{_builds_of(repository)}/{build}"


def _build(repository: str, build: str, suffix: str) -> Call:
    return Call(
        "GET",
        _path_of(repository, build) + suffix,
        doing=f"to show a build of {repository}",
        about=f"build {build} of {repository}",
        needs="a repo:read token of a user who may read",
    )


def _logs(repository: str, build: str, start: int) -> Call:
    return Call(
        "GET",
        f"{_path_of(repository, build)}/logs?start={start}",
        doing=f"to show a log of {repository}",
        about=f"build {build} of {repository}",
        needs="a repo:write token of a user who may write",
    )


def _cancel(repository: str, build: str) -> Call:
    return Call(
        "DELETE",
        _path_of(repository, build),
        doing=f"to cancel a build of {repository}",
        about=f"build {build} of {repository}",
        needs="a repo:admin token of a user who is its admin",
    )


def _request_body(order: BuildOrder) -> dict[str, object]:
    body: dict[str, object] = {
        "archive_url": ascii_url(order.archive_url),
        "docker_tags": list(order.image_tags),
        "tags": list(order.image_tags),
        "context": _absolute(order.context),
        "dockerfile_path": _absolute(order.dockerfile_path),
    }
    if order.pull_robot:
        body["pull_robot"] = order.pull_robot
    return body


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def ascii_url(url: str) -> str:
    """The URL in ASCII: host in punycode, the rest percent-encoded; a clean one stays as it is, to the letter.

    Quay answers 500 to any other, and a mark in the fragment must come back as it went. Raises `Refused`.
    """
    if url.isascii() and url.isprintable() and " " not in url:
        return url
    try:
        parts = urlsplit(url)
        user, at, place = parts.netloc.rpartition("@")
        place = place if place.isascii() else httpx.URL(f"http://{place}").netloc.decode("ascii")
    except (ValueError, httpx.InvalidURL) as error:
        raise Refused("the archive URL's host is not a host name") from error
    rest = (quote(part, safe=_URL_CHARACTERS, errors="replace") for part in parts[2:])
    return urlunsplit((parts.scheme, quote(user, safe=_URL_CHARACTERS, errors="replace") + at + place, *rest))


@cache
def _user_agent() -> str:
    # Quay answers 400 to a browser's; Quay's operators see who polls.
    try:
        return f"quay-buildbot/{version('quay-buildbot')}"
    except PackageNotFoundError:
        return "quay-buildbot/0"


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def records_of(document: object) -> tuple[BuildRecord, ...]:
    """The builds of a list, in Quay's order. One that cannot be read spoils all: it might be the one looked for."""
    builds = document.get("builds") if isinstance(document, dict) else None
    if not isinstance(builds, list):
        raise Unanswered("Quay answered with something that is not a list of builds (no list `builds`)")
    return tuple(record_of(build) for build in builds)


def record_of(document: object) -> BuildRecord:
    """A build as Quay describes it. Raises `Unanswered` without a usable id, phase or tags; the rest may be missing."""
    if not isinstance(document, dict):
        raise _not_a_build("it is not an object")
    started, archive_url = document.get("started"), document.get("archive_url")
    return BuildRecord(
        id=_id_of(document),
        phase=_phase_of(document),
        tags=_tags_of(document),
        started=utc_moment(started) if isinstance(started, str) else None,
        archive_url=archive_url if isinstance(archive_url, str) and archive_url else None,
    )


def _id_of(document: Mapping[str, object]) -> str:
    match document.get("id"):
        case str() as text if _BUILD_ID.fullmatch(text) and text.strip("."):
            return text
        case _:
            raise _not_a_build("`id` is missing or odd")


def _phase_of(document: Mapping[str, object]) -> str:
    match document.get("phase"):
        case str() as word if word.isprintable() and 0 < len(word) <= 64:
            return word
        case _:
            raise _not_a_build("`phase` is missing or odd")


def _tags_of(document: Mapping[str, object]) -> tuple[str, ...]:
    tags = document.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.isprintable() for tag in tags):
        raise _not_a_build("`tags` is not a list of image tags")
    return tuple(tags)


def _not_a_build(why: str) -> Unanswered:
    return Unanswered(f"Quay answered with something that is not a build: {why}")
