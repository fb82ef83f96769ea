"""Chaos: real processes killed, frozen and started again under a stream of pushes, while both sides fail.

A supervisor starts each instance again a moment after it died, as systemd does. Pushes (`traffic`) go through a
round-robin where there are several instances, straight to the one where there is only one. What has become of all of
it is for `verdict` to say.

The seed decides what happens and in which order; how far each process has come by then is the machine's doing, so a
seed repeats a run as far as real processes allow.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx

from buildbot.sandbox.quay_faults import Fault
from buildbot.sandbox.serving import serving
from tests.stories.fleet import Instance, RoundRobin, new_fleet
from tests.stories.github_time import GitHubTime
from tests.stories.traffic import API, NOBODYS, RULES, TOOLS, Traffic
from tests.stories.verdict import Defect, Evidence, Kind, evidence, judge, owed
from tests.stories.world import SECRET, World, until

LIMITS = """
poll_interval = "0.2s"
polls_per_second = 50
request_timeout = "1s"
settle_time = "2s"
expired_grace = "20s"
"""
LEASE_SECONDS = 1.0
INSTANCES = {"sqlite": 1, "postgresql": 2}
IMAGES = ("acme/api", "acme/web", "acme/releases", "acme/tools")
SPEED, CALM_SPEED = 120.0, 600.0
MOMENTS_PER_SECOND, MOMENTS_IN_VAIN = 8.0, 4
OPERATIONS = (None, "getRepoBuilds", "getRepoBuildStatus", *["requestRepoBuild"] * 4, "cancelRepoBuild")
AT_QUAY = (
    Fault.LOSE_ANSWER,
    Fault.LOSE_ANSWER,
    Fault.LOSE_REQUEST,
    Fault.LATE,
    Fault.LATE,
    Fault.SLOW,
    Fault.SERVER_ERROR,
    Fault.BAD_GATEWAY,
    Fault.NONSENSE,
    Fault.READ_ONLY,
    Fault.REDIS_DOWN,
)
FAULT_SECONDS = {Fault.LATE: 0.3, Fault.SLOW: 1.3}
READY_SECONDS, REST_SECONDS = 30.0, 90.0
LOOK_SECONDS = 0.3


@dataclass
class Chaos:
    """One run. `crash_database` is for databases that can crash."""

    world: World
    seed: int
    fleet: list[Instance]
    robin: RoundRobin
    crash_database: Callable[[], Awaitable[None]] | None = None
    traffic: Traffic = field(init=False)
    known: Evidence | None = None

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.traffic = Traffic(self.world.github, GitHubTime(self.world.github), self.dice)

    @property
    def counts(self) -> Counter[str]:
        """How often what has happened."""
        return self.traffic.counts

    # ── from beginning to end ────────────────────────────────────────────────────────────────────────────────────────

    async def rage(self, moments: int) -> None:
        """So many moments, in each of which something happens; few while nobody listens, however long a start takes."""
        in_vain = 0
        for _ in range(moments):
            await asyncio.sleep(self.dice.expovariate(MOMENTS_PER_SECOND))
            in_vain = 0 if self._somebody_listens() else in_vain + 1
            if in_vain > MOMENTS_IN_VAIN:
                await until(self._somebody_listens, READY_SECONDS)
            await self._happen()

    def _somebody_listens(self) -> bool:
        return any(one.is_listening for one in self.fleet)

    async def calm_down(self) -> None:
        """Nothing goes wrong any more, and what was not taken is sent again: once, and then it has to be taken."""
        while self.traffic.under_way:
            await asyncio.gather(*self.traffic.under_way)
        self.world.quay.faults.off()
        self.world.github.faults.clear()
        self.world.quay.speed = CALM_SPEED
        await self._until_ready()
        await self.traffic.redeliver()

    async def verdict(self) -> list[Defect]:
        """Let it come to rest, and judge. Whatever is still owed then is lost."""
        left = await self.until_at_rest()
        with self.world.open_store() as store:
            self.known = known = await evidence(self.world, self.traffic.pushes, store)
        self.counts["builds"] = len(known.builds)
        self.counts["strays"] = sum(len(builds) - 1 for builds in known.at_quay.values())
        owing = [Defect(Kind.LOST, f"{what}: {', '.join(ids)}") for what, ids in left.items()]
        return [*owing, *judge(known), *self._bugs()]

    def _bugs(self) -> list[Defect]:
        """What no chaos excuses: an exception that nobody expected, while it ran or as it started."""
        lines = [line for one in self.fleet for line in one.lines]
        logged = [json.loads(line) for line in lines if line.startswith("{")]
        told = [f"{line['event']}: {line['exception']}" for line in logged if "exception" in line]
        plain = [line for line in lines if line.startswith("Traceback")]
        return [Defect(Kind.WRONG, f"the bot failed: {text}") for text in told + plain]

    async def until_at_rest(self, seconds: float = REST_SECONDS) -> dict[str, list[str]]:
        """Wait until nothing is owed any more; what still is when the time is over."""
        deadline = time.monotonic() + seconds
        while (left := owed(self.world)) and time.monotonic() < deadline:  # noqa: ASYNC110  the database does not tell
            await asyncio.sleep(LOOK_SECONDS)
        return left

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for one in self.fleet:
            while not await self._is_ready(one):
                assert time.monotonic() < deadline, f"{one.url} is not ready: {one.lines[-3:]}"
                await asyncio.sleep(LOOK_SECONDS)

    async def _is_ready(self, one: Instance) -> bool:
        try:
            return (await self.robin.client.get(f"{one.url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _happen(self) -> None:
        roll = self.dice.random()
        if roll < 0.66:
            await self.traffic.somebody_pushes()
        elif roll < 0.86:
            self._spoil()
        elif roll < 0.91:
            self._kill(self.dice.choice(self.fleet))
        elif roll < 0.95:
            self._freeze(self.dice.choice(self.fleet))
        elif roll < 0.99:
            self._go_away()
        else:
            await self._strike_all()

    async def _strike_all(self) -> None:
        if self.crash_database and self.dice.random() < 0.5:
            self.counts["database crashes"] += 1
            await self.crash_database()
        for one in self.fleet:
            self._kill(one)

    def _kill(self, one: Instance) -> None:
        if one.is_running:
            self.counts["kills"] += 1
            one.kill_now()

    def _freeze(self, one: Instance) -> None:
        seconds = LEASE_SECONDS * self.dice.uniform(1.2, 4)
        if one.is_running:
            self.counts["freezes"] += 1
            one.freeze()
            self._later(seconds, one.thaw)

    def _go_away(self) -> None:
        self.counts["outages"] += 1
        seconds = self.dice.uniform(0.5, 3)
        if self.dice.random() < 0.5:
            self.world.quay.faults.on(Fault.DOWN)
            self._later(seconds, lambda: self.world.quay.faults.off(Fault.DOWN))
        else:
            self.world.github.faults.down()
            self._later(seconds, self.world.github.faults.up)

    def _spoil(self) -> None:
        self.counts["faults"] += 1
        if self.dice.random() < 0.65:
            kind = self.dice.choice(AT_QUAY)
            seconds = FAULT_SECONDS.get(kind, 0.0)
            operation, times = self.dice.choice(OPERATIONS), self.dice.randint(1, 2)
            self.world.quay.faults.on(kind, operation, times=times, seconds=seconds)
            return
        faults, times = self.world.github.faults, self.dice.randint(1, 2)
        match self.dice.randrange(5):
            case 0:
                faults.lose(times, after=self.dice.random() < 0.7, on="/statuses/")
            case 1:
                faults.fail(self.dice.choice([500, 502, 503]), times, on="/statuses/")
            case 2:
                faults.unreplicated(self.dice.choice([API, TOOLS]))
            case 3:
                faults.lose(times, on=self.dice.choice(["GET", "/compare/", "/contents/"]))
            case _:
                faults.secondary_limit(retry_after=1)

    # ── later ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        async def do() -> None:
            await asyncio.sleep(seconds)
            act()

        self.traffic.start(do())


@asynccontextmanager
async def chaos(
    world: World, seed: int, crash_database: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Chaos]:
    """A world with several repositories, and as many instances as its database allows; all of them ready, all stopped
    at the end."""
    _furnish(world)
    fleet = new_fleet(world, INSTANCES[world.store_url.partition(":")[0]])
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient())
        robin = RoundRobin(client, [one.url for one in fleet])
        url = await stack.enter_async_context(serving(robin)) if len(fleet) > 1 else fleet[0].url
        world.github.state.hooks.clear()
        for repository in (API, TOOLS, NOBODYS):
            world.github.add_hook(repository, f"{url}/webhooks/github", secret=SECRET)
        run = Chaos(world, seed, fleet, robin, crash_database)
        world.quay.choose = run.traffic.course
        for number, one in enumerate(fleet):
            await stack.enter_async_context(supervised(one, random.Random(f"{seed}/{number}")))
        await run._until_ready()
        stack.push_async_callback(run.traffic.stop)
        yield run


def _furnish(world: World) -> None:
    world.setting.registry, world.setting.rules = LIMITS, RULES
    world.setting.store = f'lease = "{LEASE_SECONDS}s"'
    world.quay.speed = SPEED
    world.github.state.limits.limit = 10**9
    for repository in (TOOLS, NOBODYS):
        world.github.add_repository(repository)
        world.github.add_collaborator(repository, "ci-bot")
    for image in IMAGES:
        world.quay.add_repository(image)


@asynccontextmanager
async def supervised(one: Instance, dice: random.Random) -> AsyncIterator[None]:
    """Run an instance while the block lasts, and start it again whenever it has died."""

    async def keep() -> None:
        while True:
            await one.launch(*one.arguments)
            await one.ended(within=None)
            await asyncio.sleep(dice.uniform(0, 1))

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        if one.is_running:
            one.thaw()
            await one.stop(within=READY_SECONDS)
