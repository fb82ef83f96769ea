"""Losing an answer: the connection breaks and the client never learns what became of its request.

`Wire` stands before the whole application, because only there is the server's own `send` at hand. Under uvicorn the
connection is cut without a byte; under `httpx.ASGITransport`, where there is none, the transport error that httpx would
raise is raised, so client code meets the same exceptions in process and over sockets. Another server would answer 500.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCOPE_KEY = "quay.connection"


@dataclass(slots=True)
class Connection:
    """What the application says of the connection of its request; `broken` holds the client's view of why."""

    broken: type[httpx.TransportError] | None = None


class Wire:
    """An ASGI application that can break the connection of another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = scope[SCOPE_KEY] = Connection()

        async def send_unless_broken(message: Message) -> None:
            if connection.broken is None:
                await send(message)

        await self._app(scope, receive, send_unless_broken)
        if connection.broken is not None:
            await _break(connection.broken, receive, send)


async def _break(error: type[httpx.TransportError], receive: Receive, send: Send) -> None:
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise error("the sandbox's Quay gave no answer")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
