"""What goes wrong between a bot and GitHub: lost answers, errors, nonsense, outages, limits, slow replication.

A fault is planned by a test (or over HTTP, see `github_control`) and happens to the next requests that fit, then it is
used up; the site's own state is never at stake, only what the caller learns of it. "Lost after" is the important one:
GitHub did what was asked, and nobody was told.

A lost connection has to look lost in both ways this sandbox is used. Behind a server the answer breaks off in the
middle of its body, which a client reports as a protocol error. Mounted in process there is no connection to break, and
the application raises what the client's own network layer would. `FaultyNetwork` does the one and then the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, assert_never

import httpx
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from buildbot.sandbox.github_state import State

API_PATH = "/api/v3"
CONTROL_PATH = "/_sandbox"
NO_ANSWER = 0
_UNICORN = (
    "<!DOCTYPE html><html><head><title>Unicorn! · GitHub</title></head><body>No server is available.</body></html>"
)
_NONSENSE = "<!DOCTYPE html><html><body><h1>Welcome to the guest network</h1>Please accept the terms.</body></html>"


class FaultKind(StrEnum):
    """How an answer goes wrong."""

    LOST_BEFORE = "lost before"
    LOST_AFTER = "lost after"
    ERROR = "error"
    NONSENSE = "nonsense"


@dataclass(slots=True)
class Fault:
    """What is to happen to the next `times` requests whose "METHOD /path" contains `on`."""

    kind: FaultKind
    times: int
    on: str
    status: int = 502


class Exchange(NamedTuple):
    """One request and the status code its sender saw; `NO_ANSWER` (0) if none. API paths are without `/api/v3`."""

    method: str
    path: str
    status: int


class Faults:
    """The switches. Planned faults are used up in the order they were planned, the first that fits a request counts."""

    def __init__(self, state: State, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self.is_down = False
        self.delay_seconds = 0.0
        self.sleep = sleep
        self._state = state
        self._planned: list[Fault] = []

    def lose(self, times: int = 1, *, after: bool = False, on: str = "") -> None:
        """Drop the connection of the next requests, `after` doing what they ask or without doing it."""
        self._plan(Fault(FaultKind.LOST_AFTER if after else FaultKind.LOST_BEFORE, times, on))

    def fail(self, status: int = 502, times: int = 1, *, on: str = "") -> None:
        """Answer the next requests with an error page of that status and do nothing."""
        self._plan(Fault(FaultKind.ERROR, times, on, status))

    def nonsense(self, times: int = 1, *, on: str = "") -> None:
        """Answer the next requests with 200 and HTML that is not GitHub's, as captive portals and proxies do."""
        self._plan(Fault(FaultKind.NONSENSE, times, on))

    def down(self) -> None:
        """Be unreachable until `up`; in process a refused connection, behind a server a broken one."""
        self.is_down = True

    def up(self) -> None:
        """Be reachable again."""
        self.is_down = False

    def slow(self, seconds: float) -> None:
        """Wait that long before every answer; 0 is quick again."""
        self.delay_seconds = seconds

    def use_up_rate_limit(self, caller: str) -> None:
        """The caller (a login, or an installation's id) has used up its hour; the sandbox's clock brings the next."""
        self._state.limits.use_up(caller, self._state.now())

    def secondary_limit(self, times: int = 1, status: int = 403, retry_after: int | None = None) -> None:
        """The next calls of the API meet the secondary limit: 403 or 429, with `retry-after` (seconds) or without."""
        limits = self._state.limits
        limits.secondary_calls, limits.secondary_status, limits.retry_after = times, status, retry_after

    def unreplicated(self, repository: str, times: int = 1) -> None:
        """For the next statuses on the repository GitHub knows of no such commit, as straight after a push."""
        found = self._state.find(repository)
        if found is None:
            raise LookupError(f"the sandbox GitHub has no repository {repository}; add it first")
        found.unreplicated_calls = times

    def revoke(self, token: str) -> None:
        """The token is a bad credential from now on."""
        self._state.accounts.revoke(token)

    def clear(self) -> None:
        """Forget every planned fault and be up and quick; used-up limits and revoked tokens stay so."""
        self._planned.clear()
        self.is_down, self.delay_seconds = False, 0.0
        self._state.limits.secondary_calls = 0
        for repository in self._state.repositories.values():
            repository.unreplicated_calls = 0

    def take(self, request_line: str) -> Fault | None:
        """The fault that befalls this request, used up by one."""
        found = next((one for one in self._planned if one.on in request_line), None)
        if found is not None:
            found.times -= 1
            self._planned = [one for one in self._planned if one.times > 0]
        return found

    def _plan(self, fault: Fault) -> None:
        if fault.times > 0:
            self._planned.append(fault)


class FaultyNetwork:
    """ASGI middleware: lets the planned faults happen, and writes down every exchange but the sandbox's own control."""

    def __init__(self, app: ASGIApp, faults: Faults, exchanges: list[Exchange]) -> None:
        self.app = app
        self._faults = faults
        self._exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PATH):
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"].removeprefix(API_PATH)
        status = NO_ANSWER

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._serve(f"{method} {path}", scope, receive, noting)
        except httpx.TransportError:
            status = NO_ANSWER
            raise
        finally:
            self._exchanges.append(Exchange(method, path, status))

    async def _serve(self, request_line: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self._faults.is_down:
            await _break_off(send, httpx.ConnectError("the sandbox GitHub is down"))
        if self._faults.delay_seconds:
            await self._faults.sleep(self._faults.delay_seconds)
        fault = self._faults.take(request_line)
        if fault is None:
            await self.app(scope, receive, send)
        else:
            await self._spoil(fault, scope, receive, send)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        lost = httpx.ReadError("the sandbox GitHub lost the connection, as it was told to")
        match fault.kind:
            case FaultKind.LOST_BEFORE:
                await _break_off(send, lost)
            case FaultKind.LOST_AFTER:
                await self.app(scope, receive, _to_nobody)
                await _break_off(send, lost)
            case FaultKind.ERROR:
                await HTMLResponse(_UNICORN, fault.status)(scope, receive, send)
            case FaultKind.NONSENSE:
                await HTMLResponse(_NONSENSE)(scope, receive, send)
            case _:
                assert_never(fault.kind)


async def _break_off(send: Send, error: httpx.TransportError) -> None:
    # One byte is promised and never comes: a server can then only close the connection.
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    raise error


async def _to_nobody(_message: Message) -> None:
    return
