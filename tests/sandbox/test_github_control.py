"""Steering the sandbox GitHub from outside its process."""

from __future__ import annotations

import httpx
import pytest

from buildbot.sandbox.github_control import SWITCHES
from buildbot.sandbox.github_faults import GitHubFaults
from tests.sandbox.github_world import BOT_URL, World

pytestmark = pytest.mark.anyio


async def push(world: World, **body: object) -> httpx.Response:
    return await world.web.post("/_sandbox/push", json=body)


async def faults(world: World, **body: object) -> httpx.Response:
    return await world.web.post("/_sandbox/faults", json=body)


async def test_a_push_is_made_delivered_and_told_of(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    before = world.head
    answer = await push(
        world, repository="acme/api", ref="main", message="Fix it", files={"Dockerfile": None, "a": "1"}, by="bob"
    )
    told = answer.json()
    assert (told["ref"], told["before"], told["after"], told["sha"]) == (
        "refs/heads/main",
        before,
        world.head,
        world.head,
    )
    [delivery] = told["deliveries"]
    assert (delivery["url"], delivery["status_code"]) == (BOT_URL, 202)
    [commit] = world.bot.received[0].payload["commits"]
    assert (commit["message"], commit["added"], commit["removed"]) == ("Fix it", ["a"], ["Dockerfile"])
    assert world.bot.received[0].payload["pusher"]["name"] == "bob"


async def test_a_push_may_be_held_back_and_is_seen_waiting(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    assert (await push(world, repository="acme/api", deliver=False)).json()["deliveries"] == []
    assert world.bot.received == []
    [waiting] = (await world.web.get("/_sandbox/state")).json()["held_back"]
    assert (waiting["event"], waiting["url"]) == ("push", BOT_URL)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "'repository' is missing"),
        ({"repository": 5}, 400, "'repository' must be str"),
        ({"repository": "acme/api", "branch": "x"}, 400, "push knows no 'branch'"),
        ({"repository": "acme/nothing"}, 404, "no repository acme/nothing"),
        ({"repository": "acme/api", "files": {"nothing": None}}, 404, "cannot remove nothing"),
        ({"repository": "acme/api", "ref": "refs/tags/v1"}, 409, "force the push"),
    ],
)
async def test_a_push_that_makes_no_sense_is_explained(
    world: World, body: dict[str, object], status: int, said: str
) -> None:
    await world.github.push_tag("acme/api", "v1")
    answer = await push(world, **body)
    assert answer.status_code == status
    assert said in answer.json()["error"]


async def test_faults_are_turned_on_and_never_befall_the_control_itself(world: World) -> None:
    answer = await faults(world, fail={"status": 503, "times": 2, "on": "GET"}, down={})
    assert answer.json() == {"turned": ["fail", "down"]}
    with pytest.raises(httpx.ConnectError):
        await world.api.get("/repos/acme/api")
    await faults(world, up={})
    assert [(await world.api.get("/repos/acme/api")).status_code for _ in range(3)] == [503, 503, 200]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"explode": {}}, "there is no fault 'explode'"),
        ({"take": {"request_line": "GET /"}}, "there is no fault 'take'"),
        ({"fail": {"code": 500}}, "'fail': got an unexpected keyword argument 'code'"),
        ({"slow": {}}, "'slow': missing a required argument: 'seconds'"),
        ({"down": None}, "'down':"),
    ],
)
async def test_a_fault_that_does_not_exist_is_explained_and_none_is_turned_on(
    world: World, body: dict[str, object], said: str
) -> None:
    answer = await faults(world, nonsense={}, **body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert (await world.api.get("/repos/acme/api")).json()["full_name"] == "acme/api"


def test_every_switch_can_be_turned_from_outside() -> None:
    public = {name for name in dir(GitHubFaults) if not name.startswith("_")} - {"take"}
    assert set(SWITCHES) == public


@pytest.mark.parametrize(("content", "said"), [(b"{", "not JSON"), (b"[]", "must be a JSON object")])
async def test_a_body_that_is_no_json_object_is_refused(world: World, content: bytes, said: str) -> None:
    answer = await world.web.post("/_sandbox/push", content=content)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


async def test_the_state_shows_refs_statuses_deliveries_and_calls_but_no_secret(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, secret="hush-hush")
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    await world.github.commit_and_push("acme/api")
    await world.post_status(token, context="quay/api", description="Queued")
    answer = await world.web.get("/_sandbox/state")
    [repository] = answer.json()["repositories"]
    assert repository["refs"] == {"refs/heads/main": world.head}
    [status] = repository["statuses"]
    assert (status["sha"], status["context"], status["state"]) == (world.head, "quay/api", "pending")
    assert [one["status_code"] for one in answer.json()["deliveries"]] == [202]
    assert [one["status"] for one in answer.json()["calls"]] == [201]
    assert "hush-hush" not in answer.text
    assert token not in answer.text
