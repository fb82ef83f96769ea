"""Each switch does what it says, to the operation it was set for, as many times as it was set for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from buildbot.sandbox.quay_faults import OPERATIONS, Fault, Faults, RateLimit
from tests.sandbox.quay_world import ARCHIVE, World

pytestmark = pytest.mark.anyio

COLLECTION = "/acme/app/build/"
ASKED = {"archive_url": ARCHIVE, "docker_tags": ["v1", "v2"]}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def listed(world: World) -> int:
    return (await world.ask("GET", COLLECTION)).status_code


async def test_a_lost_answer_is_one_to_a_request_that_was_done(world: World) -> None:
    world.quay.faults.on(Fault.LOSE_ANSWER, "requestRepoBuild", times=1)
    with pytest.raises(httpx.TransportError):
        await world.ask("POST", COLLECTION, json=ASKED)
    assert [it.archive_url for it in world.quay.builds] == [ARCHIVE]
    assert world.quay.calls == [("requestRepoBuild", 201)]


async def test_a_lost_cancel_has_cancelled(world: World) -> None:
    build = await world.request()
    world.quay.faults.on("lose-answer", "cancelRepoBuild")
    with pytest.raises(httpx.TransportError):
        await world.ask("DELETE", f"{COLLECTION}{build.id}")
    assert world.quay.build(build.id).phase == "cancelled"


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.LOSE_REQUEST, httpx.RemoteProtocolError), (Fault.DOWN, httpx.ConnectError)]
)
async def test_a_request_that_never_arrives_does_nothing(world: World, fault: Fault, error: type[Exception]) -> None:
    world.quay.faults.on(fault, times=1)
    with pytest.raises(error):
        await world.ask("POST", COLLECTION, json=ASKED)
    assert world.quay.builds == []
    assert world.quay.calls == [("requestRepoBuild", 0)]
    assert await listed(world) == 200


@pytest.mark.parametrize(
    ("fault", "status", "kind", "text"),
    [
        (Fault.SERVER_ERROR, 500, "text/html", "Internal Server Error"),
        (Fault.BAD_GATEWAY, 502, "text/html", "502 Bad Gateway"),
        (Fault.NGINX_429, 429, "text/html", "429 Too Many Requests"),
        (Fault.NONSENSE, 200, "text/html; charset=utf-8", "Please sign in"),
        (Fault.QUEUE_FULL, 429, "application/json", '{"message": "Maximum queued build rate exceeded."}'),
        (Fault.READ_ONLY, 503, "application/json", '{"is_readonly":true,"message":"System is currently read-only.'),
    ],
)
async def test_a_fault_answers_instead_of_quay(world: World, fault: Fault, status: int, kind: str, text: str) -> None:
    world.quay.faults.on(fault, "requestRepoBuild", times=1)
    answer = await world.ask("POST", COLLECTION, json=ASKED)
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    assert text in answer.text
    assert world.quay.builds == []
    assert (await world.ask("POST", COLLECTION, json=ASKED)).status_code == 201


async def test_a_full_queue_is_the_last_thing_that_is_checked(world: World) -> None:
    world.quay.faults.on(Fault.QUEUE_FULL)
    assert (await world.ask("POST", COLLECTION, json={})).status_code == 400
    assert (await world.ask("POST", COLLECTION, "READ", json=ASKED)).status_code == 403


async def test_a_read_only_registry_refuses_a_bad_token_first_and_reads_on(world: World) -> None:
    world.quay.faults.on(Fault.READ_ONLY)
    assert await listed(world) == 200
    assert (await world.ask("POST", COLLECTION, "EXPIRED", json=ASKED)).status_code == 403
    assert (await world.ask("POST", COLLECTION, "READ", json=ASKED)).status_code == 503


@pytest.mark.parametrize("speed", [1.0, 20.0])
async def test_a_late_request_is_done_after_its_client_gave_up(world: World, speed: float) -> None:
    world.quay.speed = speed
    world.quay.faults.on(Fault.LATE, "requestRepoBuild", times=1, seconds=20.0)
    with pytest.raises(httpx.TransportError):
        await world.ask("POST", COLLECTION, json=ASKED)
    world.turn(19.0)
    assert world.quay.builds == []
    world.turn(1.5)
    assert [it.requested_at for it in world.quay.builds] == pytest.approx([world.now - 0.5])
    assert world.quay.calls == [("requestRepoBuild", 0), ("requestRepoBuild", 201)]


async def test_a_slow_answer_is_one_to_a_request_that_was_done_at_once(world: World) -> None:
    world.quay.faults.on(Fault.SLOW, "requestRepoBuild", seconds=3600.0)
    with anyio.move_on_after(0.01) as waiting:
        await world.ask("POST", COLLECTION, json=ASKED)
    assert waiting.cancelled_caught
    assert len(world.quay.builds) == 1


async def test_a_slow_answer_comes_in_the_end(world: World) -> None:
    world.quay.faults.on(Fault.SLOW, seconds=0.001)
    assert await listed(world) == 200


async def test_without_redis_the_phase_of_unfinished_builds_is_unknown(world: World) -> None:
    finished, running = await world.request(), await world.request(course="slow")
    world.reach(running, "building")
    world.quay.faults.on(Fault.REDIS_DOWN)
    builds = (await world.ask("GET", COLLECTION)).json()["builds"]
    assert [it["phase"] for it in builds] == ["cannot_load", "complete"]
    assert [it["error"] for it in builds] == ["Redis may be down. Please contact support.", None]
    assert (await world.ask("DELETE", f"{COLLECTION}{running.id}")).status_code == 400
    assert (await world.ask("POST", COLLECTION, json=ASKED)).json()["phase"] == "cannot_load"
    logs = (await world.ask("GET", f"{COLLECTION}{finished.id}/logs")).json()
    assert logs == {"start": 0, "total": 0, "logs": []}
    world.quay.faults.off(Fault.REDIS_DOWN)
    assert (await world.ask("GET", f"{COLLECTION}{running.id}")).json()["phase"] == "building"


async def test_rewritten_tags_are_what_is_built(world: World) -> None:
    world.quay.faults.on(Fault.REWRITE_TAGS, times=1)
    answer = await world.ask("POST", COLLECTION, json=ASKED)
    assert answer.json()["tags"] == ["latest"]
    world.reach(world.quay.builds[0], "complete")
    assert [it.tag for it in world.quay.pushed] == ["latest"]
    world.quay.faults.on(Fault.REWRITE_TAGS, times=1, tags=("v1", "other"))
    assert (await world.ask("POST", COLLECTION, json=ASKED)).json()["tags"] == ["v1", "other"]
    assert (await world.ask("POST", COLLECTION, json=ASKED)).json()["tags"] == ["v1", "v2"]


async def test_logs_of_finished_builds_are_archived_and_stay_so(world: World) -> None:
    finished, running = await world.request(), await world.request()
    world.reach(running, "building")
    world.quay.faults.on(Fault.ARCHIVE_LOGS)
    address = f"{world.quay.url}/logarchive/{finished.id}"
    assert (await world.ask("GET", f"{COLLECTION}{finished.id}/logs")).json() == {"logs_url": address}
    assert "logs" in (await world.ask("GET", f"{COLLECTION}{running.id}/logs")).json()
    world.quay.faults.off()
    assert (await world.ask("GET", f"{COLLECTION}{finished.id}/logs?start=5")).json() == {"logs_url": address}
    archived = await world.client.get(address, auth=("$oauthtoken", world.tokens["WRITE"]))
    assert archived.json() == {"start": 0, "total": len(finished.log), "logs": finished.log}
    assert (await world.client.get(address, auth=("$oauthtoken", world.tokens["READ"]))).status_code == 403
    assert (await world.client.get(address, headers=world.bearer())).status_code == 403


async def test_nginx_admits_26_at_once_and_5_a_second_as_recorded(world: World) -> None:
    world.quay.faults.on(Fault.RATE_LIMIT)
    assert [await listed(world) for _ in range(80)] == [200] * 26 + [429] * 54
    world.turn(2.0)
    assert [await listed(world) for _ in range(12)] == [200] * 10 + [429] * 2


def test_the_rate_limit_does_not_count_what_it_refused() -> None:
    now = [0.0]
    limit = RateLimit(lambda: now[0])
    assert sum(limit.admits() for _ in range(1000)) == 26
    now[0] = 0.2
    assert [limit.admits(), limit.admits()] == [True, False]


@pytest.mark.parametrize("operation", [it for it in OPERATIONS if it != "other"])
async def test_a_fault_strikes_its_operation_only_and_only_so_often(world: World, operation: str) -> None:
    build = await world.request(course="stuck-waiting")
    world.quay.calls.clear()
    world.quay.faults.on(Fault.SERVER_ERROR, operation, times=2)
    for _ in range(3):
        for method, path, more in _all_calls(build.id):
            await world.ask(method, path, **more)
    struck = [status for name, status in world.quay.calls if name == operation]
    others = [status for name, status in world.quay.calls if name != operation]
    assert struck[:2] == [500, 500]
    assert struck[2] < 300
    # a third DELETE of a waiting build crashes by itself, as recorded
    assert others.count(500) == (0 if operation == "cancelRepoBuild" else 1)


def _all_calls(build_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    build = f"{COLLECTION}{build_id}"
    return [
        ("GET", COLLECTION, {}),
        ("GET", build, {}),
        ("GET", f"{build}/status", {}),
        ("GET", f"{build}/logs", {}),
        ("POST", COLLECTION, {"json": ASKED}),
        ("DELETE", build, {}),
    ]


async def test_a_fault_without_an_operation_strikes_all(world: World) -> None:
    build = await world.request(course="stuck-waiting")
    world.quay.faults.on(Fault.SERVER_ERROR)
    answers = [(await world.ask(method, path, **more)).status_code for method, path, more in _all_calls(build.id)]
    assert answers == [500] * 6


async def test_a_call_uses_up_only_faults_that_it_could_feel(world: World) -> None:
    world.quay.faults.on(Fault.QUEUE_FULL, times=1)
    world.quay.faults.on(Fault.ARCHIVE_LOGS, times=1)
    assert await listed(world) == 200
    assert [it.kind for it in world.quay.faults.active] == [Fault.QUEUE_FULL, Fault.ARCHIVE_LOGS]


async def test_faults_are_turned_off_by_kind_or_all(world: World) -> None:
    for kind in (Fault.SERVER_ERROR, Fault.NONSENSE, Fault.SLOW):
        world.quay.faults.on(kind)
    world.quay.faults.off(Fault.SERVER_ERROR)
    assert [it.kind for it in world.quay.faults.active] == [Fault.NONSENSE, Fault.SLOW]
    world.quay.faults.off()
    assert world.quay.faults.active == ()


@pytest.mark.parametrize(
    "mistake", [{"kind": "no-such"}, {"kind": "500", "operation": "noSuch"}, {"kind": "500", "times": 0}]
)
def test_an_unknown_fault_is_refused(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no-such|noSuch|times 0"):
        Faults(lambda: 0.0).on(**mistake)
