"""Courses go as recorded: `quay_timelines.json` is what the real Quay's API showed of five builds, and of one more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_courses import COURSES, PHASE, slow
from tests.sandbox.quay_world import World

pytestmark = pytest.mark.anyio

RUNS: dict[str, Any] = json.loads((Path(__file__).parent / "quay_timelines.json").read_text())["runs"]
LOGGED = {name: run for name, run in RUNS.items() if run["log"] and name != "slow-cancelled"}
# polled every half second or more, so that short phases were missed
SHORT = {"build-scheduled", "expired"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


def watch(world: World, build: Build, seconds: float, cancel_in: str | None = None) -> list[tuple[float, str]]:
    """Phases with the time since the request at which they first showed."""
    begun, seen = world.now, [(0.0, build.phase)]
    while world.now - begun < seconds:
        world.turn(0.1)
        phase = world.quay.build(build.id).phase
        if phase != seen[-1][1]:
            seen.append((world.now - begun, phase))
            if phase == cancel_in:
                world.turn(5.9)
                world.quay.cancel_in_ui(build.id)
    return seen


def since_unpacking(phases: list[tuple[float, str]]) -> dict[str, float]:
    """When each phase of the first attempt began, counted from `unpacking`."""
    begun = next(at for at, phase in phases if phase == "unpacking")
    first: dict[str, float] = {}
    for at, phase in phases:
        if at >= begun:
            first.setdefault(phase, at - begun)
    return first


@pytest.mark.parametrize("name", ["success", "podman", "fail-build", "seterror", "transient-expired"])
async def test_phases_come_in_the_recorded_order_and_time(world: World, name: str) -> None:
    recorded = [(at, phase) for at, phase in RUNS[name]["phases"]]
    got = watch(world, await world.request(course=name), 400.0)
    rest = iter([phase for _, phase in got])
    assert all(phase in rest for _, phase in recorded), got
    extra = [phase for _, phase in got if phase in SHORT]
    assert len(got) - len(recorded) <= len(extra)
    expected, shown = since_unpacking(recorded), since_unpacking(got)
    for phase in expected.keys() - SHORT:
        assert shown[phase] == pytest.approx(expected[phase], abs=1.6), phase


async def test_a_slow_start_shows_expired_before_the_last_attempt_as_recorded(world: World) -> None:
    got = [phase for _, phase in watch(world, await world.request(course="transient-expired"), 400.0)]
    recorded = [phase for _, phase in RUNS["transient-expired"]["phases"]]
    assert got == [recorded[0], "build-scheduled", *recorded[1:]]


@pytest.mark.parametrize("name", LOGGED)
async def test_the_log_is_the_recorded_one_to_the_letter(world: World, name: str) -> None:
    build = await world.request(course=name, docker_tags=["latest"])
    world.turn(400.0)
    assert await log_of(world, build) == RUNS[name]["log"]


async def test_a_cancelled_build_logs_on_until_it_would_push_as_recorded(world: World) -> None:
    build = await world.request(course="slow", docker_tags=["latest"])
    got = watch(world, build, 100.0, cancel_in="building")
    assert [phase for _, phase in got][-2:] == ["building", "cancelled"]
    assert await log_of(world, build) == RUNS["slow-cancelled"]["log"]
    assert world.quay.pushed == []


async def log_of(world: World, build: Build) -> list[dict[str, Any]]:
    """A build's log without the times."""
    answer = await world.ask("GET", f"/{build.repository}/build/{build.id}/logs")
    logs: list[dict[str, Any]] = answer.json()["logs"]
    for entry in logs:
        del entry["data"]["datetime"]
        if not entry["data"]:
            del entry["data"]
    return logs


@pytest.mark.parametrize("course", COURSES.values(), ids=list(COURSES))
async def test_every_course_holds_recorded_lines_only(course: Any) -> None:
    site = {"registry": "127.0.0.1:8090", "repository": "acme/app"}
    recorded = {(entry["message"], entry.get("type")) for run in LOGGED.values() for entry in run["log"]}
    for attempt in course.attempts:
        for step in attempt.script(("latest",)):
            assert (step.message.format(**site), step.type) in recorded


@pytest.mark.parametrize("tags", [("a",), ("a", "b", "c"), ("a", "a")])
def test_tags_are_pushed_one_after_another_and_before_the_end(tags: tuple[str, ...]) -> None:
    script = list(COURSES["success"].attempt(1).script(tags))
    assert all(before.at < after.at for before, after in pairwise(script))
    assert tuple(step.writes_tag for step in script if step.writes_tag) == tags
    assert (script[-1].message, script[-1].type) == ("complete", PHASE)


@pytest.mark.parametrize(
    ("course", "attempts", "seconds"),
    [("third-attempt-succeeds", 3, 400), ("second-attempt-succeeds", 2, 400), ("slow", 1, 80)],
)
async def test_a_course_may_end_well_after_all(world: World, course: str, attempts: int, seconds: float) -> None:
    build = await world.request(course=course)
    assert watch(world, build, seconds)[-1][1] == "complete"
    assert build.attempts == attempts
    assert world.quay.image("acme/app", "v1") == build.archive_url


async def test_how_long_a_slow_build_takes_can_be_chosen(world: World) -> None:
    build = await world.request(course=slow(600.0))
    world.reach(build, "building")
    world.turn(590.0)
    assert world.quay.build(build.id).phase == "building"
    world.turn(20.0)
    assert world.quay.build(build.id).phase == "complete"


async def test_a_build_that_hangs_is_stopped_after_two_hours_and_tried_again(world: World) -> None:
    build = await world.request(course="hang")
    world.turn(7100.0)
    assert world.quay.build(build.id).phase == "building"
    world.turn(120.0)
    assert world.quay.build(build.id).phase == "internalerror"
    world.turn(60.0)
    assert (world.quay.build(build.id).phase, build.attempts) == ("building", 2)
