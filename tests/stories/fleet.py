"""Several instances of the real program over one database, and the round-robin that a load balancer is.

The round-robin is as plain as one can be: the next instance in turn, the one after it where nobody listens, 503 where
nobody does at all, 504 where one takes the request and says nothing. It never asks twice, for a delivery that may have
been recorded is the forge's to send again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from tests.stories.program import Program, assert_keeps_its_secrets, configure, port_to_keep
from tests.stories.world import World

PATIENCE_SECONDS = 8.0
PASSED_ON = ("content-type", "x-github-event", "x-github-delivery", "x-hub-signature-256", "user-agent")


@dataclass
class Instance(Program):
    """One of them, with an address and a configuration file of its own."""

    url: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def shares(self) -> list[int]:
        """Among how many the budgets were divided, each time that changed."""
        return [line["instances"] for line in self.told("budgets shared")]


def new_fleet(world: World, count: int) -> list[Instance]:
    """So many instances, none of them started."""
    configure(world)
    return [_new_instance(world, number) for number in range(count)]


def _new_instance(world: World, number: int) -> Instance:
    address = f"127.0.0.1:{port_to_keep()}"
    file = world.folder / f"instance-{number}.toml"
    file.write_text(world.config_file.read_text().replace(world.setting.listen, address))
    return Instance(world, url=f"http://{address}", arguments=("-c", str(file)))


@asynccontextmanager
async def instances(world: World, count: int = 2) -> AsyncIterator[list[Instance]]:
    """So many, all running; killed at the end."""
    started: list[Instance] = []
    try:
        for one in new_fleet(world, count):
            started.append(one)
            await one.start(*one.arguments)
        yield started
    finally:
        for one in started:
            await one.kill()
            assert_keeps_its_secrets(one.lines, world.environ)


@dataclass
class RoundRobin:
    """ASGI: passes each delivery on to the next of `urls`."""

    client: httpx.AsyncClient
    urls: Sequence[str] = ()
    _turn: int = field(default=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answer = await self._passed_on(Request(scope, receive))
        await answer(scope, receive, send)

    async def _passed_on(self, request: Request) -> Response:
        body = await request.body()
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        for url in self._in_turn():
            try:
                answer = await self.client.post(
                    f"{url}{request.url.path}", content=body, headers=headers, timeout=PATIENCE_SECONDS
                )
            except httpx.ConnectError:
                continue
            except httpx.TransportError as lost:
                return PlainTextResponse(f"no answer: {type(lost).__name__}", 504)
            return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
        return PlainTextResponse("nobody listens", 503)

    def _in_turn(self) -> list[str]:
        self._turn += 1
        first = self._turn % max(len(self.urls), 1)
        return [*self.urls[first:], *self.urls[:first]]
