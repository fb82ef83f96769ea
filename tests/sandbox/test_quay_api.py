"""What the recording tells of the API beyond single exchanges: lists, logs, order of checks, what a caller sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest

from buildbot.sandbox.quay_courses import slow
from tests.sandbox.quay_world import ARCHIVE, World

pytestmark = pytest.mark.anyio

COLLECTION = "/acme/app/build/"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def listed(world: World, query: str) -> list[str]:
    builds = (await world.ask("GET", f"{COLLECTION}?{query}")).json()["builds"]
    return [it["tags"][0] for it in builds]


async def test_the_list_is_newest_first_and_five_long_unless_asked_otherwise(world: World) -> None:
    for number in range(7):
        await world.request(docker_tags=[f"t{number}"])
    assert await listed(world, "") == ["t6", "t5", "t4", "t3", "t2"]
    assert await listed(world, "limit=2") == ["t6", "t5"]
    assert len(await listed(world, "limit=0")) == 7
    assert len(await listed(world, "limit=100&page=2")) == 7


async def test_since_keeps_builds_started_then_or_later_and_the_limit_holds_all_the_same(world: World) -> None:
    for number in range(7):
        await world.request(docker_tags=[f"t{number}"])
        world.turn(10.0)
    since = int(world.now) - 60
    assert await listed(world, f"since={since}&limit=0") == ["t6", "t5", "t4", "t3", "t2", "t1"]
    assert await listed(world, f"since={since}&limit=2") == ["t6", "t5"]
    assert await listed(world, f"since={int(world.now)}") == []


async def test_a_list_holds_builds_of_its_repository_only_also_those_of_triggers(world: World) -> None:
    await world.request("acme/other")
    world.quay.start_from_trigger("acme/app", "c" * 40, ["from/git"])
    (shown,) = (await world.ask("GET", COLLECTION)).json()["builds"]
    assert (shown["tags"], shown["trigger"]["service"], "archive_url" in shown) == (["from_git"], "custom-git", False)


async def test_started_is_when_the_build_was_asked_for_and_never_changes(world: World) -> None:
    build = await world.request(course="fail-build")
    asked = world.now
    world.reach(build, "expired")
    shown = (await world.ask("GET", f"{COLLECTION}{build.id}")).json()["started"]
    assert shown.endswith(" -0000")
    assert parsedate_to_datetime(shown).replace(tzinfo=None).isoformat() == "2026-11-23T17:00:00"
    assert (build.requested_at, build.started and build.started > asked) == (asked, True)


async def test_only_a_writer_is_shown_the_archive(world: World) -> None:
    build = await world.request(archive_url="https://user:secret@example.com/a")
    path = f"{COLLECTION}{build.id}"
    assert (await world.ask("GET", path, "WRITE")).json()["archive_url"] == "https://user:secret@example.com/a"
    reader = await world.ask("GET", path, "READ")
    assert "secret" not in reader.text
    assert reader.json()["is_writer"] is False


async def test_an_archive_s_address_comes_back_to_the_letter_with_its_fragment(world: World) -> None:
    url = f"{ARCHIVE}#mark=0b7c.1"
    build = await world.request(archive_url=url)
    assert (await world.ask("GET", f"{COLLECTION}{build.id}")).json()["archive_url"] == url
    world.reach(build, "complete")
    assert world.quay.image("acme/app", "v1") == url


async def test_a_log_can_be_followed_from_where_one_was(world: World) -> None:
    build = await world.request(course="fail-build")
    followed: list[dict[str, object]] = []
    for _ in range(60):
        world.turn(5.0)
        page = (await world.ask("GET", f"{COLLECTION}{build.id}/logs?start={len(followed)}")).json()
        assert page["start"] == len(followed)
        followed += page["logs"]
        assert page["total"] == len(followed)
    whole = (await world.ask("GET", f"{COLLECTION}{build.id}/logs")).json()
    assert followed == whole["logs"]
    assert [it["message"] for it in followed].count("build-scheduled") == 3


@pytest.mark.parametrize("start", ["abc", "", "1.5"])
async def test_a_start_that_is_no_number_is_a_500(world: World, start: str) -> None:
    build = await world.request()
    assert (await world.ask("GET", f"{COLLECTION}{build.id}/logs?start={start}")).status_code == 500


async def test_checks_come_in_the_recorded_order(world: World) -> None:
    world.quay.limit_queue("acme", 0)
    world.quay.add_repository("acme/app", state="READ_ONLY")
    mistakes: dict[str, object] = {"archive_url": "ftp://größe", "docker_tags": "x", "pull_robot": "acme+nosuch"}
    repairs: list[dict[str, object]] = [{"docker_tags": ["x"]}, {"archive_url": "https://größe"}, {"pull_robot": ""}]
    statuses = []
    statuses.append(await _post(world, mistakes, "EXPIRED"))
    statuses.append(await _post(world, mistakes, "READ"))
    statuses.append(await _post(world, mistakes))
    world.quay.add_repository("acme/app")
    statuses.append(await _post(world, mistakes))
    for repair in repairs:
        mistakes |= repair
        statuses.append(await _post(world, mistakes))
    statuses.append(await _post(world, mistakes | {"archive_url": "https://x"}))
    assert statuses == [403, 403, 503, 400, 400, 404, 500, 429]


async def _post(world: World, body: dict[str, object], token: str = "FULL") -> int:
    return (await world.ask("POST", COLLECTION, token, json=body)).status_code


async def test_the_error_of_a_missing_build_differs_by_operation(world: World) -> None:
    missing = f"{COLLECTION}{'0' * 8}-0000-4000-8000-{'0' * 12}"
    assert (await world.ask("GET", missing)).status_code == 404
    assert (await world.ask("DELETE", missing)).status_code == 404
    assert (await world.ask("GET", f"{missing}/status")).status_code == 400
    assert (await world.ask("GET", f"{missing}/logs")).status_code == 400


async def test_a_refused_post_leaves_no_build(world: World) -> None:
    assert await _post(world, {"archive_url": "ftp://x"}) == 400
    assert await _post(world, {"archive_url": "https://größe"}) == 500
    assert world.quay.builds == []


async def test_a_repository_deep_in_a_namespace_has_builds(world: World) -> None:
    world.quay.add_repository("acme/nested/deep/app")
    build = await world.request("acme/nested/deep/app")
    shown = (await world.ask("GET", f"/acme/nested/deep/app/build/{build.id}/status")).json()
    assert shown["repository"] == {"namespace": "acme", "name": "nested/deep/app"}


async def test_whether_a_repository_exists_can_be_asked(world: World) -> None:
    assert (await world.ask("GET", "/acme/app")).json()["can_admin"] is True
    assert (await world.ask("GET", "/acme/missing")).status_code == 404
    assert (await world.ask("GET", "/acme/app", "BOB_FULL")).status_code == 403
    assert (await world.ask("GET", "/acme/app", "EXPIRED")).status_code == 401


async def test_a_long_build_stays_in_its_phase_however_often_one_asks(world: World) -> None:
    build = await world.request(course=slow(1000.0))
    world.reach(build, "building")
    for _ in range(90):
        world.turn(10.0)
        assert (await world.ask("GET", f"{COLLECTION}{build.id}/status")).json()["phase"] == "building"
