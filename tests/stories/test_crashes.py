"""The real program, killed without a word wherever it hurts and started again: each push is built once, and told."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import signal
import socket
from contextlib import closing

import anyio
import pytest

from buildbot.sandbox.github import Push
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_faults import Fault
from tests.postgres import Postgres
from tests.stories.program import Program, configure, program
from tests.stories.world import BRISK, FAST, REPOSITORY, RULE, World, until

pytestmark = pytest.mark.anyio

ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
HUNG = 1.5
STANDSTILL = 0.001
"""A speed of Quay at which a build waits; without free workers it would wait for ever after three rounds."""


def builds_of(world: World, push: Push) -> list[Build]:
    """Every build that Quay was ever asked for one push."""
    return [build for build in world.quay.builds if f"/archive/{push.sha}.tar.gz" in (build.archive_url or "")]


def called(world: World, operation: str) -> int:
    """How often Quay was asked for something."""
    return sum(name == operation for name, _ in world.quay.calls)


async def assert_built_once(world: World, push: Push, tag: str = "main") -> None:
    """In the end there is one build, one image of that commit, and a status that says so."""
    status = await world.final_status(push.sha)
    assert status.state == "success", status.description
    assert [build.phase for build in builds_of(world, push)] == ["complete"]
    assert world.image_commit(tag) == push.sha
    assert world.statuses(push.sha)[-1].state == "success"


# ── killed ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_killed_straight_after_202_it_builds_the_push_all_the_same(world: World) -> None:
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await bot.kill()
        assert push.attempts[0].status_code == 202
        await bot.start()
        await assert_built_once(world, push)


async def test_killed_while_a_request_is_answered_it_finds_the_build_and_asks_for_no_other(world: World) -> None:
    world.quay.faults.on(Fault.SLOW, "requestRepoBuild", times=1, seconds=HUNG)
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: called(world, "requestRepoBuild") == 1)
        await bot.restart()
        await assert_built_once(world, push)
        assert called(world, "requestRepoBuild") == 1


async def test_killed_after_an_answer_was_lost_it_still_asks_for_no_second_build(world: World) -> None:
    world.quay.faults.on(Fault.LOSE_ANSWER, "requestRepoBuild", times=1)
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: called(world, "requestRepoBuild") == 1)
        await bot.restart()
        await assert_built_once(world, push)
        assert called(world, "requestRepoBuild") == 1


async def test_killed_after_a_request_that_never_arrived_it_asks_again(world: World) -> None:
    world.quay.faults.on(Fault.LOSE_REQUEST, "requestRepoBuild", times=1)
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: called(world, "requestRepoBuild") == 1)
        await bot.restart()
        await assert_built_once(world, push)
        assert called(world, "requestRepoBuild") == 2


async def test_killed_while_a_cancel_is_answered_it_knows_that_the_build_was_superseded(world: World) -> None:
    world.quay.faults.on(Fault.SLOW, "cancelRepoBuild", times=1, seconds=HUNG)
    courses = iter(["hang"])
    world.quay.choose = lambda _: next(courses, "success")
    async with program(world) as bot:
        older = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: [build.phase for build in world.quay.builds] == ["building"])
        newer = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: called(world, "cancelRepoBuild") == 1)
        await bot.restart()
        await assert_built_once(world, newer)
        status = await world.final_status(older.sha)
        assert (status.state, status.description) == ("error", f"Superseded by {newer.sha[:7]} (main)")
        assert [build.phase for build in builds_of(world, older)] == ["cancelled"]
        assert called(world, "cancelRepoBuild") == 1


async def test_killed_after_a_status_arrived_but_before_it_knew_it_posts_it_once_more_at_most(world: World) -> None:
    world.quay.speed = STANDSTILL
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: len(world.statuses(push.sha)) == 1)
        world.github.faults.lose(after=True, on="/statuses/")
        world.quay.speed = FAST
        await until(lambda: [one.state for one in world.statuses(push.sha)] == ["pending", "success"])
        await bot.restart()
        await until(lambda: len(world.statuses(push.sha)) == 3)
    assert [one.state for one in world.statuses(push.sha)] == ["pending", "success", "success"]
    assert [build.phase for build in builds_of(world, push)] == ["complete"]


async def test_killed_while_a_status_is_posted_it_posts_it_after_a_lease_and_not_minutes_later(world: World) -> None:
    async with program(world) as bot:
        world.github.faults.slow(HUNG)
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: [build.phase for build in world.quay.builds] == ["complete"])
        await bot.kill()
        assert world.statuses(push.sha) == []
        world.github.faults.slow(0)
        await bot.start()
        await assert_built_once(world, push)


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_again_and_again_during_a_stream_of_pushes_it_builds_each_once(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.quay.faults.on(Fault.SLOW, seconds=0.05)
    world.github.faults.slow(0.05)
    async with program(world) as bot:
        pushes = [await _pushed_and_killed(world, bot, chance, number) for number in range(12)]
        assert {attempt.status_code for attempt in world.github.hookshot.log} == {202}
        for push in pushes:
            await world.final_status(push.sha)
        for push in {push.ref: push for push in pushes}.values():
            await assert_built_once(world, push, push.ref.removeprefix("refs/heads/").replace("/", "-"))
    for push in pushes:
        assert_told_the_truth(world, push)


async def _pushed_and_killed(world: World, bot: Program, chance: random.Random, number: int) -> Push:
    ref = chance.choice(["main", "main", f"release/{number}"])
    push = await world.github.commit_and_push(REPOSITORY, ref=ref)
    await anyio.sleep(chance.uniform(0, 0.15))
    if number % 4 == 3:
        await bot.restart()
    return push


def assert_told_the_truth(world: World, push: Push) -> None:
    """One build at most, and a last status that says what became of it."""
    asked, status = [build.phase for build in builds_of(world, push)], world.statuses(push.sha)[-1]
    assert len(asked) <= 1
    if status.state == "success":
        assert asked == ["complete"]
    else:
        assert (status.description or "").startswith("Superseded by ")
        assert "complete" not in asked


# ── told to stop ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_told_to_stop_while_quay_hangs_it_ends_in_time_and_builds_on_afterwards(world: World) -> None:
    world.setting.registry = BRISK.replace('request_timeout = "0.5s"', 'request_timeout = "30s"')
    world.quay.faults.on(Fault.SLOW, "requestRepoBuild", times=1, seconds=60)
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: called(world, "requestRepoBuild") == 1)
        assert await bot.stop() == 0
        assert bot.told("stopped")
        await bot.start()
        await assert_built_once(world, push)
        assert called(world, "requestRepoBuild") == 1


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_ends_with_0_and_gives_back_what_it_held(world: World, by: signal.Signals) -> None:
    world.setting.store = 'lease = "1h"'
    world.quay.speed = STANDSTILL
    async with program(world) as bot:
        push = await world.github.commit_and_push(REPOSITORY)
        await until(lambda: len(world.quay.builds) == 1)
        assert await bot.stop(by) == 0
        world.quay.speed = FAST
        await bot.start()
        await assert_built_once(world, push)


@pytest.mark.parametrize("after", [0.05, 0.3, 0.5])
async def test_told_to_stop_while_it_starts_it_stops(world: World, after: float) -> None:
    configure(world)
    bot = Program(world)
    await bot.launch("-c", str(world.config_file))
    await anyio.sleep(after)
    assert await bot.stop() in {0, -signal.SIGTERM}
    assert not [line for line in bot.lines if "Traceback" in line]


async def test_told_to_stop_it_does_not_wait_for_a_client_that_never_finishes(world: World) -> None:
    async with program(world) as bot:
        with closing(socket.create_connection(("127.0.0.1", int(world.bot_url.rpartition(":")[2])))) as idle:
            idle.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: bot\r\nContent-Length: 100\r\n\r\n{")
            await until(lambda: bool(bot.lines))
            assert await bot.stop() == 0


@ON_SQLITE
async def test_told_to_stop_while_it_cannot_record_a_delivery_it_says_that_it_has_to_come_again(world: World) -> None:
    async with program(world) as bot:
        with world.held_store():
            pushing = asyncio.ensure_future(world.github.commit_and_push(REPOSITORY))
            done, _ = await asyncio.wait({pushing}, timeout=0.3)
            assert not done
            stopping = asyncio.ensure_future(bot.stop())
            (attempt,) = (push := await pushing).attempts
            if attempt.status_code:  # else it had closed its door before the delivery was there, which says the same
                assert attempt.status_code == 503
                assert "send it again" in json.loads(attempt.answer)["error"]
        assert await stopping == 0
        assert not [line for line in bot.log if "exception" in line]
        await bot.start()
        assert (await world.github.deliver(push.deliveries[0])).status_code in {200, 202}
        await assert_built_once(world, push)


# ── what goes wrong around it ────────────────────────────────────────────────────────────────────────────────────────


@ON_SQLITE
async def test_on_a_full_disk_it_takes_nothing_and_goes_on_when_there_is_room(world: World) -> None:
    async with program(world) as bot:
        first = await world.github.commit_and_push(REPOSITORY)
        await assert_built_once(world, first)
        assert bot.process is not None
        size = (world.folder / "buildbot.db-wal").stat().st_size
        resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        push = await world.github.commit_and_push(REPOSITORY, ref="release/1")
        assert push.attempts[0].status_code == 503
        assert (await world.get("/readyz")).status_code == 503
        assert (await world.get("/livez")).status_code == 200
        resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        again = await world.github.deliver(push.deliveries[0])
        assert again.status_code == 202
        await assert_built_once(world, push, "release-1")
        assert (await world.get("/readyz")).status_code == 200


@ON_POSTGRES
async def test_while_postgresql_is_away_it_takes_nothing_and_goes_on_by_itself(
    world: World, postgres: Postgres
) -> None:
    async with program(world) as bot:
        await assert_built_once(world, await world.github.commit_and_push(REPOSITORY))
        postgres.stop()
        try:
            push = await world.github.commit_and_push(REPOSITORY, ref="release/1")
            assert push.attempts[0].status_code == 503
            assert (await world.get("/readyz")).status_code == 503
            assert (await world.get("/livez")).status_code == 200
        finally:
            postgres.start()
        assert (await world.github.deliver(push.deliveries[0])).status_code == 202
        await assert_built_once(world, push, "release-1")
        assert (await world.get("/readyz")).status_code == 200
        assert not [line for line in bot.log if "exception" in line]


@ON_POSTGRES
async def test_postgresql_that_crashes_in_the_midst_of_builds_costs_none_of_them(
    world: World, postgres: Postgres
) -> None:
    async with program(world):
        pushes = [await world.github.commit_and_push(REPOSITORY, ref=f"release/{number}") for number in range(8)]
        postgres.stop()
        postgres.start()
        assert {push.attempts[0].status_code for push in pushes} == {202}
        for number, push in enumerate(pushes):
            await assert_built_once(world, push, f"release-{number}")


async def test_whatever_quay_and_github_answer_no_secret_is_logged_and_every_line_has_its_ids(world: World) -> None:
    faults = (
        Fault.SERVER_ERROR,
        Fault.BAD_GATEWAY,
        Fault.NONSENSE,
        Fault.NGINX_429,
        Fault.READ_ONLY,
        Fault.LOSE_ANSWER,
    )
    async with program(world) as bot:
        for number, fault in enumerate(faults):
            world.quay.faults.on(fault, times=2)
            world.github.faults.fail(500, on="/statuses/")
            world.github.faults.nonsense(on="/statuses/")
            await world.github.commit_and_push(REPOSITORY, ref=f"release/{number}")
        push = await world.github.commit_and_push(REPOSITORY)
        forged = await world.github.deliver(push.deliveries[0], headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})
        assert forged.status_code == 401
        await until(lambda: len(bot.told("status not posted")) > 0)
        world.quay.revoke_token(world.environ["QUAY_TOKEN"])
        world.github.faults.revoke(world.environ["GITHUB_TOKEN"])
        await world.github.commit_and_push(REPOSITORY, ref="release/last")
        await until(lambda: any("token" in line.get("because", "") for line in bot.log))
        for event in ("delivery recorded", "delivery refused"):
            assert push.deliveries[0].guid in {line["delivery"] for line in bot.told(event)}
        assert all(line["build"] and line["repository"] and line["registry"] for line in bot.told("build moved"))
        assert all(line["build"] and line["sha"] and line["context"] for line in bot.told("status not posted"))


# ── started wrongly ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bad_configuration_is_told_whole_without_a_traceback(world: World) -> None:
    world.setting.rules = RULE.replace("image_tags", "image_tag").replace('source = "acme/api"', 'source = "acme"')
    configure(world)
    said = await fails(Program(world), "-c", str(world.config_file))
    assert any("image_tag" in line for line in said)
    assert any("source" in line for line in said)
    assert said[-1].startswith(("2 mistakes in", "3 mistakes in"))


async def test_a_configuration_that_is_not_there_is_told(world: World) -> None:
    said = await fails(Program(world), "-c", str(world.folder / "nowhere.toml"))
    assert any("nowhere.toml" in line for line in said)


async def test_a_missing_secret_is_told_by_its_name(world: World) -> None:
    configure(world)
    del world.environ["QUAY_TOKEN"]
    assert any("QUAY_TOKEN" in line for line in await fails(Program(world), "-c", str(world.config_file)))


async def test_a_port_that_is_taken_is_told_in_one_line(world: World) -> None:
    async with program(world):
        said = await fails(Program(world), "-c", str(world.config_file))
    assert len(said) == 1
    assert "cannot listen on 127.0.0.1:" in said[0]


@ON_SQLITE
async def test_a_database_that_is_none_is_told_in_one_line(world: World) -> None:
    configure(world)
    (world.folder / "buildbot.db").write_text("this is no database, but somebody's letter " * 100)
    said = await fails(Program(world), "-c", str(world.config_file))
    assert len(said) == 1
    assert "not a database" in said[0]


async def test_the_configuration_may_be_named_by_the_environment(world: World) -> None:
    configure(world)
    bot = Program(world)
    await bot.launch(BUILDBOT_CONFIG=str(world.config_file))
    await until(lambda: bool(bot.told("listening")))
    assert await bot.stop() == 0


async def fails(bot: Program, *arguments: str) -> list[str]:
    """What it says when it is not to be started; the exit code is that of wrong input."""
    await bot.launch(*arguments)
    assert await bot.ended() == 2
    assert not [line for line in bot.lines if "Traceback" in line]
    return bot.lines
