"""Both sides on one simulated clock: the bot's real loops, store and adapters, and (c)'s logic, against the same Quay.

A lag of half a second cannot be told from the noise of a busy machine, and waiting for builds takes as long as they do.
In simulated time (`tests.engine.virtual_time`) neither matters: the figures are exact, the same on every machine, and
an hour passes in seconds. What it cannot show is the time that computing takes, which counts as none; the benchmarks in
real time show that.

Every call to Quay or GitHub takes `CALL_SECONDS`, half of it there and half back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import structlog

from buildbot.engine.pacing import Clock
from tests.benchmarks import contestants
from tests.benchmarks.baselines.in_memory import InMemoryBot
from tests.benchmarks.contestants import Settings
from tests.benchmarks.pushes import Pushes, Scheme, repository_of
from tests.benchmarks.remote import Course, Facts, Remote
from tests.benchmarks.simulated_bot import engine
from tests.engine.virtual_time import VirtualLoop

CALL_SECONDS = 0.05
REMOTE = "https://remote.test"
Take = Callable[[int, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Pushes at their times (seconds from the start), how their builds go, and how long to wait after the last."""

    title: str
    scheme: Scheme
    course: Course
    times: Sequence[float]
    settings: Settings


class World:
    """One run: the clock, Quay and GitHub, and whoever is being measured."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.remote = Remote(scenario.course)
        # From now on, since an App's tokens run out by the wall's clock.
        self._epoch = datetime.now(UTC).replace(microsecond=0)
        self.clock = Clock(lambda: self._epoch + timedelta(seconds=self.now), lambda: self.now)
        self._loop: VirtualLoop | None = None

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return 0.0 if self._loop is None else self._loop.time()

    async def call(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """One call over the simulated network."""
        await asyncio.sleep(CALL_SECONDS / 2)
        answer = self.remote.answer(method, target, body, self._epoch.timestamp() + self.now)
        await asyncio.sleep(CALL_SECONDS / 2)
        return answer

    def run(self, contestant: Callable[[World], Awaitable[None]]) -> Facts:
        """Let somebody take all pushes and see their builds to the end; what happened. Raises what broke it."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner, silence():
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            self._loop = loop
            runner.run(_awaited(contestant(self)))
            if loop.failures:
                raise loop.failures[0]
        return self.remote.facts

    async def deliver(self, take: Take) -> None:
        """Make every push at its time, and wait until each has its final status."""
        pushes = Pushes(self.scenario.scheme)
        for number, moment in enumerate(self.scenario.times):
            await asyncio.sleep(max(0.0, moment - self.now))
            await take(number, json.loads(pushes(number).body))
        while not self._is_over():  # noqa: ASYNC110  time itself is awaited
            await asyncio.sleep(1.0)

    def _is_over(self) -> bool:
        finals = {sha for sha, state, _ in self.remote.facts.statuses if state != "pending"}
        return len(finals) >= len(self.scenario.times)


async def _awaited(what: Awaitable[None]) -> None:
    await what


# ── (c) ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Calls:
    """`QuayCalls` and `StatusCalls` over the simulated network."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def request(self, repository: str, archive_url: str, tags: Sequence[str]) -> str:
        body = json.dumps({"archive_url": archive_url, "docker_tags": list(tags)}).encode()
        _, answer = await self._world.call("POST", f"/api/v1/repository/{repository}/build/", body)
        return str(json.loads(answer)["id"])

    async def phase(self, repository: str, build: str) -> str:
        _, answer = await self._world.call("GET", f"/api/v1/repository/{repository}/build/{build}", b"")
        return str(json.loads(answer)["phase"])

    async def post(self, full_name: str, sha: str, state: str, description: str, installation: int) -> None:
        del installation
        body = json.dumps({"state": state, "description": description, "context": "quay/build"}).encode()
        await self._world.call("POST", f"/repos/{full_name}/statuses/{sha}", body)


async def in_memory_bot(world: World) -> None:
    """Baseline (c)."""
    calls = _Calls(world)
    names = [repository_of(number) for number in range(world.scenario.scheme.repositories)]
    bot = InMemoryBot(calls, calls, {name: name for name in names})

    async def take(_: int, push: dict[str, Any]) -> None:
        bot.take(push)

    await world.deliver(take)
    await bot.close()


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Transport(httpx.AsyncBaseTransport):
    """The simulated network for the real adapters."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        status, body = await self._world.call(request.method, target, await request.aread())
        return httpx.Response(status, headers={"Content-Type": "application/json"}, content=body)


async def quay_buildbot(world: World) -> None:
    """The bot: everything of it but the web server."""
    scenario = world.scenario
    settings = replace(scenario.settings, repositories=scenario.scheme.repositories)
    config = contestants.config_text(settings, REMOTE)
    async with httpx.AsyncClient(transport=_Transport(world)) as client, engine(config, client, world.clock) as bot:
        await world.deliver(lambda number, push: bot.take(f"push-{number}", push))


def _drop(_: object, __: str, ___: Any) -> Any:
    raise structlog.DropEvent


@contextmanager
def silence() -> Iterator[None]:
    """No log while the block lasts."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)
