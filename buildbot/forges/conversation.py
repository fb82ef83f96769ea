"""Talking to one forge with one credential: what is asked once, what is tried again, what an archive's stream promises.

A write is sent once per call: the status loop is the retry. The one exception is a 401 with a credential that can be
renewed (an App's): it is renewed once and the call repeated once. Reads are tried up to three times within seconds, and
only after a lost connection or a 5xx: a timeout has already cost its time, and a refusal would only be repeated.

The forges differ in what they answer, not in this; so an adapter holds a `Conversation` and says in its `Dialect` what
is its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from buildbot.forges.auth import Auth
from buildbot.forges.exchange import Answer, Dialect, Download, Exchange, OversizedAnswer
from buildbot.forges.fields import Fields, shown
from buildbot.forges.names import is_sha
from buildbot.ports import (
    BadPayload,
    CallError,
    CredentialRefused,
    Refused,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)

READ_TRIES = 3
READ_TRIES_WITHIN = timedelta(seconds=4)
RETRY_PAUSE = timedelta(milliseconds=300)
ARCHIVE_PATIENCE = timedelta(seconds=60)
_T = TypeVar("_T")


def utc_now() -> datetime:
    """The clock of the wall."""
    return datetime.now(UTC)


class Conversation:
    """Calls to one forge's API. The client is the caller's, who also closes it.

    `retry_pause` is the first pause between tries of a read; later ones double, with jitter.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        dialect: Dialect,
        auth: Auth,
        *,
        api_url: str,
        request_timeout: timedelta,
        retry_pause: timedelta = RETRY_PAUSE,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._exchange = Exchange(client, dialect, api_url=api_url, request_timeout=request_timeout)
        self._dialect = dialect
        self._auth = auth
        self._retry_pause = retry_pause
        self._now = now

    @property
    def host(self) -> str:
        """The API's host, for people and for names."""
        return self._exchange.host

    async def ask(
        self,
        full_name: str,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        etag: str | None = None,
    ) -> Answer:
        """Send one request about a repository ("" for none) and return its answer; a refused credential is renewed
        once, and raises CredentialRefused when that is of no use.
        """
        token = await self._auth.token(full_name)
        answer = await self._exchange.send(method, path, token, body, etag=etag)
        if not self._dialect.refuses_credential(answer):
            return answer
        fresh = await self._auth.renewed(full_name, token)
        if fresh is not None:
            answer = await self._exchange.send(method, path, fresh, body, etag=etag)
        if not self._dialect.refuses_credential(answer):
            return answer
        raise self._refused_credential(answer, full_name)

    async def read(self, full_name: str, path: str, doing: str) -> Answer:
        """A GET that is answered 200 with a JSON object. `doing` finishes "GitHub refused …"."""
        return await self._tried(lambda: self._read_once(full_name, path, doing, lambda answer: answer.fields))

    async def read_list(self, full_name: str, path: str, doing: str) -> Answer:
        """A GET that is answered 200 with a JSON list of objects."""
        return await self._tried(lambda: self._read_once(full_name, path, doing, lambda answer: answer.members))

    async def list_unless(self, full_name: str, path: str, doing: str, etag: str | None) -> Answer | None:
        """A JSON list of objects as `read_list` gives it; None where it is still what `etag` stands for (304)."""

        async def once() -> Answer:
            answer = await self.ask(full_name, "GET", path, etag=etag)
            if answer.status == 304 and etag is not None:
                return answer
            if answer.status != 200:
                raise self.failure(answer, doing)
            _ = answer.members  # raises for anything else
            return answer

        answer = await self._tried(once)
        return None if answer.status == 304 else answer

    async def look(self, full_name: str, path: str, doing: str) -> Answer:
        """A GET that may be answered 200 or 404 with any JSON, for the caller to tell apart."""

        async def once() -> Answer:
            answer = await self.ask(full_name, "GET", path)
            if answer.document is None or answer.status not in {200, 404}:
                raise self.failure(answer, doing)
            return answer

        return await self._tried(once)

    async def fetch(self, full_name: str, path: str, doing: str) -> Answer:
        """A GET that may be answered 200 with a file as it is, or 404 in JSON, for the caller to tell apart."""

        async def once() -> Answer:
            answer = await self.ask(full_name, "GET", path)
            is_page = answer.headers.get("content-type", "").startswith("text/html")
            if is_page or answer.status not in {200, 404} or (answer.status == 404 and answer.document is None):
                raise self.failure(answer, doing)
            return answer

        return await self._tried(once)

    async def compared(self, full_name: str, path: str, doing: str) -> Fields | None:
        """A comparison of two commits; None where one is gone, or where there is more to tell than may be read."""
        try:
            answer = await self.look(full_name, path, doing)
        except OversizedAnswer:
            return None
        return answer.fields if answer.status == 200 else None

    @asynccontextmanager
    async def archive(self, full_name: str, path: str, doing: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of an archive as they come, once it is known that an archive is coming: 200, and no page.

        Neither its size nor its time is bounded here, only the wait for each piece.
        """
        async with self._archive_opened(full_name, path) as download:
            if download.status == 404 and download.was_redirected:
                # The host that packs archives words it as it likes: GitHub's in plain text.
                raise Vanished(f"{self._dialect.forge} refused {doing}: there is no such commit to pack")
            if download.status != 200:
                raise self.failure(await download.answer(), doing)
            if download.media_type.startswith("text/") or download.media_type == "application/json":
                kind = shown(download.media_type)
                raise Unavailable(f"{self._dialect.forge} sent {kind} when asked {doing}: a page to log in?")
            yield download.chunks()

    def failure(self, answer: Answer, doing: str) -> CallError:
        """The error that an answer other than the hoped-for one stands for."""
        return self._dialect.failure_of(answer, doing, self._now())

    @asynccontextmanager
    async def _archive_opened(self, full_name: str, path: str) -> AsyncIterator[Download]:
        token = await self._auth.token(full_name)
        async with self._exchange.opened(path, token, ARCHIVE_PATIENCE) as download:
            if download.status != 401:
                yield download
                return
            refusal = await download.answer()
        fresh = await self._auth.renewed(full_name, token) if self._dialect.refuses_credential(refusal) else None
        if fresh is None:
            raise self._refused_credential(refusal, full_name)
        async with self._exchange.opened(path, fresh, ARCHIVE_PATIENCE) as download:
            yield download

    async def _tried(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        tries = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(READ_TRIES) | stop_after_delay(READ_TRIES_WITHIN),
            wait=wait_random_exponential(multiplier=self._retry_pause.total_seconds(), max=2),
            reraise=True,
        )

        async def awaited() -> Answer:  # tenacity awaits only what it sees to be a coroutine function
            return await once()

        return await tries(awaited)

    async def _read_once(self, full_name: str, path: str, doing: str, shape: Callable[[Answer], object]) -> Answer:
        answer = await self.ask(full_name, "GET", path)
        if answer.status != 200:
            raise self.failure(answer, doing)
        shape(answer)
        return answer

    def _refused_credential(self, answer: Answer, full_name: str) -> CallError:
        if not self._dialect.refuses_credential(answer):
            return self.failure(answer, f"the credential for {full_name or 'its user'}")
        return CredentialRefused(
            f"{self._dialect.forge} does not accept the credential for {full_name or 'its user'}"
            f" (wrong, expired or revoked): {self._dialect.words_of(answer)}"
        )


class UserBudget:
    """Whose write budget a token spends: its user's, asked once and remembered.

    `ask` gives the user's name. Two tokens of one user are one budget; a forge that does not say whose token it is gets
    "token:<host>". What may pass (a timeout, a 503) is not remembered: a status must not wait for what only paces it.
    """

    def __init__(self, ask: Callable[[], Awaitable[str]], host: str) -> None:
        self._ask = ask
        self._nameless = f"token:{host}"
        self._known: str | None = None
        self._asking = asyncio.Lock()

    async def name(self) -> str:
        """ "user:<login>" or "token:<host>". Raises Throttled, Unreachable and CredentialRefused."""
        async with self._asking:
            if self._known is None:
                self._known = await self._found()
            return self._known or self._nameless

    async def _found(self) -> str | None:
        try:
            return f"user:{await self._ask()}"
        except (Refused, Vanished):
            return self._nameless
        except (Unavailable, Unanswered):
            return None


def reading(read: Callable[[], _T], forge: str) -> _T:
    """What `read` finds in an answer's fields. Raises Unanswered naming the field that is missing or wrong."""
    try:
        return read()
    except BadPayload as error:
        raise Unanswered(f"{forge}'s answer makes no sense: {error}") from error


def sha_in(fields: Fields, key: str, forge: str) -> str:
    """An object id in an answer. Raises Unanswered for anything else."""
    sha = reading(lambda: fields.name(key), forge)
    if not is_sha(sha):
        raise Unanswered(f"{forge}'s answer makes no sense: {key} is {shown(sha)}")
    return sha


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, OversizedAnswer):
        return False
    return isinstance(error, Unreachable) or (isinstance(error, Unanswered) and not error.timed_out)
