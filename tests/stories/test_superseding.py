"""Newer pushes and older builds: who is cancelled, who is not, and who owns the image tag in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from buildbot.bootstrap import adapters, open_client
from buildbot.config import load
from buildbot.domain.build import BuildId, Goal, GoalKind
from buildbot.engine.wording import StatusWording
from buildbot.sandbox.github import GitHub, Push
from buildbot.sandbox.github_hooks import signatures
from buildbot.sandbox.quay_builds import Build
from tests.stories.world import BRISK, REPOSITORY, RULE, SECRET, World, until

pytestmark = pytest.mark.anyio

TWO_RULES = """
[[rules]]
name = "main"
source = "acme/api"
branches = ["main"]
repository = "acme/api"
image_tags = ["newest"]

[[rules]]
name = "release"
source = "acme/api"
branches = ["release/*"]
repository = "acme/api"
image_tags = ["newest"]
"""
STILL = 0.001
"""A Quay in which nothing happens until its speed is raised."""
QUICK = 500


@pytest.fixture
async def world(world: World) -> World:
    """A Quay that stands still until a story lets it run."""
    world.setting.registry = BRISK
    world.quay.speed = STILL
    return world


async def push(world: World, message: str = "Change a thing", ref: str | None = None, **more: Any) -> Push:
    return await world.github.commit_and_push(REPOSITORY, message=message, ref=ref, **more)


def decision(pushed: Push) -> str:
    return str(json.loads(pushed.attempts[0].answer)["decision"])


def phases(world: World) -> list[str]:
    return [build.phase for build in world.quay.builds]


async def until_phase(world: World, phase: str, number: int = 0) -> None:
    """Let Quay run until a build is in that phase, then stand still."""
    world.quay.speed = 50
    await until(lambda: phase == "waiting" or (len(phases(world)) > number and phases(world)[number] != "waiting"))
    world.quay.speed = 3
    await until(lambda: len(phases(world)) > number and phases(world)[number] == phase)
    world.quay.speed = STILL


def in_turn(*courses: str) -> Callable[[Build], str]:
    left = list(courses)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def pass_a_minute_at(github: GitHub) -> None:
    """GitHub tells the time of a push in whole seconds, and people are not as fast as stories."""
    now = github.state.now()
    github.state.now = lambda: now + timedelta(minutes=1)


async def superseded(world: World, older: Push, newer: Push, ref: str = "main") -> bool:
    status = await world.final_status(older.sha)
    return (status.state, status.description) == ("error", f"Superseded by {newer.sha[:7]} ({ref})")


# ── newer while older … ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("phase", ["waiting", "pulling", "building"])
async def test_a_newer_push_ends_the_older_build_in_every_phase_that_can_be_cancelled(world: World, phase: str) -> None:
    world.quay.choose = lambda _: "slow"
    async with world.bot():
        older = await push(world, "One")
        await until_phase(world, phase)
        newer = await push(world, "Two")
        assert await superseded(world, older, newer)
        world.quay.speed = QUICK
        assert (await world.final_status(newer.sha)).state == "success"
    assert phases(world) == ["cancelled", "complete"]
    assert world.quay_calls("cancelRepoBuild") == [201]
    assert world.image_commit("main") == newer.sha


async def test_an_older_build_that_pushes_already_is_left_alone_and_the_newer_one_waits(world: World) -> None:
    async with world.bot():
        older = await push(world, "One")
        await until_phase(world, "pushing")
        await world.until_build(older, lambda build: build["quay_phase"] == "pushing")
        newer = await push(world, "Two")
        build = await world.until_build(newer, lambda build: bool(build["because"]))
        assert build["because"].startswith(f"waits for the build of {older.sha[:7]}, which still writes main")
        assert len(world.quay.builds) == 1
        world.quay.speed = QUICK
        assert (await world.final_status(older.sha)).state == "success"
        assert (await world.final_status(newer.sha)).state == "success"
    assert world.quay_calls("cancelRepoBuild") == []
    assert world.image_commit("main") == newer.sha


async def test_an_older_build_that_quay_does_not_let_go_is_watched_to_its_end(world: World) -> None:
    world.setting.registry = BRISK.replace("0.1s", "5s")
    async with world.bot():
        older = await push(world, "One")
        await world.until_build(older, lambda build: build["phase"] == "waiting")
        await until_phase(world, "pushing")
        newer = await push(world, "Two")
        build = await world.until_build(older, lambda build: "too late to cancel" in build["description"])
        assert build["cancel"]["refusal"].endswith("Build is currently running or has finished")
        world.quay.speed = QUICK
        world.watch.run(50)
        assert (await world.final_status(older.sha)).state == "success"
        assert (await world.final_status(newer.sha)).state == "success"
    assert world.quay_calls("cancelRepoBuild") == [400]
    assert world.image_commit("main") == newer.sha


async def test_of_a_burst_of_pushes_only_the_last_is_built(world: World) -> None:
    async with world.bot():
        one, two, three = [await push(world, message) for message in ("One", "Two", "Three")]
        world.quay.speed = QUICK
        assert (await world.final_status(three.sha)).state == "success"
        assert await superseded(world, one, two)
        assert await superseded(world, two, three)
    assert [build.phase for build in world.quay.builds if build.phase != "cancelled"] == ["complete"]
    assert world.image_commit("main") == three.sha


async def test_a_force_push_supersedes(world: World) -> None:
    async with world.bot():
        older = await push(world, "One")
        newer = await push(world, "One, but better", force=True)
        assert await superseded(world, older, newer)
        world.quay.speed = QUICK
        assert (await world.final_status(newer.sha)).state == "success"


async def test_with_supersede_queued_what_builds_may_finish_and_what_waits_is_dropped(world: World) -> None:
    world.setting.rules = f'{RULE}\nsupersede = "queued"'
    world.quay.choose = in_turn("slow", "success")
    async with world.bot():
        one = await push(world, "One")
        await until_phase(world, "building")
        await world.until_build(one, lambda build: build["quay_phase"] == "building")
        two = await push(world, "Two")
        three = await push(world, "Three")
        assert await superseded(world, two, three)
        world.quay.speed = QUICK
        assert (await world.final_status(one.sha)).state == "success"
        assert (await world.final_status(three.sha)).state == "success"
    assert phases(world) == ["complete", "complete"]
    assert world.image_commit("main") == three.sha


async def test_with_supersede_keep_every_push_is_built_in_order(world: World) -> None:
    world.setting.rules = f'{RULE}\nsupersede = "keep"'
    async with world.bot():
        pushes = [await push(world, message) for message in ("One", "Two", "Three")]
        world.quay.speed = QUICK
        for one in pushes:
            assert (await world.final_status(one.sha)).state == "success"
            assert world.image_commit(f"sha-{one.sha[:7]}") == one.sha
    assert phases(world) == ["complete"] * 3
    assert world.image_commit("main") == pushes[-1].sha


# ── by history, not by arrival ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_push_that_arrives_after_its_successor_is_superseded_at_birth(world: World) -> None:
    async with world.bot():
        older = await push(world, "One", deliver=False)
        newer = await push(world, "Two")
        (late,) = [await world.github.deliver(one) for one in older.deliveries]
        assert late.status_code == 202
        assert json.loads(late.answer)["decision"] == "superseded"
        assert await superseded(world, older, newer)
        world.quay.speed = QUICK
        assert (await world.final_status(newer.sha)).state == "success"
    assert len(world.quay.builds) == 1
    assert world.image_commit("main") == newer.sha


async def test_there_and_back_and_there_again_are_three_pushes(world: World) -> None:
    async with world.bot():
        back = world.github.repository(REPOSITORY).refs["refs/heads/main"]
        there = await push(world, "There")
        pass_a_minute_at(world.github)
        again_back = await world.github.push_ref(REPOSITORY, "refs/heads/main", back, force=True)
        pass_a_minute_at(world.github)
        there_again = await world.github.push_ref(REPOSITORY, "refs/heads/main", there.sha)
        assert [decision(one) for one in (there, again_back, there_again)] == ["planned"] * 3
        world.quay.speed = QUICK
        await until(lambda: world.image_commit("main") == there.sha)
        await world.until_build(there_again, lambda build: build["phase"] == "succeeded")
        await until(lambda: world.statuses(there.sha)[-1].state == "success")
    assert len(set(world.built_by(there) + world.built_by(again_back) + world.built_by(there_again))) == 3


async def test_a_push_of_documents_leaves_the_build_of_the_code_before_it_alone(world: World) -> None:
    world.setting.rules = f'{RULE}\npaths = ["**", "!docs/**"]'
    async with world.bot():
        code = await push(world, "Code", files={"main.go": "package main"})
        docs = await push(world, "Docs", files={"docs/index.md": "Read me"})
        assert (decision(docs), world.built_by(docs)) == ("ignored", [])
        world.quay.speed = QUICK
        assert (await world.final_status(code.sha)).state == "success"
    assert world.image_commit("main") == code.sha


async def test_deleting_a_branch_cancels_what_runs_for_it(world: World) -> None:
    async with world.bot():
        pushed = await push(world, ref="release/1")
        await until(lambda: phases(world) == ["waiting"])
        deletion = await world.github.delete_ref(REPOSITORY, "release/1")
        assert decision(deletion) == "cancelled"
        status = await world.final_status(pushed.sha)
    assert (status.state, status.description) == ("error", "Branch release/1 was deleted (release/1)")
    assert phases(world) == ["cancelled"]


async def test_a_late_deletion_cancels_nothing(world: World) -> None:
    async with world.bot():
        await push(world, ref="release/1", deliver=False)
        await world.github.flush()
        gone = await world.github.delete_ref(REPOSITORY, "release/1", deliver=False)
        again = await push(world, "Once more", ref="release/1")
        attempts = [await world.github.deliver(one) for one in gone.deliveries if one.event == "push"]
        assert [json.loads(one.answer)["decision"] for one in attempts] == ["ignored"]
        world.quay.speed = QUICK
        assert (await world.final_status(again.sha)).state == "success"


# ── image tags ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_rules_that_share_an_image_tag_are_built_one_after_another(world: World) -> None:
    world.setting.rules = TWO_RULES
    async with world.bot():
        first = await push(world)
        await until(lambda: phases(world) == ["waiting"])
        second = await push(world, ref="release/1")
        await world.until_build(second, lambda build: "waits for the build of" in build["because"])
        assert phases(world) == ["waiting"]
        world.quay.speed = QUICK
        assert (await world.final_status(first.sha, "quay/main")).state == "success"
        assert (await world.final_status(second.sha, "quay/release")).state == "success"
    assert phases(world) == ["complete", "complete"]
    assert world.image_commit("newest") == second.sha


async def test_an_annotated_tag_whose_commit_the_payload_does_not_tell_is_resolved(world: World) -> None:
    async with world.bot():
        tagged = await world.github.push_tag(REPOSITORY, "v1.2.0", annotated=True, deliver=False)
        (delivery,) = [one for one in tagged.deliveries if one.event == "push"]
        body = json.dumps(delivery.payload | {"head_commit": None}).encode()
        attempt = await world.github.deliver(delivery, body=body, headers=signatures(SECRET, body))
        assert attempt.status_code == 202
        world.quay.speed = QUICK
        assert (await world.final_status(tagged.sha)).state == "success"
    assert tagged.after != tagged.sha
    assert world.image_commit("v1.2.0") == tagged.sha
    assert world.image_commit(f"sha-{tagged.sha[:7]}") == tagged.sha


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_rebuild_leaves_the_tags_that_a_newer_build_has_claimed(world: World) -> None:
    async with world.bot(), open_client() as client:
        older = await push(world, "One")
        newer = await push(world, "Two")
        assert await superseded(world, older, newer)
        config = load(world.config_file, world.environ)
        words = StatusWording(config.server.public_url, adapters(config, client).registries)
        with world.open_store() as store:
            (build_id,) = world.built_by(older)
            rebuilt = await store.rebuild(BuildId(build_id), datetime.now(UTC), words, move_tags=False)
        assert rebuilt.left_out == ("main", "latest")
        world.quay.speed = QUICK
        await until(lambda: world.image_commit(f"sha-{older.sha[:7]}") == older.sha)
        await until(lambda: world.statuses(older.sha)[-1].state == "success")
        assert (await world.final_status(newer.sha)).state == "success"
    assert world.image_commit("main") == newer.sha


async def test_a_person_cancels(world: World) -> None:
    async with world.bot():
        pushed = await push(world)
        await until(lambda: phases(world) == ["waiting"])
        with world.open_store() as store:
            goal = Goal(GoalKind.CANCEL, detail="ada")
            await store.cancel(BuildId(world.built_by(pushed)[0]), goal, datetime.now(UTC))
        status = await world.final_status(pushed.sha)
    assert (status.state, status.description) == ("error", "Cancelled by ada (main)")
    assert phases(world) == ["cancelled"]
