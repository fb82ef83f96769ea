"""Forty pushes, everything that can go wrong on both sides at random, deliveries repeated and out of order; one truth.

Whatever happened on the way, in the end every build is final, nothing was built twice, each image tag holds the newest
push that was built, and every commit says what became of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field

import pytest

from buildbot.domain.build import Build, BuildPhase
from buildbot.ports import BuildFilter, BuildStory
from buildbot.sandbox import quay_builds
from buildbot.sandbox.github import Push
from buildbot.sandbox.quay_faults import OPERATIONS
from buildbot.store.sql_store import SqlStore
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
STATES = {
    BuildPhase.SUCCEEDED: "success",
    BuildPhase.FAILED: "failure",
    BuildPhase.ERRORED: "error",
    BuildPhase.CANCELLED: "error",
}


@dataclass
class Chaos:
    """What happens in one story, decided by its seed."""

    world: World
    dice: random.Random
    pushes: list[Push] = field(default_factory=list)
    held: list[Push] = field(default_factory=list)

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
        pushed = await self.world.github.commit_and_push(REPOSITORY, ref=ref, files=text, deliver=not is_held)
        self.pushes.append(pushed)
        if is_held:
            self.held.append(pushed)
        elif self.dice.random() < 0.2:
            await self.send(pushed, guid=self.dice.choice([None, f"again-{len(self.pushes)}"]))

    async def deliver_late(self) -> None:
        """A delivery that was held back arrives after all."""
        await self.send(self.held.pop(self.dice.randrange(len(self.held))))

    async def send(self, pushed: Push, guid: str | None = None) -> None:
        for delivery in pushed.deliveries:
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


async def all_builds(world: World, store: SqlStore) -> list[BuildStory]:
    """Every build that any delivery led to, with its story."""
    answers = [json.loads(one.answer) for one in world.github.hookshot.log if one.status_code == 202]
    planned = sorted(build["id"] for answer in answers for build in answer["builds"])
    known = await store.list_builds(BuildFilter(limit=1000))
    assert sorted(build.id for build in known) == planned
    return [await store.story(build.id) for build in known]


async def until_all_is_said(world: World) -> list[BuildStory]:
    """Wait until every build is final and every status posted, while time passes quickly."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with world.open_store() as store:
        while True:
            told = await all_builds(world, store)
            left = [one for one in told if not (one.build.is_final and is_said(one))]
            if not left:
                return told
            assert time.monotonic() < deadline, left
            world.watch.forward(5)
            await asyncio.sleep(0.2)


def is_said(told: BuildStory) -> bool:
    """Whether the commit shows what this build wants shown, or the status belongs to another build."""
    status = told.status
    if status is None:
        return True
    return status.posted is not None and status.posted.status.description == status.wanted.description


def assert_nothing_was_built_twice(world: World) -> None:
    pushing: dict[str, list[str]] = {}
    for build in world.quay.builds:
        if any(one.build_id == build.id for one in world.quay.pushed):
            mark = (build.archive_url or "").partition("#")[2].rpartition(".")[0]
            pushing.setdefault(mark, []).append(build.id)
    assert [ids for ids in pushing.values() if len(ids) > 1] == []


def assert_tags_hold_the_newest_success(world: World, builds: list[Build], pushes: list[Push]) -> None:
    order = {one.sha: number for number, one in enumerate(pushes)}
    newest: dict[tuple[str, str], str | None] = {}
    for build in sorted(builds, key=lambda build: order[build.commit or ""]):
        if build.seen.phase is BuildPhase.SUCCEEDED:
            newest.update({(build.request.repository, tag): build.commit for tag in build.request.image_tags})
    assert {key: world.image_commit(key[1], key[0]) for key in newest} == newest


def assert_commits_say_the_truth(world: World, told: list[BuildStory]) -> None:
    for build in (one.build for one in told if one.status):
        last = world.statuses(build.commit or "", build.request.status_context)[-1]
        assert last.state == STATES[build.seen.phase], build


@pytest.mark.parametrize("seed", [1])
async def test_whatever_happens_every_push_is_accounted_for(world: World, seed: int) -> None:
    world.setting.registry, world.setting.rules = f'{BRISK}\nexpired_grace = "1m"', RULES
    world.quay.add_repository("acme/web")
    world.quay.speed = 400
    world.watch.run(3)
    chaos = Chaos(world, random.Random(seed))
    world.quay.choose = chaos.course
    async with world.bot():
        await chaos.happen()
        world.quay.faults.off()
        world.github.faults.clear()
        told = await until_all_is_said(world)
        await until(lambda: all(build.phase != "waiting" for build in world.quay.builds))
    builds = [one.build for one in told]
    assert len({build.commit for build in builds}) > PUSHES / 2
    assert_nothing_was_built_twice(world)
    assert_tags_hold_the_newest_success(world, builds, chaos.pushes)
    assert_commits_say_the_truth(world, told)
