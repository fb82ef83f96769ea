"""A Quay at the other end of an in-process transport that says what a test tells it to, and nothing more.

Every answer is used once and a call without one left fails the test, so "exactly one POST" needs no counting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from buildbot.ports import BuildOrder
from buildbot.registry.quay import QuayRegistry

URL = "https://quay.example.com"
TOKEN = "S3cretS3cretS3cretS3cretS3cretS3cretS3cr"
NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
REPOSITORY = "acme/app"
BUILD = "ccfa0b59-6888-45fb-8788-a8533c74fcef"
ORDER = BuildOrder(
    repository=REPOSITORY,
    archive_url="https://github.com/acme/app/archive/0123456789abcdef.tar.gz#b1.1",
    image_tags=("main", "sha-0123456"),
    context="/app-0123456789abcdef",
    dockerfile_path="/app-0123456789abcdef/docker/Dockerfile",
)


@dataclass(frozen=True)
class Said:
    """One answer, as the wire would bring it."""

    status: int
    body: str | bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> httpx.Response:
        return httpx.Response(
            self.status, headers={"Content-Type": self.content_type, **self.headers}, content=self.body
        )


Answer = Said | httpx.Response | Exception


@dataclass
class Wire:
    """What was asked, in order, and what is still to be answered."""

    answers: list[Answer]
    asked: list[httpx.Request] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        assert self.answers, f"a call too many: {request.method} {request.url}"
        match self.answers.pop(0):
            case Said() as said:
                return said.response()
            case httpx.Response() as response:
                return response
            case error:
                raise error


@asynccontextmanager
async def quay(
    *answers: Answer, url: str = URL, token: str = TOKEN, timeout: timedelta = timedelta(seconds=10)
) -> AsyncIterator[tuple[QuayRegistry, Wire]]:
    """A registry whose calls are answered by `answers`; all of them must have been used at the end."""
    wire = Wire(list(answers))
    async with httpx.AsyncClient(transport=httpx.MockTransport(wire.answer)) as client:
        yield (
            QuayRegistry(
                client, url=url, token=token, request_timeout=timeout, retry_pause=timedelta(), now=lambda: NOW
            ),
            wire,
        )
    assert not wire.answers, f"{len(wire.answers)} answers were not asked for"
