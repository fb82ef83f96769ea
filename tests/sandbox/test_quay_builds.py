"""The queue, retries and cancelling, by the rules that were recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_courses import slow
from tests.sandbox.quay_world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def cancel(world: World, build: Build) -> int:
    return (await world.ask("DELETE", f"/{build.repository}/build/{build.id}")).status_code


def tries(build: Build) -> int | None:
    return build.item.tries if build.item else None


async def test_a_round_every_ten_seconds_takes_one_build(world: World) -> None:
    builds = [await world.request(name, slow(100.0)) for name in ("acme/app", "acme/api", "acme/pub")]
    world.turn(10.5)
    assert [it.phase for it in world.quay.builds] == ["unpacking", "waiting", "waiting"]
    world.turn(10.0)
    assert [it.phase for it in world.quay.builds] == ["building", "unpacking", "waiting"]
    assert [it.attempts for it in builds] == [1, 1, 0]


async def test_of_one_repository_one_build_runs_at_a_time_oldest_first(world: World) -> None:
    first, second, third = [await world.request(course="slow", archive_url=f"https://x/{n}") for n in range(3)]
    world.reach(first, "complete")
    assert (second.phase, third.phase) == ("waiting", "waiting")
    world.reach(second, "complete")
    assert third.phase == "waiting"
    world.reach(third, "complete")
    assert [it.build_id for it in world.quay.pushed] == [first.id, second.id, third.id]
    assert world.quay.image("acme/app", "v1") == "https://x/2"


async def test_another_build_of_the_repository_overtakes_one_that_waits_for_its_retry(world: World) -> None:
    failing = await world.request(course="fail-build")
    overtaking = await world.request()
    world.reach(failing, "internalerror")
    assert overtaking.phase == "waiting"
    world.reach(overtaking, "complete", within=30.0)
    assert failing.phase == "internalerror"


async def test_all_workers_busy_use_up_the_retries_and_the_build_waits_for_ever_as_recorded(world: World) -> None:
    recorded = json.loads((Path(__file__).parent / "quay_timelines.json").read_text())["starved_retries"]
    world.quay.allowed_workers = 1
    busy = await world.request("acme/app", slow(100.0))
    world.reach(busy, "build-scheduled")
    starved = await world.request("acme/other")
    seen = [tries(starved)]
    for _ in range(16):
        world.turn(10.0)
        assert world.quay.build(starved.id).phase == "waiting"
        seen.append(tries(starved))
    assert seen[:4] == [3, 2, 1, 0] == list(dict.fromkeys(recorded))
    assert (busy.phase, seen[-1]) == ("complete", recorded[-1])
    assert await cancel(world, starved) == 201
    again = await world.request("acme/other")
    world.reach(again, "complete")


async def test_a_free_worker_takes_the_next_build(world: World) -> None:
    world.quay.allowed_workers = 1
    busy = await world.request("acme/app", slow(12.0))
    world.reach(busy, "building")
    other = await world.request("acme/other")
    world.reach(other, "complete")
    assert other.attempts == 1


async def test_a_stuck_build_does_not_block_its_repository(world: World) -> None:
    stuck = await world.request(course="stuck-waiting")
    world.turn(60.0)
    following = await world.request()
    world.reach(following, "complete", within=20.0)
    assert stuck.phase == "waiting"


@pytest.mark.parametrize("phase", ["waiting", "build-scheduled", "unpacking", "pulling", "building"])
async def test_a_build_cancelled_before_it_pushes_never_pushes(world: World, phase: str) -> None:
    build = await world.request()
    world.reach(build, phase)
    assert await cancel(world, build) == 201
    world.turn(100.0)
    assert (world.quay.build(build.id).phase, world.quay.pushed) == ("cancelled", [])


async def test_a_build_cancelled_while_its_builder_starts_is_never_taken_up(world: World) -> None:
    build = await world.request(course="transient-expired")
    world.turn(15.0)
    assert world.quay.build(build.id).phase == "waiting"
    assert await cancel(world, build) == 201
    world.turn(100.0)
    assert (world.quay.build(build.id).phase, build.attempts, build.log) == ("cancelled", 0, [])


async def test_a_build_that_pushes_refuses_and_writes_its_tags(world: World) -> None:
    build = await world.request(docker_tags=["a", "b"])
    world.reach(build, "pushing")
    assert await cancel(world, build) == 400
    world.reach(build, "complete")
    assert [it.tag for it in world.quay.pushed] == ["a", "b"]


async def test_tags_appear_one_by_one_while_pushing(world: World) -> None:
    build = await world.request(docker_tags=["a", "b"])
    world.reach(build, "pushing")
    world.turn(1.1)
    assert [it.tag for it in world.quay.pushed] == ["a"]
    assert world.quay.build(build.id).phase == "pushing"


async def test_a_refused_cancel_still_takes_the_retries_away(world: World) -> None:
    build = await world.request(course="fail-build")
    world.reach(build, "internalerror")
    assert await cancel(world, build) == 400
    assert world.quay.build(build.id).phase == "expired"
    world.turn(1000.0)
    assert (world.quay.build(build.id).phase, build.attempts) == ("expired", 1)


async def test_a_cancel_without_reaching_the_builder_leaves_one_try(world: World) -> None:
    build = await world.request(course="fail-build")
    world.reach(build, "building")
    world.quay.features.noop_canceller = True
    assert [await cancel(world, build) for _ in range(3)] == [400, 400, 400]
    world.reach(build, "expired", within=70.0)
    assert build.attempts == 1


async def test_a_cancelled_build_frees_its_repository_while_its_builder_works_on(world: World) -> None:
    cancelled = await world.request(course=slow(600.0))
    world.reach(cancelled, "building")
    following = await world.request()
    assert await cancel(world, cancelled) == 201
    world.reach(following, "complete", within=20.0)
    world.turn(600.0)
    assert world.quay.build(cancelled.id).log[-1]["message"] == "Successfully built 0123456789ab\n"
    assert [it.build_id for it in world.quay.pushed] == [following.id]


@pytest.mark.parametrize(
    ("phase", "answers"), [("waiting", [201, 400, 500, 500]), ("building", [201, 500, 500]), ("pushing", [400, 400])]
)
async def test_cancelling_again_is_answered_as_recorded(world: World, phase: str, answers: list[int]) -> None:
    build = await world.request()
    world.reach(build, phase)
    assert [await cancel(world, build) for _ in answers] == answers


async def test_after_a_day_a_cancelled_build_can_be_cancelled_again_without_a_crash(world: World) -> None:
    build = await world.request()
    world.reach(build, "building")
    assert await cancel(world, build) == 201
    world.turn(86_400.0)
    assert await cancel(world, build) == 500
    world.turn(61.0)
    assert await cancel(world, build) == 400


@pytest.mark.parametrize("course", ["success", "seterror"])
async def test_a_finished_build_frees_the_namespace_s_queue(world: World, course: str) -> None:
    world.quay.limit_queue("acme", 1)
    build = await world.request(course=course)
    path, body = "/acme/app/build/", {"archive_url": "https://x/y"}
    assert (await world.ask("POST", path, json=body)).status_code == 429
    world.turn(60.0)
    assert world.quay.build(build.id).phase in ("complete", "error")
    assert (await world.ask("POST", path, json=body)).status_code == 201


async def test_a_build_without_a_try_left_no_longer_counts_against_the_queue(world: World) -> None:
    world.quay.limit_queue("acme", 1)
    stuck = await world.request(course="stuck-waiting")
    path, body = "/acme/app/build/", {"archive_url": "https://x/y"}
    world.turn(20.5)
    assert (tries(world.quay.build(stuck.id)), (await world.ask("POST", path, json=body)).status_code) == (1, 429)
    world.turn(10.0)
    assert (tries(world.quay.build(stuck.id)), (await world.ask("POST", path, json=body)).status_code) == (0, 201)


async def test_the_queue_limit_counts_namespaces_that_begin_the_same(world: World) -> None:
    world.quay.add_repository("acme2/app")
    world.quay.grant("acme2", "alice", "admin")
    await world.request("acme2/app", "stuck-waiting")
    world.quay.limit_queue("acme", 1)
    assert (await world.ask("POST", "/acme/app/build/", json={"archive_url": "https://x/y"})).status_code == 429
