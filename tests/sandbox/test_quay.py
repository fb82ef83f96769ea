"""The sandbox's Quay as its users see it: set up, watched and steered, in process and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from buildbot.sandbox.quay import Quay
from tests.sandbox.quay_world import ARCHIVE, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def test_a_build_goes_from_request_to_image(world: World) -> None:
    build = await world.request(
        "acme/api", docker_tags=["main", "sha-1"], context="/r", dockerfile_path="/r/Dockerfile"
    )
    assert (build.repository, build.tags, build.archive_url) == ("acme/api", ("main", "sha-1"), ARCHIVE)
    assert (build.context, build.dockerfile_path, build.attempts) == ("/r", "/r/Dockerfile", 0)
    assert world.quay.image("acme/api", "main") is None
    world.turn(30.0)
    assert [(it.id, it.phase, it.attempts) for it in world.quay.builds] == [(build.id, "complete", 1)]
    assert world.quay.pushed == [
        ("acme/api", "main", build.id, ARCHIVE),
        ("acme/api", "sha-1", build.id, ARCHIVE),
    ]


async def test_an_image_is_of_the_build_that_wrote_it_last(world: World) -> None:
    for number in range(3):
        build = await world.request(archive_url=f"https://x/{number}", docker_tags=["main", f"n{number}"])
        world.reach(build, "complete")
    assert world.quay.image("acme/app", "main") == "https://x/2"
    assert world.quay.image("acme/app", "n0") == "https://x/0"
    assert world.quay.image("acme/other", "main") is None


async def test_the_course_is_chosen_by_what_is_built(world: World) -> None:
    world.quay.choose = lambda build: "seterror" if "bad" in build.tags else "success"
    for tag in ("bad", "good"):
        await world.ask("POST", "/acme/app/build/", json={"archive_url": ARCHIVE, "docker_tags": [tag]})
    world.turn(60.0)
    assert [it.phase for it in world.quay.builds] == ["error", "complete"]


@pytest.mark.parametrize("speed", [1.0, 50.0])
async def test_speed_makes_everything_faster_alike(world: World, speed: float) -> None:
    world.quay.speed = speed
    build = await world.request(course="fail-build")
    world.turn(270.0 / speed)
    assert world.quay.build(build.id).phase == "building"
    world.turn(20.0 / speed)
    assert world.quay.build(build.id).phase == "expired"


async def test_a_human_cancels_in_quay_s_own_page(world: World) -> None:
    build = await world.request()
    world.reach(build, "building")
    assert world.quay.cancel_in_ui(build.id) is True
    assert world.quay.build(build.id).phase == "cancelled"
    assert world.quay.calls[-1] == ("requestRepoBuild", 201)


async def test_a_human_comes_too_late_for_a_build_that_pushes(world: World) -> None:
    build = await world.request()
    world.reach(build, "pushing")
    assert world.quay.cancel_in_ui(build.id) is False
    with pytest.raises(KeyError, match="no build nosuch"):
        world.quay.cancel_in_ui("nosuch")


async def test_calls_are_recorded_by_operation_with_their_status(world: World) -> None:
    build = await world.request()
    path = f"/acme/app/build/{build.id}"
    for method, where in [
        ("GET", "/acme/app/build/"),
        ("GET", path),
        ("GET", f"{path}/status"),
        ("GET", f"{path}/logs"),
        ("DELETE", path),
        ("GET", "/acme/app"),
        ("GET", "/acme/app/build"),
    ]:
        await world.ask(method, where)
    assert world.quay.calls == [
        ("requestRepoBuild", 201),
        ("getRepoBuilds", 200),
        ("getRepoBuild", 200),
        ("getRepoBuildStatus", 200),
        ("getRepoBuildLogs", 200),
        ("cancelRepoBuild", 201),
        ("other", 200),
        ("other", 308),
    ]


async def test_the_url_may_be_set_later(world: World) -> None:
    world.quay.url = "https://quay.example.com/"
    build = await world.request(docker_tags=["latest"])
    world.reach(build, "complete")
    assert "The push refers to repository [quay.example.com/acme/app]" in [it["message"] for it in build.log]
    world.quay.faults.on("archive-logs")
    logs = await world.ask("GET", f"/acme/app/build/{build.id}/logs")
    assert logs.json() == {"logs_url": f"https://quay.example.com/logarchive/{build.id}"}


@pytest.mark.parametrize(("name", "state"), [("noslash", "NORMAL"), ("acme/app", "BROKEN")])
def test_an_impossible_repository_is_refused(name: str, state: str) -> None:
    with pytest.raises(ValueError, match="needs namespace/name"):
        Quay().add_repository(name, state=state)


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="must be admin, write or read"):
        Quay().grant("acme", "alice", "owner")


async def test_an_unknown_course_is_refused_with_those_there_are(world: World) -> None:
    with pytest.raises(ValueError, match=r"'sucess': must be .* success, "):
        await world.request(course="sucess")


async def test_the_page_of_a_build_is_there_for_anyone(world: World) -> None:
    assert (await world.client.get("/repository/acme/app/build/anything")).status_code == 200


# Steering over HTTP


async def test_faults_are_turned_on_and_off_over_http(world: World) -> None:
    asked = {"kind": "500", "operation": "getRepoBuilds", "times": 2}
    answer = await world.client.post("/_sandbox/faults", json=asked)
    assert (answer.status_code, answer.json()[0]["kind"]) == (201, "500")
    assert (await world.ask("GET", "/acme/app/build/")).status_code == 500
    assert (await world.client.delete("/_sandbox/faults?kind=500")).json() == []
    assert (await world.ask("GET", "/acme/app/build/")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/_sandbox/faults", {"kind": "no-such"}),
        ("POST", "/_sandbox/faults", {"kind": "500", "operation": "noSuch"}),
        ("POST", "/_sandbox/faults", {"kind": "500", "colour": "red"}),
        ("POST", "/_sandbox/faults", {"kind": "slow", "seconds": -1}),
        ("POST", "/_sandbox/faults", {"kind": "slow", "seconds": "long"}),
        ("POST", "/_sandbox/faults", []),
        ("DELETE", "/_sandbox/faults?kind=no-such", None),
        ("POST", "/_sandbox/course", {"course": "no-such"}),
        ("POST", "/_sandbox/course", []),
    ],
)
async def test_a_mistake_in_steering_is_explained(world: World, method: str, path: str, body: object) -> None:
    answer = await world.client.request(method, path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert world.quay.faults.active == ()


async def test_the_course_of_new_builds_is_chosen_over_http(world: World) -> None:
    assert (await world.client.post("/_sandbox/course", json={"course": "seterror"})).status_code == 201
    await world.ask("POST", "/acme/app/build/", json={"archive_url": ARCHIVE})
    world.turn(60.0)
    assert world.quay.builds[0].phase == "error"


async def test_a_human_cancels_over_http(world: World) -> None:
    build = await world.request()
    answer = await world.client.post(f"/_sandbox/builds/{build.id}/cancel")
    assert answer.json() == {"cancelled": True}
    assert (await world.client.post("/_sandbox/builds/nosuch/cancel")).status_code == 404


async def test_the_state_is_shown_without_tokens_and_not_counted_as_a_call(world: World) -> None:
    build = await world.request()
    world.turn(30.0)
    answer = await world.client.get("/_sandbox/state")
    state = answer.json()
    assert [(it["id"], it["phase"], it["course"]) for it in state["builds"]] == [(build.id, "complete", "success")]
    assert state["pushed"][0]["tag"] == "v1"
    assert state["calls"] == [["requestRepoBuild", 201]]
    assert not any(token in answer.text for token in world.tokens.values())
    assert world.quay.calls == [("requestRepoBuild", 201)]


async def test_steering_feels_no_faults(world: World) -> None:
    world.quay.faults.on("down")
    assert (await world.client.get("/_sandbox/state")).status_code == 200
