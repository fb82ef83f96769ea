"""The quick Quay and GitHub as a process: HTTP by hand over sockets, each answer after `--latency` seconds.

`GET /facts` tells what happened so far, by the wall's clock, which all processes of one machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import httptools
import uvloop

from tests.benchmarks.remote import Course, Facts, Remote


class Exchange(asyncio.Protocol):
    """One connection, a request at a time."""

    def __init__(self, remote: Remote, latency: float) -> None:
        self._remote = remote
        self._latency = latency
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._body = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """The parser has the request's target."""
        self._target += url

    def on_body(self, body: bytes) -> None:
        """The parser has a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The request is whole."""
        method, target, body = self._parser.get_method().decode(), self._target.decode(), bytes(self._body)
        self._target, self._body = b"", bytearray()
        # Half the latency is the way there: the other side acts in the middle.
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency / 2, self._act, method, target, body)
        else:
            self._act(method, target, body)

    def _act(self, method: str, target: str, body: bytes) -> None:
        status, answer = self._remote.answer(method, target, body, time.time())
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency / 2, self._write, status, answer)
        else:
            self._write(status, answer)

    def _write(self, status: int, answer: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        self._transport.write(head.encode() + answer)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remote process listens."""

    port: int

    @property
    def url(self) -> str:
        """Its address, Quay's and the GitHub API's alike."""
        return f"http://127.0.0.1:{self.port}"

    async def facts(self) -> Facts:
        """What happened so far."""
        told: dict[str, Any] = json.loads(await self._get("/facts"))
        told["statuses"] = [tuple(one) for one in told["statuses"]]
        return Facts(**told)

    async def reset(self) -> None:
        """Forget everything."""
        await self._get("/reset")

    async def _get(self, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].split()[0])
            return await reader.readexactly(length)
        finally:
            writer.close()


async def serve(port: int, remote: Remote, latency: float) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(partial(Exchange, remote, latency), "127.0.0.1", port)
    await server.serve_forever()


def _ending(asked: list[float] | None) -> tuple[int, float, float] | None:
    return None if asked is None else (int(asked[0]), asked[1], asked[2])


def main() -> None:
    """`python -m tests.benchmarks.remote_process PORT …`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--queued", type=float, nargs=2, default=(0.5, 2.0))
    parser.add_argument("--building", type=float, nargs=2, default=(9.0, 15.0))
    parser.add_argument(
        "--ending", type=float, nargs=3, help="every n-th build ends so many seconds after, spread over"
    )
    asked = parser.parse_args()
    course = Course(queued=tuple(asked.queued), building=tuple(asked.building), ending=_ending(asked.ending))
    uvloop.run(serve(asked.port, Remote(course), asked.latency))


if __name__ == "__main__":
    main()
