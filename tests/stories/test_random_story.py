"""Forty pushes, everything that can go wrong on both sides at random, deliveries repeated and out of order; one truth.

Whatever happened on the way, in the end every build is final, nothing was built twice, each image tag holds the newest
push that was built, and every commit says what became of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

import pytest

from buildbot.sandbox import quay_builds
from buildbot.sandbox.quay_faults import OPERATIONS
from tests.stories.github_time import GitHubTime
from tests.stories.verdict import Told, evidence, judge, owed
from tests.stories.world import BRISK, REPOSITORY, RULE, World, until

pytestmark = pytest.mark.anyio

RULES = (
    RULE
    + """
[[rules]]
name = "web"
source = "acme/api"
branches = ["**"]
paths = ["web/**"]
repository = "acme/web"
image_tags = ["{branch}"]
"""
)
REFS = ("main", "release/1", "release/2")
PUSHES = 40
PATIENCE_SECONDS = 30.0
COURSES = ("success", "success", "success", "podman", "seterror", "fail-build", "second-attempt-succeeds", "no-archive")
AT_QUAY = ("lose-answer", "lose-request", "500", "502", "nonsense", "429-nginx", "503-read-only", "redis-down")


@dataclass
class Chaos:
    """What happens in one story, decided by its seed."""

    world: World
    time: GitHubTime
    dice: random.Random
    pushes: list[Told] = field(default_factory=list)
    held: list[Told] = field(default_factory=list)

    def course(self, _: quay_builds.Build) -> str:
        return self.dice.choice(COURSES)

    def spoil(self) -> None:
        """Plan one fault at Quay or at GitHub for one of the next calls."""
        if self.dice.random() < 0.6:
            operation = self.dice.choice([None, *OPERATIONS[:-1]])
            self.world.quay.faults.on(self.dice.choice(AT_QUAY), operation, times=self.dice.randint(1, 2))
            return
        faults = self.world.github.faults
        match self.dice.randrange(4):
            case 0:
                faults.lose(after=self.dice.random() < 0.5, on="/statuses/")
            case 1:
                faults.fail(on="/statuses/")
            case 2:
                faults.unreplicated(REPOSITORY)
            case _:
                faults.secondary_limit(retry_after=1)

    async def push(self) -> None:
        """Somebody pushes; the delivery may be held back, or be sent once more, or under another id."""
        file = self.dice.choice(["web/index.html", "api/main.go", "docs/index.md"])
        text = {file: str(self.dice.random())}
        ref = self.dice.choice(REFS)
        is_held = self.dice.random() < 0.2
        await self.time.next_second(REPOSITORY, ref)
        push = await self.world.github.commit_and_push(REPOSITORY, ref=ref, files=text, deliver=not is_held)
        told = Told(push, {one.guid for one in push.deliveries}, frozenset({"api"}))
        self.pushes.append(told)
        if is_held:
            self.held.append(told)
        elif self.dice.random() < 0.2:
            await self.send(told, guid=self.dice.choice([None, f"again-{len(self.pushes)}"]))

    async def deliver_late(self) -> None:
        """A delivery that was held back arrives after all."""
        await self.send(self.held.pop(self.dice.randrange(len(self.held))))

    async def send(self, told: Told, guid: str | None = None) -> None:
        told.guids |= {guid} if guid else set()
        for delivery in told.push.deliveries:
            assert (await self.world.github.deliver(delivery, guid=guid)).status_code in {200, 202}

    async def happen(self) -> None:
        """Everything, in an order that the dice decide."""
        while len(self.pushes) < PUSHES or self.held:
            self.world.watch.forward(self.dice.choice([0, 0, 0, 1, 5]))
            match self.dice.randrange(4):
                case 0:
                    self.spoil()
                case 1 if self.held:
                    await self.deliver_late()
                case 2:
                    await asyncio.sleep(self.dice.random() * 0.1)
                case _ if len(self.pushes) < PUSHES:
                    await self.push()
                case _:
                    pass


async def until_all_is_said(world: World) -> None:
    """Wait until nothing is owed any more, while time passes quickly."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := owed(world):
        assert time.monotonic() < deadline, left
        world.watch.forward(5)
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("seed", [1])
async def test_whatever_happens_every_push_is_accounted_for(world: World, seed: int) -> None:
    world.setting.registry, world.setting.rules = f'{BRISK}\nexpired_grace = "1m"', RULES
    world.quay.add_repository("acme/web")
    world.quay.speed = 400
    world.watch.run(3)
    chaos = Chaos(world, GitHubTime(world.github), random.Random(seed))
    world.quay.choose = chaos.course
    async with world.bot():
        await chaos.happen()
        world.quay.faults.off()
        world.github.faults.clear()
        await until_all_is_said(world)
        await until(lambda: all(build.phase != "waiting" for build in world.quay.builds))
    with world.open_store() as store:
        known = await evidence(world, chaos.pushes, store)
    assert [str(defect) for defect in judge(known)] == []
    assert len({build.commit for build in known.builds}) > PUSHES / 2
