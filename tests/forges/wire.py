"""A forge at the other end of the wire that answers as scripted and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SHA = "6fe4cf6bdee23d427228ccac175e288c07c1c95f"
TAG = "5b1e7c0e0c1e7f2d3a4b5c6d7e8f90123456789a"

Answering = Callable[[httpx.Request], httpx.Response] | httpx.Response | Exception


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    """JSON with a status; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={} if body is None else body, headers=named)


def page(status: int, text: str = "<html>hello</html>", **headers: str) -> httpx.Response:
    """A page for people, as proxies send."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, text=text, headers={"content-type": "text/html"} | named)


@dataclass
class Wire:
    """Answers in order; one answer too few or too many is a failure of the test."""

    answers: list[Answering]
    api_path: str = ""
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert self.answers, f"not scripted: {request.method} {request.url}"
        following = self.answers.pop(0)
        await asyncio.sleep(0)  # as on a real wire, others go on while this one waits
        if isinstance(following, Exception):
            raise following
        return following if isinstance(following, httpx.Response) else following(request)

    @property
    def asked(self) -> list[str]:
        """The requests as "METHOD /path", as they were on the wire, without the API's own path."""
        return [f"{r.method} {r.url.raw_path.decode().removeprefix(self.api_path)}" for r in self.requests]

    @property
    def tokens(self) -> list[str]:
        """The tokens that came along."""
        carried = [r.headers.get("private-token") or r.headers["authorization"] for r in self.requests]
        return [text.removeprefix("Bearer ").removeprefix("token ") for text in carried]

    def body(self, index: int = -1) -> dict[str, Any]:
        """The JSON of a request."""
        decoded: dict[str, Any] = json.loads(self.requests[index].content)
        return decoded


@asynccontextmanager
async def wired(*answers: Answering, api_path: str = "") -> AsyncIterator[tuple[httpx.AsyncClient, Wire]]:
    """A client whose other end is a `Wire`; at the end every answer must have been used."""
    wire = Wire(list(answers), api_path)
    async with httpx.AsyncClient(transport=httpx.MockTransport(wire)) as client:
        yield client, wire
    assert not wire.answers, f"{len(wire.answers)} answers were not asked for; asked: {wire.asked}"
