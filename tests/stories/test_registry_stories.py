"""What goes wrong at Quay, and what people then read on their commits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buildbot.sandbox.github import Push
from buildbot.sandbox.quay_access import Grant
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.serving import listen, serving, url_of
from tests.stories.world import BRISK, REPOSITORY, RULE, World, until

pytestmark = pytest.mark.anyio

REQUEST, LIST, CANCEL, LOGS = "requestRepoBuild", "getRepoBuilds", "cancelRepoBuild", "getRepoBuildLogs"
READ, READ_PHASE = "getRepoBuild", "getRepoBuildStatus"
STILL = 0.001
OPERATIONS = (REQUEST, LIST, CANCEL, LOGS, READ, READ_PHASE)


@pytest.fixture
async def world(world: World) -> World:
    """A Quay in a hurry, and a bot that does not wait long for an answer."""
    world.setting.registry = BRISK
    world.quay.speed = 200
    world.watch.run(5)
    return world


async def push(world: World, message: str = "Change a thing", ref: str | None = None) -> Push:
    return await world.github.commit_and_push(REPOSITORY, message=message, ref=ref)


def in_turn(*courses: str) -> Callable[[Build], str]:
    """The courses of the builds in the order in which they are asked for; the last one repeats."""
    left = list(courses)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def phases(world: World) -> list[str]:
    return [build.phase for build in world.quay.builds]


def mark(build: Build) -> str:
    return (build.archive_url or "").partition("#")[2]


# ── answers that are lost ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_build_whose_answer_was_lost_is_adopted_by_its_mark(world: World) -> None:
    world.quay.faults.on("lose-answer", REQUEST, times=1)
    async with world.bot():
        pushed = await push(world)
        assert (await world.final_status(pushed.sha)).state == "success"
        (build_id,) = world.built_by(pushed)
    assert world.quay_calls(REQUEST) == [201]
    assert [mark(build) for build in world.quay.builds] == [f"{build_id}.1"]


async def test_a_request_that_was_lost_is_made_again_as_the_next_attempt(world: World) -> None:
    world.quay.faults.on("lose-request", REQUEST, times=1)
    async with world.bot():
        pushed = await push(world)
        assert (await world.final_status(pushed.sha)).state == "success"
        (build_id,) = world.built_by(pushed)
    assert world.quay_calls(REQUEST) == [0, 201]
    assert [mark(build) for build in world.quay.builds] == [f"{build_id}.2"]


async def test_a_request_that_works_late_is_waited_for(world: World) -> None:
    world.watch.run(1)
    world.quay.faults.on("late", REQUEST, times=1, seconds=0.3)
    async with world.bot():
        pushed = await push(world)
        assert (await world.final_status(pushed.sha)).state == "success"
    assert world.quay_calls(REQUEST) == [0, 201]
    assert len(world.quay.builds) == 1


async def test_a_request_that_works_after_the_settle_time_is_a_stray_and_is_cancelled_once(world: World) -> None:
    world.quay.speed = 20
    world.quay.choose = lambda _: "slow"
    world.quay.faults.on("late", REQUEST, times=1, seconds=1.5)
    async with world.bot():
        pushed = await push(world)
        await until(lambda: len(world.quay.builds) == 2)
        await until(lambda: phases(world)[1] == "cancelled")
        world.quay.speed = 500
        assert (await world.final_status(pushed.sha)).state == "success"
    assert [mark(build)[-2:] for build in world.quay.builds] == [".2", ".1"]
    assert world.quay_calls(CANCEL) == [201]
    assert {tag.build_id for tag in world.quay.pushed} == {world.quay.builds[0].id}


async def test_a_stray_that_cannot_be_cancelled_holds_its_image_tags_against_newer_pushes(world: World) -> None:
    world.quay.speed = 20
    world.quay.choose = lambda _: "slow"
    world.quay.faults.on("late", REQUEST, times=1, seconds=1.5)
    world.quay.faults.on("500", CANCEL, times=1)
    async with world.bot():
        await push(world, "One")
        await until(lambda: 500 in world.quay_calls(CANCEL))
        world.quay.speed = STILL
        newer = await push(world, "Two")
        await world.until_build(newer, lambda build: "a late build" in build["because"])
        assert len(world.quay.builds) == 2
        world.quay.speed = 500
        assert (await world.final_status(newer.sha)).state == "success"
    assert phases(world) == ["cancelled", "complete", "complete"]
    assert sorted(world.quay_calls(CANCEL)) == [201, 500]
    assert world.image_commit("main") == newer.sha


@pytest.mark.parametrize("fault", ["500", "nonsense", "lose-answer", "429-nginx"])
async def test_one_failure_of_every_operation_delays_and_changes_nothing(world: World, fault: str) -> None:
    world.quay.speed = 50
    world.quay.choose = in_turn("hang", "success", "seterror")
    async with world.bot():
        older = await push(world, "One")
        await until(lambda: phases(world) == ["building"])
        for operation in OPERATIONS:
            world.quay.faults.on(fault, operation, times=1)
        newer = await push(world, "Two")
        assert (await world.final_status(older.sha)).description == f"Superseded by {newer.sha[:7]} (main)"
        assert (await world.final_status(newer.sha)).state == "success"
        failing = await push(world, "Three")
        assert (await world.final_status(failing.sha)).state == "failure"
    assert phases(world) == ["cancelled", "complete", "error"]
    assert world.image_commit("main") == newer.sha


# ── a Quay that does not take it now ─────────────────────────────────────────────────────────────────────────────────


async def test_a_registry_that_is_read_only_is_waited_for_without_a_story_of_every_attempt(world: World) -> None:
    world.quay.faults.on("503-read-only")
    async with world.bot():
        pushed = await push(world)
        await until(lambda: 503 in world.quay_calls(REQUEST) and bool(world.statuses(pushed.sha)))
        world.watch.forward(61)
        await until(lambda: len(world.quay_calls(REQUEST)) >= 3)
        await until(lambda: "read-only" in (world.statuses(pushed.sha)[-1].description or ""))
        world.quay.faults.off("503-read-only")
        world.watch.forward(61)
        assert (await world.final_status(pushed.sha)).state == "success"
        told = [step["what"] for step in (await world.build(pushed))["steps"]]
    assert told.count("asked Quay for the build") == 2
    assert len([step for step in told if "read-only" in step]) == 1


async def test_a_full_queue_is_waited_for(world: World) -> None:
    world.quay.limit_queue("acme", 0)
    async with world.bot():
        pushed = await push(world)
        build = await world.until_build(pushed, lambda build: bool(build["because"]))
        assert "Quay's queue is full (Maximum queued build rate" in build["description"]
        world.quay.limit_queue("acme", 5)
        world.watch.forward(61)
        assert (await world.final_status(pushed.sha)).state == "success"
    assert set(world.quay_calls(REQUEST)) == {429, 201}


async def test_pushes_that_the_proxy_turns_away_are_all_built(world: World) -> None:
    world.quay.speed = 1000
    world.quay.faults.on("429-nginx", REQUEST, times=6)
    async with world.bot():
        pushes = [await push(world, ref=f"release/{number}") for number in range(8)]
        for one in pushes:
            assert (await world.final_status(one.sha)).state == "success"
    assert sorted(world.quay_calls(REQUEST)) == [201] * len(pushes) + [429] * 6


async def test_nobody_listens_at_first(world: World) -> None:
    port = listen()
    world.quay.url = url_of(port)
    async with world.bot():
        pushed = await push(world)
        build = await world.until_build(pushed, lambda build: "cannot reach" in build["description"])
        assert "UTC)" in build["description"]
        assert [step["what"] for step in build["steps"] if "asked Quay" in step["what"]] in (
            [],
            ["asked Quay for the build"],
        )
        async with serving(world.quay.app, listening=port):
            world.watch.forward(11)
            assert (await world.final_status(pushed.sha)).state == "success"
        assert (await world.get("/readyz")).status_code == 200


async def test_a_quay_that_is_gone_while_it_builds_is_named_with_the_time(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
        world.quay.faults.on("down")
        build = await world.until_build(pushed, lambda build: "no word from Quay since" in build["description"])
        assert "UTC" in build["description"]
        world.quay.builds[0].stored_phase = "complete"
        world.quay.faults.off("down")
        world.watch.forward(61)
        assert (await world.final_status(pushed.sha)).state == "success"


# ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_token_pauses_the_registry_until_it_works_again(world: World) -> None:
    token = world.environ["QUAY_TOKEN"]
    world.quay.revoke_token(token)
    async with world.bot():
        first = await push(world)
        build = await world.until_build(first, lambda build: "token" in build["description"])
        assert "Quay does not accept the token" in build["description"]
        calls = len(world.quay.calls)
        others = [await push(world, ref=f"release/{number}") for number in range(3)]
        for other in others:
            await world.until_build(other, lambda build: "does not accept the token" in build["description"])
        assert len(world.quay.calls) == calls
        world.quay._access._tokens[token] = Grant("builder", frozenset({"repo:admin"}))
        world.watch.forward(61)
        for one in [first, *others]:
            assert (await world.final_status(one.sha)).state == "success"


async def test_a_token_that_may_not_request_ends_the_build_in_quays_words(world: World) -> None:
    world.environ["QUAY_TOKEN"] = world.quay.issue_token("builder", scopes=("repo:read",))
    async with world.bot():
        status = await world.final_status((await push(world)).sha)
    assert status.state == "error"
    assert (status.description or "").startswith(
        "Quay refused the build of acme/api: Unauthorized; it needs a repo:write"
    )
    assert world.quay_calls(REQUEST) == [403]


async def test_a_build_that_the_token_may_not_cancel_goes_on_and_says_so(world: World) -> None:
    world.environ["QUAY_TOKEN"] = world.quay.issue_token("builder", scopes=("repo:write",))
    world.quay.speed = 20
    world.quay.choose = in_turn("slow", "success")
    async with world.bot():
        older = await push(world, "One")
        await until(lambda: phases(world) == ["building"])
        world.quay.speed = STILL
        await world.until_build(older, lambda build: build["quay_phase"] == "building")
        newer = await push(world, "Two")
        build = await world.until_build(older, lambda build: bool(build["cancel"] and build["cancel"]["refusal"]))
        assert "too late to cancel: Quay refused to cancel" in build["description"]
        assert "repo:admin" in build["cancel"]["refusal"]
        world.quay.speed = 500
        assert (await world.final_status(older.sha)).state == "success"
        assert (await world.final_status(newer.sha)).state == "success"
    assert world.quay_calls(CANCEL) == [403]
    assert world.image_commit("main") == newer.sha


# ── builds that end otherwise than hoped ─────────────────────────────────────────────────────────────────────────────


async def test_a_build_with_other_tags_than_asked_is_cancelled_at_once(world: World) -> None:
    world.quay.speed = 20
    world.quay.faults.on("rewrite-tags", tags=("latest",))
    async with world.bot():
        pushed = await push(world, ref="release/1")
        status = await world.final_status(pushed.sha)
    assert status.state == "error"
    assert status.description == f"Quay took latest instead of release-1, sha-{pushed.sha[:7]} (release/1)"
    assert phases(world) == ["cancelled"]
    assert world.quay.pushed == []


@pytest.mark.parametrize(("course", "archived"), [("fail-build", False), ("seterror", True)])
async def test_a_failing_dockerfile_is_a_failure_with_step_and_last_line(
    world: World, course: str, archived: bool
) -> None:
    world.quay.speed = 600
    world.quay.choose = lambda _: course
    if archived:
        world.quay.faults.on("archive-logs")
    async with world.bot():
        pushed = await push(world)
        status = await world.final_status(pushed.sha)
    assert status.state == "failure"
    assert status.description == "Failed in step 2/2: RUN false (main)"
    assert [one.state for one in world.statuses(pushed.sha)] == ["pending", "failure"]


@pytest.mark.parametrize(("course", "private"), [("no-archive", False), ("transient-expired", True)])
async def test_a_source_that_quay_cannot_use_is_an_error_that_says_so(world: World, course: str, private: bool) -> None:
    world.github.set_private(REPOSITORY, private)
    world.quay.speed = 600
    world.quay.choose = lambda _: course
    async with world.bot():
        status = await world.final_status((await push(world)).sha)
    relay = ": private source needs the archive relay: set server.public_url" if private else ""
    assert status.state == "error"
    assert status.description == f"Quay's builder could not use the source archive{relay} (main)"


@pytest.mark.parametrize("course", ["second-attempt-succeeds", "third-attempt-succeeds", "podman"])
async def test_a_build_that_quay_mends_itself_is_a_success(world: World, course: str) -> None:
    world.quay.choose = lambda _: course
    async with world.bot():
        pushed = await push(world)
        assert (await world.final_status(pushed.sha)).state == "success"
    assert [one.state for one in world.statuses(pushed.sha)] == ["pending", "success"]
    assert len(world.quay.builds) == 1


async def test_a_build_that_quay_forgot_in_its_queue_is_cancelled_and_asked_for_again(world: World) -> None:
    world.quay.choose = in_turn("stuck-waiting", "success")
    async with world.bot():
        pushed = await push(world)
        await until(lambda: world.quay_calls(LIST).count(200) >= 2)
        world.watch.forward(601)
        assert (await world.final_status(pushed.sha)).state == "success"
        build = await world.build(pushed)
    assert build["attempt"] == 2
    assert phases(world) == ["cancelled", "complete"]
    assert {tag.build_id for tag in world.quay.pushed} == {world.quay.builds[1].id}


async def test_a_build_that_somebody_cancels_in_quay_is_an_error(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await until(lambda: phases(world) == ["building"])
        assert world.quay.cancel_in_ui(world.quay.builds[0].id)
        status = await world.final_status(pushed.sha)
    assert (status.state, status.description) == ("error", "Cancelled in Quay (main)")


async def test_a_build_that_takes_longer_than_its_rule_allows_is_cancelled(world: World) -> None:
    world.setting.rules = f'{RULE}\ntimeout = "1h"'
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
        world.watch.forward(3601)
        status = await world.final_status(pushed.sha)
    assert (status.state, status.description) == ("error", "Timed out after 1 h (main)")
    assert phases(world) == ["cancelled"]


async def test_a_quay_without_its_redis_is_no_observation(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
        world.quay.faults.on("redis-down")
        build = await world.until_build(pushed, lambda build: build["quay_phase"] == "cannot_load")
        assert build["phase"] == "building"
        assert "no word from Quay since" in build["description"]
        world.quay.builds[0].stored_phase = "complete"
        world.quay.faults.off("redis-down")
        assert (await world.final_status(pushed.sha)).state == "success"


async def test_a_list_that_takes_too_long_is_replaced_by_single_reads(world: World) -> None:
    world.quay.faults.on("slow", LIST, seconds=1.0)
    async with world.bot():
        pushed = await push(world)
        assert (await world.final_status(pushed.sha)).state == "success"
        await until(lambda: bool(world.quay_calls(LIST)))
    assert world.quay_calls(READ_PHASE)
    assert world.quay_calls(LIST) == [200]


async def test_a_word_for_a_phase_that_nobody_knows_changes_nothing(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
        world.quay.builds[0].stored_phase = "priming-cache"
        build = await world.until_build(pushed, lambda build: build["quay_phase"] == "priming-cache")
        assert build["phase"] == "building"
        world.quay.builds[0].stored_phase = "complete"
        assert (await world.final_status(pushed.sha)).state == "success"


async def test_all_six_operations_are_used(world: World) -> None:
    world.quay.speed = 50
    world.quay.choose = in_turn("hang", "seterror")
    world.quay.faults.on("500", CANCEL, times=1)
    async with world.bot():
        await push(world, "One")
        await until(lambda: phases(world) == ["building"])
        newer = await push(world, "Two")
        await until(lambda: phases(world)[0] == "cancelled")
        world.quay.faults.on("slow", LIST, seconds=1.0)
        assert (await world.final_status(newer.sha)).state == "failure"
    assert {name for name, _ in world.quay.calls} == set(OPERATIONS)


async def test_a_build_whose_registry_is_no_longer_configured_ends_and_says_so(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
    world.setting.registry_name = "other"
    async with world.bot():
        status = await world.final_status(pushed.sha)
    assert (status.state, status.description) == ("error", "The registry quay is no longer configured (main)")
