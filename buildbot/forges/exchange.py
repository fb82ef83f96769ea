"""One request to a forge's REST API and its answer, whatever it says; what an answer means is decided elsewhere.

What this guarantees, for every forge alike:

- A request ends within `request_timeout`, redirects included (httpx counts per read, so a slow drip would never end).
  To connect, and to wait for a free connection, may take a quarter of it each: what the whole timeout ends was sent.
- A renamed or moved repository answers 301, 307 or 308, and the request is repeated there as it was, with its method
  and body, at most three times. httpx would make a redirected POST a GET, and read statuses instead of posting one.
- The credential goes to the configured origin and nowhere else: only the path of a `Location` on the same host is
  used. A download (`opened`) may be redirected to the host that packs archives, and goes there without it.
- Nothing of httpx comes out: a failed exchange is one of the ports' errors. Cookies are not kept, and a token that an
  error page repeats is blotted out.

How a credential becomes headers, what the forge is called and how its refusals are read is its `Dialect`.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import httpx

from buildbot.forges.fields import Fields, shown
from buildbot.ports import CallError, Refused, Unanswered, Unreachable

REDIRECTS = frozenset({301, 307, 308})
DOWNLOAD_REDIRECTS = REDIRECTS | {302, 303}
MOST_HOPS = 3
LARGEST_ANSWER = 8_000_000
SHORTEST_SECRET = 16


class OversizedAnswer(Unanswered):
    """More than `LARGEST_ANSWER` came, and would come again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read whole. `document` is its JSON, None when it is not JSON; `path` is where it was finally found.

    `forge` is what the forge is called in errors, `content` what came.
    """

    status: int
    headers: Mapping[str, str]
    document: object
    path: str
    forge: str
    content: bytes = field(default=b"", repr=False)

    @property
    def fields(self) -> Fields:
        """The JSON object. Raises Unanswered for anything else: a proxy's page with a 200, a list."""
        if not isinstance(self.document, dict):
            raise self._nonsense("object")
        return Fields(self.document)

    @property
    def members(self) -> list[Fields]:
        """The objects of a JSON list. Raises Unanswered for anything else."""
        if not isinstance(self.document, list) or not all(isinstance(one, dict) for one in self.document):
            raise self._nonsense("list of objects")
        return [Fields(one, f"{index}.") for index, one in enumerate(self.document)]

    def _nonsense(self, hoped_for: str) -> Unanswered:
        kind = shown(self.headers.get("content-type", "nothing"))
        return Unanswered(
            f"{self.forge} answered {self.status} with {kind}, not with a JSON {hoped_for}: is `api_url` right?"
        )


def is_unauthorized(answer: Answer) -> bool:
    """A 401 of the API itself (a page with a 401 is a proxy's): at most forges it means the credential as a whole."""
    return answer.status == 401 and isinstance(answer.document, dict)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of forge is spoken to.

    `forge` is its name for people, `headers(token)` are those that carry a token, `words_of(answer)` is the reason that
    a refusal gives in one line, and `failure_of(answer, doing, now)` is the error that an answer other than the
    hoped-for one stands for, where `doing` finishes "GitHub refused …". `refuses_credential(answer)` tells that the
    credential is of no use at all, which a forge may say otherwise than by 401.
    """

    forge: str
    headers: Callable[[str], Mapping[str, str]]
    words_of: Callable[[Answer], str]
    failure_of: Callable[[Answer, str, datetime], CallError]
    refuses_credential: Callable[[Answer], bool] = is_unauthorized


class Exchange:
    """Requests to one API with one client, which is the caller's, who also closes it."""

    def __init__(
        self, client: httpx.AsyncClient, dialect: Dialect, *, api_url: str, request_timeout: timedelta
    ) -> None:
        self._client = client
        self._dialect = dialect
        self._api_url = httpx.URL(api_url.rstrip("/")).copy_with(userinfo=b"", query=None, fragment=None)
        self._seconds = request_timeout.total_seconds()

    @property
    def host(self) -> str:
        """The API's host, for people and for names."""
        return self._api_url.host

    async def send(
        self, method: str, path: str, token: str, body: Mapping[str, object] | None = None, *, etag: str | None = None
    ) -> Answer:
        """Send one request, redirects followed by hand, and return whatever is answered.

        `path` starts with "/", is percent-encoded and may have a query. With an `etag` the answer may be 304. Raises
        Unreachable (nothing was sent), Unanswered (it may have been), and Refused for a redirect elsewhere.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._followed(method, self._url(path), token, body, etag)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _transport_failure(error, self.host) from error
        except TimeoutError as error:
            raise Unanswered(f"{self.host} did not answer in time", timed_out=True) from error

    @asynccontextmanager
    async def opened(self, path: str, token: str, patience: timedelta) -> AsyncIterator[Download]:
        """A GET whose body is not read yet, redirects followed: to another host without the credential.

        `patience` bounds the wait for the answer and for each piece of it; the whole may take as long as it takes, and
        be as large, so those two are the caller's to bound. Raises as `send` does, Refused only for a redirect out of
        https; an error of the network while the body is read is raised by its iterator.
        """
        url = self._url(path)
        response = await self._download(url, token, patience)
        try:
            yield Download(response, token, self._dialect.forge, was_redirected=response.request.url != url)
        finally:
            await response.aclose()

    async def _download(self, url: httpx.URL, token: str, patience: timedelta) -> httpx.Response:
        try:
            async with asyncio.timeout(patience.total_seconds()):
                return await self._download_followed(url, token, patience)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _transport_failure(error, self.host) from error
        except TimeoutError as error:
            raise Unanswered(f"{self.host} did not start to send in time", timed_out=True) from error

    async def _download_followed(self, url: httpx.URL, token: str, patience: timedelta) -> httpx.Response:
        for _ in range(MOST_HOPS + 1):
            headers = self._dialect.headers(token) if self._is_own(url) else {"User-Agent": user_agent()}
            request = self._request("GET", url, {**headers, "Accept": "*/*", "Accept-Encoding": "identity"}, None)
            request.extensions["timeout"] |= {"read": patience.total_seconds()}
            response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
            if response.status_code not in DOWNLOAD_REDIRECTS:
                return response
            await response.aclose()
            url = self._download_target(url, response.headers.get("location", ""))
        raise Unanswered(f"{self.host} redirects more than {MOST_HOPS} times")

    def _download_target(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)
        if target.scheme not in {"http", "https"} or (url.scheme, target.scheme) == ("https", "http"):
            raise Refused(f"{url.host} redirects to {shown(str(target.copy_with(query=None)))}, which is not safe")
        return target.copy_with(userinfo=b"")

    def _is_own(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._api_url.scheme, self._api_url.host, self._api_url.port)

    def _url(self, path: str) -> httpx.URL:
        return httpx.URL(str(self._api_url).rstrip("/") + path)

    async def _followed(
        self, method: str, url: httpx.URL, token: str, body: Mapping[str, object] | None, etag: str | None
    ) -> Answer:
        for _ in range(MOST_HOPS + 1):
            answer = await self._once(method, url, token, body, etag)
            if answer.status not in REDIRECTS:
                return answer
            url = self._own_target(url, answer.headers.get("location", ""))
        raise Unanswered(f"{self.host} redirects more than {MOST_HOPS} times")

    def _own_target(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)
        if target.host != self.host:
            raise Refused(
                f"{self.host} redirects to {shown(target.host)}, and the token stays here: is `api_url` right?"
            )
        # A proxy that ends TLS may have made it http: only the path is taken.
        return self._api_url.copy_with(raw_path=target.raw_path)

    async def _once(
        self, method: str, url: httpx.URL, token: str, body: Mapping[str, object] | None, etag: str | None
    ) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": user_agent(), **self._dialect.headers(token)}
        if etag is not None:
            headers["If-None-Match"] = etag
        request = self._request(method, url, headers, None if body is None else json.dumps(body).encode())
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            return await _read(response, token, self._dialect.forge)
        finally:
            await response.aclose()

    def _request(self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None) -> httpx.Request:
        limits = httpx.Timeout(self._seconds, connect=self._seconds / 4, pool=self._seconds / 4)
        request = self._client.build_request(method, url, headers=dict(headers), content=content, timeout=limits)
        request.headers.pop("Cookie", None)
        return request


class Download:
    """An answer whose body is still on its way: look at `status` first, then read either `chunks` or `answer`.

    `was_redirected`: it comes from elsewhere than was asked, so not from the API, which had no objection.
    """

    def __init__(self, response: httpx.Response, token: str, forge: str, *, was_redirected: bool) -> None:
        self.was_redirected = was_redirected
        self._response = response
        self._token = token
        self._forge = forge

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def media_type(self) -> str:
        """The content type without its parameters, lower case; "" where none is told."""
        told: str = self._response.headers.get("content-type", "")
        return told.partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it is sent, in pieces. Raises Unanswered where it breaks off."""
        host = self._response.request.url.host
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise _transport_failure(error, host) from error

    async def answer(self) -> Answer:
        """The body read whole, as that of any other answer, for finding out what it refuses."""
        try:
            return await _read(self._response, self._token, self._forge)
        except httpx.HTTPError as error:
            raise _transport_failure(error, self._response.request.url.host) from error


@cache
def user_agent() -> str:
    """What the bot calls itself; GitHub refuses requests without it."""
    try:
        return f"quay-buildbot/{version('quay-buildbot')}"
    except PackageNotFoundError:
        return "quay-buildbot"


async def _read(response: httpx.Response, token: str, forge: str) -> Answer:
    text = await _whole(response, forge)
    text = text if response.is_success else _without(token, text)
    return Answer(response.status_code, response.headers, _decoded(text), response.request.url.path, forge, text)


async def _whole(response: httpx.Response, forge: str) -> bytes:
    text = bytearray()
    async for chunk in response.aiter_bytes():
        text += chunk
        if len(text) > LARGEST_ANSWER:
            raise OversizedAnswer(f"{forge}'s answer is larger than {LARGEST_ANSWER // 1_000_000} MB")
    return bytes(text)


def _without(token: str, text: bytes) -> bytes:
    # A token with its account ("ada:secret") may come back whole, without it, or as the Basic credential it makes.
    for spelled in (b64encode(token.encode()), token.encode(), token.rpartition(":")[2].encode()):
        # No forge's token is this short, and a shorter text may be part of a word that means something.
        text = text.replace(spelled, b"***") if len(spelled) >= SHORTEST_SECRET else text
    return text


def _decoded(text: bytes) -> object:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document


def _transport_failure(error: httpx.HTTPError | httpx.InvalidURL, host: str) -> CallError:
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError() | httpx.UnsupportedProtocol():
            return Unreachable(f"cannot reach {host}: {str(error) or 'no connection in time'}")
        case httpx.PoolTimeout():
            return Unreachable(f"no free connection to {host} in time")
        case httpx.TimeoutException():
            return Unanswered(f"{host} did not answer in time", timed_out=True)
        case _:
            return Unanswered(f"the connection to {host} broke before the answer ({type(error).__name__})")
