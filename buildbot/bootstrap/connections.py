"""The HTTP client for all calls, and whose connection each call takes.

httpx's own pool goes over all its connections for every request and once more for every answer, and asks the system of
each idle one whether it is still open. That is 0.7 ms of processor time a call where twenty connections are in use, and
9 ms with a hundred: a burst of pushes would spend more on looking for a connection than on all else. So here every
connection is a transport of httpx's with room for just one, and what is free lies on a stack for each host. TLS, HTTP,
a connection that the other side has closed meanwhile, and every error stay httpx's affair.

What is used last is used next, so those that only a burst needed grow cold and are closed. Each host has its own
number of places: one that does not answer takes none from the others.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.request import getproxies

import httpx

MOST_CONNECTIONS = 100
"""To one host, as of most HTTP clients; whoever comes then waits."""
KEPT_SECONDS = 5.0
"""How long a free connection is kept, as httpx has it: servers close theirs, too, some after a few seconds, and a call
that meets such an end may have been taken or not."""
THROUGH_PROXY = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=20)


def open_client() -> httpx.AsyncClient:
    """The HTTP client for all calls; redirects are each adapter's own affair, since credentials must not leave a
    host. Where the environment names a proxy (`HTTPS_PROXY`), it is httpx's own, which knows the way through it."""
    if getproxies().keys() & {"http", "https", "all"}:
        return httpx.AsyncClient(limits=THROUGH_PROXY, follow_redirects=False)
    return httpx.AsyncClient(transport=Connections(), follow_redirects=False)


class Connections(httpx.AsyncBaseTransport):
    """Every request goes over a free connection to its host, or a new one."""

    def __init__(self, most: int = MOST_CONNECTIONS, kept_seconds: float = KEPT_SECONDS) -> None:
        self._ssl = httpx.create_ssl_context()
        self._most = most
        self._kept_seconds = kept_seconds
        self._hosts: dict[tuple[str, str, int | None], _Host] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises what httpx raises, PoolTimeout where all connections stay in use for too long."""
        host = self._hosts.setdefault(_origin(request.url), _Host(asyncio.Semaphore(self._most)))
        await host.take_place(request.extensions.get("timeout", {}).get("pool"))
        try:
            await host.close_the_cold(time.monotonic() - self._kept_seconds)
            connection = host.free.pop().connection if host.free else self._opened()
        except BaseException:
            host.places.release()
            raise
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await host.lose(connection)
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an answer that cannot be read piece by piece")
        response.stream = _Body(response.stream, connection, host)
        return response

    async def aclose(self) -> None:
        """Close what is free; what is still in use is closed when it is given back."""
        for host in self._hosts.values():
            host.is_closed = True
            await host.close_the_cold(math.inf)

    def _opened(self) -> httpx.AsyncHTTPTransport:
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=self._kept_seconds)
        return httpx.AsyncHTTPTransport(verify=self._ssl, limits=one)


@dataclass(frozen=True, slots=True)
class _Free:
    connection: httpx.AsyncHTTPTransport
    since: float


@dataclass(slots=True)
class _Host:
    """The connections to one host: `free` has the one that was used last at its end."""

    places: asyncio.Semaphore
    free: deque[_Free] = field(default_factory=deque)
    is_closed: bool = False

    async def take_place(self, patience: float | None) -> None:
        if not self.places.locked():
            await self.places.acquire()  # without a timer, which costs more than all of this
            return
        try:
            async with asyncio.timeout(patience):
                await self.places.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("all connections are in use") from error

    async def close_the_cold(self, used_before: float) -> None:
        while self.free and self.free[0].since < used_before:
            await self.free.popleft().connection.aclose()

    async def give_back(self, connection: httpx.AsyncHTTPTransport) -> None:
        if self.is_closed:
            await self.lose(connection)
            return
        self.free.append(_Free(connection, time.monotonic()))
        self.places.release()

    async def lose(self, connection: httpx.AsyncHTTPTransport) -> None:
        try:
            await connection.aclose()
        finally:
            self.places.release()


class _Body(httpx.AsyncByteStream):
    """An answer's body; its connection is free again once it is closed."""

    def __init__(self, body: httpx.AsyncByteStream, connection: httpx.AsyncHTTPTransport, host: _Host) -> None:
        self._body = body
        self._connection = connection
        self._host = host
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            yield piece

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._body.aclose()
        except BaseException:
            await self._host.lose(self._connection)
            raise
        await self._host.give_back(self._connection)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
