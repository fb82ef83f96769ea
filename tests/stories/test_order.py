"""The order of work: bursts that become one build, places for which repositories take turns, a full queue at Quay."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE

import pytest

from buildbot.sandbox.github import Push
from tests.stories.world import QUICK, REPOSITORY, RULE, World, until

pytestmark = pytest.mark.anyio

STILL, FAST = 0.001, 500.0
PATIENT = QUICK.replace('waiting_timeout = "20s"', 'waiting_timeout = "1h"')
REQUEST = "requestRepoBuild"
TWO_REPOSITORIES = """
[[rules]]
name = "many"
source = "acme/api"
branches = ["many/*"]
repository = "acme/many"

[[rules]]
name = "single"
source = "acme/api"
branches = ["single"]
repository = "acme/single"
"""


@pytest.fixture
def world(world: World) -> World:
    """A Quay that stands still until a story lets it run, with a repository more for each rule."""
    world.quay.speed = STILL
    for name in ("acme/many", "acme/single"):
        world.quay.add_repository(name)
    return world


async def push(world: World, ref: str) -> Push:
    return await world.github.commit_and_push(REPOSITORY, ref=ref)


async def until_because(world: World, pushed: Push, words: str) -> str:
    build = await world.until_build(pushed, lambda build: words in build["description"])
    return str(build["description"])


def repositories(world: World) -> list[str]:
    """What was built, in the order in which Quay was asked."""
    return [build.repository for build in sorted(world.quay.builds, key=lambda build: build.requested_at)]


# ── quiet ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_burst_of_pushes_becomes_one_build(world: World) -> None:
    world.setting.rules = RULE + 'quiet_period = "60s"\n'
    world.quay.speed = FAST
    async with world.bot():
        *older, newest = [await push(world, "main") for _ in range(4)]
        told = await until_because(world, newest, "quiet")
        assert told.startswith("waits for quiet until ")
        assert told.endswith(" UTC (main)")
        for one in older:
            assert "Superseded by" in str((await world.final_status(one.sha)).description)
        assert world.quay.builds == []
        world.watch.forward(61)
        assert (await world.final_status(newest.sha)).state == "success"
    assert world.quay_calls(REQUEST) == [201]
    assert world.image_commit("main") == newest.sha


async def test_a_git_tag_does_not_wait_for_quiet(world: World) -> None:
    rule = RULE.replace('image_tags = ["{ref}", "sha-{short_sha}", "{default_branch?latest}"]', "")
    world.setting.rules = rule + 'quiet_period = "24h"\n'
    world.quay.speed = FAST
    async with world.bot():
        await push(world, "main")
        tagged = await world.github.push_tag(REPOSITORY, "v1")
        assert (await world.final_status(tagged.sha)).state == "success"


async def test_a_person_does_not_wait_for_quiet(world: World) -> None:
    world.setting.rules = RULE + 'quiet_period = "24h"\n'
    world.quay.speed = FAST
    async with world.bot():
        pushed = await push(world, "main")
        await until_because(world, pushed, "quiet")
        (waiting,) = world.built_by(pushed)
        await run(world, "builds", "cancel", waiting)
        await world.until_build(pushed, lambda build: bool(build["is_final"]))
        await run(world, "builds", "rebuild", waiting)
        await until(lambda: world.image_commit("main") == pushed.sha)


async def run(world: World, *words: str) -> str:
    # In a process of its own: the bot that runs in this one logs to the same output.
    command = (sys.executable, "-m", "buildbot", *words, "-c", str(world.config_file))
    environ = {"PATH": os.environ["PATH"], **world.environ}
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environ)
    told, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return told.decode()


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cap", ["max_builds = 1", "max_builds_per_namespace = 1"])
async def test_one_at_a_time_repositories_take_turns(world: World, cap: str) -> None:
    world.setting.rules, world.setting.registry = TWO_REPOSITORIES, f"{PATIENT}\n{cap}\n"
    async with world.bot():
        many = [await push(world, f"many/{number}") for number in range(3)]
        await until_because(world, many[2], "waits for a free place: 2nd in line")
        single = await push(world, "single")
        assert await until_because(world, single, "free place") == "waits for a free place: 1st in line (single)"
        world.watch.forward(61)
        await until_because(world, many[2], "3rd in line")
        assert len(world.quay.builds) == 1
        world.quay.speed = FAST
        for one, context in [(single, "quay/single"), *((one, "quay/many") for one in many)]:
            assert (await world.final_status(one.sha, context)).state == "success"
    assert repositories(world) == ["acme/many", "acme/single", "acme/many", "acme/many"]


async def test_a_place_goes_to_the_next_when_a_person_cancels(world: World) -> None:
    world.setting.registry = f"{QUICK}\nmax_builds = 1\n"
    async with world.bot():
        first, second = await push(world, "main"), await push(world, "release/1")
        await until_because(world, second, "1st in line")
        (running,) = world.built_by(first)
        await run(world, "builds", "cancel", running)
        await until(lambda: len(world.quay.builds) == 2)


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_replay_builds_what_failed_once_the_cause_is_mended(world: World) -> None:
    world.setting.rules = RULE.replace('repository = "acme/api"', 'repository = "acme/missing"')
    world.quay.speed = FAST
    async with world.bot():
        pushed = await push(world, "main")
        assert (await world.final_status(pushed.sha)).state == "error"
    world.setting.rules = RULE
    async with world.bot():
        listed = json.loads(await run(world, "deliveries", "list", "--failed", "--json"))
        assert [one["pushes"][0]["after"] for one in listed] == [pushed.sha]
        await run(world, "deliveries", "replay", str(listed[0]["number"]))
        await until(lambda: world.image_commit("main") == pushed.sha)
        await until(lambda: world.statuses(pushed.sha)[-1].state == "success")
        assert json.loads(await run(world, "deliveries", "list", "--failed", "--json")) == []


# ── a queue that is full ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_queue_is_asked_by_the_first_in_line_alone(world: World) -> None:
    world.setting.rules = TWO_REPOSITORIES
    world.quay.limit_queue("acme", 1)
    async with world.bot():
        many = [await push(world, f"many/{number}") for number in range(4)]
        single = await push(world, "single")
        told = await until_because(world, single, "in line")
        assert told == "Quay's queue is full (Maximum queued build rate exceeded.), 1st in line (single)"
        await until_because(world, many[3], "in line")
        assert world.quay_calls(REQUEST).count(201) == 1
        world.quay.speed = FAST
        for one, context in [(single, "quay/single"), *((one, "quay/many") for one in many)]:
            assert (await world.final_status(one.sha, context)).state == "success"
    assert world.quay_calls(REQUEST).count(201) == 5
