"""What goes wrong between a bot and a forge: lost answers, errors, nonsense, outages.

A fault is planned by a test and happens to the next requests that fit, then it is used up; the site's own state is
never at stake, only what the caller learns of it. "Lost after" is the important one: the forge did what was asked, and
nobody was told.

A lost connection has to look lost in both ways the sandboxes are used. Behind a server the answer breaks off in the
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

CONTROL_PATH = "/_sandbox"
NO_ANSWER = 0
_ERROR_PAGE = "<!DOCTYPE html><html><head><title>Error</title></head><body>Please try again.</body></html>"
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
    """One request and the status code its sender saw; `NO_ANSWER` (0) if none. API paths are without the API's own."""

    method: str
    path: str
    status: int


class Faults:
    """The switches. Planned faults are used up in the order they were planned, the first that fits a request counts."""

    def __init__(
        self,
        forge: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        error_page: str = _ERROR_PAGE,
    ) -> None:
        """`forge` is what the sandbox is called in errors, `error_page` its HTML when it fails."""
        self.forge = forge
        self.error_page = error_page
        self.is_down = False
        self.delay_seconds = 0.0
        self.sleep = sleep
        self._planned: list[Fault] = []

    def lose(self, times: int = 1, *, after: bool = False, on: str = "") -> None:
        """Drop the connection of the next requests, `after` doing what they ask or without doing it."""
        self._plan(Fault(FaultKind.LOST_AFTER if after else FaultKind.LOST_BEFORE, times, on))

    def fail(self, status: int = 502, times: int = 1, *, on: str = "") -> None:
        """Answer the next requests with an error page of that status and do nothing."""
        self._plan(Fault(FaultKind.ERROR, times, on, status))

    def nonsense(self, times: int = 1, *, on: str = "") -> None:
        """Answer the next requests with 200 and HTML that is not the forge's, as captive portals and proxies do."""
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

    def clear(self) -> None:
        """Forget every planned fault and be up and quick."""
        self._planned.clear()
        self.is_down, self.delay_seconds = False, 0.0

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

    def __init__(self, app: ASGIApp, faults: Faults, exchanges: list[Exchange], api_path: str) -> None:
        self.app = app
        self._faults = faults
        self._exchanges = exchanges
        self._api_path = api_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PATH):
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"].removeprefix(self._api_path)
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
            await _break_off(send, httpx.ConnectError(f"the sandbox {self._faults.forge} is down"))
        if self._faults.delay_seconds:
            await self._faults.sleep(self._faults.delay_seconds)
        fault = self._faults.take(request_line)
        if fault is None:
            await self.app(scope, receive, send)
        else:
            await self._spoil(fault, scope, receive, send)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        lost = httpx.ReadError(f"the sandbox {self._faults.forge} lost the connection, as it was told to")
        match fault.kind:
            case FaultKind.LOST_BEFORE:
                await _break_off(send, lost)
            case FaultKind.LOST_AFTER:
                await self.app(scope, receive, _to_nobody)
                await _break_off(send, lost)
            case FaultKind.ERROR:
                await HTMLResponse(self._faults.error_page, fault.status)(scope, receive, send)
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
