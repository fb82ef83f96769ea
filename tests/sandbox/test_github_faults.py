"""Every switch of the faults: what the caller sees, what was done all the same, and that it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from buildbot.sandbox.github import GitHub
from tests.sandbox.github_world import World, bearer

pytestmark = pytest.mark.anyio

REPOSITORY = "/repos/acme/api"


@pytest.fixture
def token(world: World) -> str:
    return world.github.issue_token("ci-bot", collaborator="acme/api")


async def test_a_lost_request_does_nothing(world: World, token: str) -> None:
    world.github.faults.lose()
    with pytest.raises(httpx.ReadError):
        await world.post_status(token)
    assert world.github.statuses("acme/api", world.head) == []
    assert (await world.post_status(token)).status_code == 201


async def test_a_lost_answer_leaves_the_deed_done(world: World, token: str) -> None:
    world.github.faults.lose(times=2, after=True)
    for _ in range(2):
        with pytest.raises(httpx.ReadError):
            await world.post_status(token)
    assert (await world.post_status(token)).status_code == 201
    assert len(world.github.statuses("acme/api", world.head)) == 3
    assert [one.status for one in world.github.calls] == [0, 0, 201]


@pytest.mark.parametrize("status", [500, 502])
async def test_an_error_is_a_page_of_html_and_nothing_is_done(world: World, token: str, status: int) -> None:
    world.github.faults.fail(status)
    answer = await world.post_status(token)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert world.github.statuses("acme/api", world.head) == []
    assert (await world.post_status(token)).status_code == 201


async def test_nonsense_is_html_with_200(world: World) -> None:
    world.github.faults.nonsense()
    answer = await world.api.get(REPOSITORY)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert (await world.api.get(REPOSITORY)).json()["full_name"] == "acme/api"


async def test_a_fault_may_be_for_some_requests_only(world: World, token: str) -> None:
    world.github.faults.fail(on="POST /repos/acme/api/statuses")
    assert (await world.api.get(REPOSITORY)).status_code == 200
    assert (await world.post_status(token)).status_code == 502


async def test_faults_are_used_up_in_the_order_they_were_planned(world: World) -> None:
    world.github.faults.fail(500)
    world.github.faults.fail(503)
    world.github.faults.fail(times=0)
    assert [(await world.api.get(REPOSITORY)).status_code for _ in range(3)] == [500, 503, 200]


async def test_while_it_is_down_nothing_connects(world: World) -> None:
    world.github.faults.down()
    for path in (REPOSITORY, "/user"):
        with pytest.raises(httpx.ConnectError):
            await world.api.get(path)
    world.github.faults.up()
    assert (await world.api.get(REPOSITORY)).status_code == 200


async def test_archives_fail_as_the_api_does(world: World) -> None:
    world.github.faults.fail(500, on="/archive/")
    assert (await world.web.get("/acme/api/archive/main.tar.gz")).status_code == 500


async def test_slowness_comes_before_every_answer_until_it_is_over() -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    github = GitHub(sleep=note)
    github.add_repository("acme/api")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(github.app), base_url=github.api_url) as api:
        github.faults.slow(2.5)
        await api.get(REPOSITORY)
        await api.get(REPOSITORY)
        github.faults.slow(0)
        await api.get(REPOSITORY)
    assert waited == [2.5, 2.5]


async def test_a_used_up_rate_limit_names_the_caller_and_comes_back_with_the_hour(world: World, token: str) -> None:
    world.github.faults.use_up_rate_limit("ci-bot")
    answer = await world.post_status(token)
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (403, "0")
    assert answer.json()["message"] == "API rate limit exceeded for ci-bot."
    other = world.github.issue_token("other-bot", collaborator="acme/api")
    assert (await world.post_status(other)).status_code == 201
    world.clock.turn(seconds=int(answer.headers["x-ratelimit-reset"]) - int(world.clock().timestamp()))
    assert (await world.post_status(token)).status_code == 201


async def test_an_installations_rate_limit_goes_by_its_id(world: World) -> None:
    installation = world.github.install(world.github.add_app(), "acme")
    token = world.github.accounts.issue_installation(installation, world.clock()).token
    world.github.faults.use_up_rate_limit(str(installation.id))
    assert (await world.post_status(token)).status_code == 403


@pytest.mark.parametrize(("status", "retry_after"), [(403, 30), (429, 60), (403, None)])
async def test_the_secondary_limit_says_how_long_or_does_not(
    world: World, token: str, status: int, retry_after: int | None
) -> None:
    world.github.faults.secondary_limit(1, status, retry_after)
    answer = await world.post_status(token)
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == (None if retry_after is None else str(retry_after))
    assert "secondary rate limit" in answer.json()["message"]
    assert answer.headers["x-ratelimit-remaining"] != "0"
    assert (await world.post_status(token)).status_code == 201


async def test_an_unreplicated_commit_is_unknown_for_some_calls(world: World, token: str) -> None:
    world.github.faults.unreplicated("acme/api", 2)
    answers = [await world.post_status(token) for _ in range(3)]
    assert [one.status_code for one in answers] == [422, 422, 201]
    assert answers[0].json()["message"] == f"No commit found for SHA: {world.head}"
    with pytest.raises(LookupError, match="no repository acme/nothing"):
        world.github.faults.unreplicated("acme/nothing")


async def test_a_revoked_token_is_a_bad_credential(world: World, token: str) -> None:
    world.github.faults.revoke(token)
    answer = await world.api.get("/user", headers=bearer(token))
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_clearing_forgets_all_that_was_planned(world: World, token: str) -> None:
    faults = world.github.faults
    faults.lose()
    faults.fail()
    faults.down()
    faults.slow(1000)
    faults.secondary_limit(5)
    faults.unreplicated("acme/api", 5)
    faults.clear()
    assert (await world.post_status(token)).status_code == 201


@asynccontextmanager
async def served(github: GitHub) -> AsyncIterator[None]:
    listening = socket.create_server(("127.0.0.1", 0))
    github.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(github.app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def test_over_a_socket_a_lost_answer_is_a_broken_connection(world: World, token: str) -> None:
    async with served(world.github), httpx.AsyncClient(base_url=world.github.api_url) as client:
        path = f"{REPOSITORY}/statuses/{world.head}"
        world.github.faults.lose(after=True)
        with pytest.raises(httpx.TransportError):
            await client.post(path, json={"state": "pending"}, headers=bearer(token))
        answer = await client.post(path, json={"state": "success"}, headers=bearer(token))
    assert answer.json()["url"].startswith(world.github.api_url)
    assert [one.state for one in world.github.statuses("acme/api", world.head)] == ["pending", "success"]
