"""One request to GitHub's REST API and its answer, whatever it says; what an answer means is decided elsewhere.

What this guarantees:

- A request ends within `request_timeout`, redirects included (httpx counts per read, so a slow drip would never end).
  To connect, and to wait for a free connection, may take a quarter of it each: what the whole timeout ends was sent.
- A renamed or moved repository answers 301, 307 or 308, and the request is repeated there as it was, with its method
  and body, at most three times. httpx would make a redirected POST a GET, and read statuses instead of posting one.
- The token goes to the configured origin and nowhere else: only the path of a `Location` on the same host is used.
- Nothing of httpx comes out: a failed exchange is one of the ports' errors. Cookies are not kept, and a token that an
  error page repeats is blotted out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import httpx

from buildbot.forges.fields import Fields, shown
from buildbot.ports import CallError, Refused, Unanswered, Unreachable

REDIRECTS = frozenset({301, 307, 308})
MOST_HOPS = 3
LARGEST_ANSWER = 8_000_000
SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read whole. `document` is its JSON, None when it is not JSON; `path` is where it was finally found."""

    status: int
    headers: Mapping[str, str]
    document: object
    path: str

    @property
    def fields(self) -> Fields:
        """The JSON object. Raises Unanswered for anything else: a proxy's page with a 200, a list."""
        if not isinstance(self.document, dict):
            kind = shown(self.headers.get("content-type", "nothing"))
            raise Unanswered(f"GitHub answered {self.status} with {kind}, not with a JSON object: is `api_url` right?")
        return Fields(self.document)


class Exchange:
    """Requests to one API with one client, which is the caller's, who also closes it."""

    def __init__(self, client: httpx.AsyncClient, *, api_url: str, request_timeout: timedelta) -> None:
        self._client = client
        self._api_url = httpx.URL(api_url.rstrip("/")).copy_with(userinfo=b"", query=None, fragment=None)
        self._seconds = request_timeout.total_seconds()

    @property
    def host(self) -> str:
        """The API's host, for people and for names."""
        return self._api_url.host

    async def send(self, method: str, path: str, token: str, body: Mapping[str, object] | None = None) -> Answer:
        """Send one request, redirects followed by hand, and return whatever is answered.

        Raises Unreachable (nothing was sent), Unanswered (it may have been), and Refused for a redirect elsewhere.
        """
        url = httpx.URL(str(self._api_url).rstrip("/") + path)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._followed(method, url, token, body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _transport_failure(error, self.host) from error
        except TimeoutError as error:
            raise Unanswered(f"{self.host} did not answer in time", timed_out=True) from error

    async def _followed(self, method: str, url: httpx.URL, token: str, body: Mapping[str, object] | None) -> Answer:
        for _ in range(MOST_HOPS + 1):
            answer = await self._once(method, url, token, body)
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

    async def _once(self, method: str, url: httpx.URL, token: str, body: Mapping[str, object] | None) -> Answer:
        request = self._client.build_request(
            method,
            url,
            headers=_headers(token),
            content=None if body is None else json.dumps(body).encode(),
            timeout=httpx.Timeout(self._seconds, connect=self._seconds / 4, pool=self._seconds / 4),
        )
        request.headers.pop("Cookie", None)
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            text = await _whole(response)
        finally:
            await response.aclose()
        document = _decoded(text if response.is_success else _without(token, text))
        return Answer(response.status_code, response.headers, document, url.path)


def user_agent() -> str:
    """What the bot calls itself; GitHub refuses requests without it."""
    try:
        return f"quay-buildbot/{version('quay-buildbot')}"
    except PackageNotFoundError:
        return "quay-buildbot"


def _headers(token: str) -> dict[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "User-Agent": user_agent(),
    }


async def _whole(response: httpx.Response) -> bytes:
    text = bytearray()
    async for chunk in response.aiter_bytes():
        text += chunk
        if len(text) > LARGEST_ANSWER:
            raise Unanswered(f"GitHub's answer is larger than {LARGEST_ANSWER // 1_000_000} MB")
    return bytes(text)


def _without(token: str, text: bytes) -> bytes:
    # No token of GitHub's is this short, and a shorter text may be part of a word that means something.
    return text.replace(token.encode(), b"***") if len(token) >= SHORTEST_SECRET else text


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
