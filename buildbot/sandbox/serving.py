"""Serving an application on loopback for as long as a block lasts: what the demo and the stories stand on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"


class _Server(uvicorn.Server):
    """uvicorn without its signals: several of them share one process, which has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listen(port: int = 0) -> socket.socket:
    """A socket on loopback to serve on; `port` 0 is any free one."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((LOOPBACK, port))
    return listening


def url_of(listening: socket.socket) -> str:
    """Where the socket is reached, without a slash at the end."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, *, listening: socket.socket | None = None, lifespan: bool = False
) -> AsyncIterator[str]:
    """Serve on loopback while the block lasts; gives the URL. Without a socket any free port is taken."""
    listening = listening or listen()
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on" if lifespan else "off",
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await _until_started(server, running)
        yield url_of(listening)
    finally:
        server.should_exit = True
        await running


async def _until_started(server: uvicorn.Server, running: asyncio.Task[None]) -> None:
    while not server.started:
        if running.done():
            await running
            raise RuntimeError("the server ended before it had begun")
        await asyncio.sleep(0.005)
