"""What may be made to go wrong at the sandbox Gitea."""

from __future__ import annotations

import httpx
import pytest

from tests.sandbox.gitea_world import REPO, both, gitea_world

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("wait", [None, 7])
async def test_a_proxy_limits_the_next_calls_and_no_more(wait: int | None) -> None:
    async with gitea_world() as world:
        world.gitea.faults.throttle(1, wait)
        first = await world.ask("GET", "")
        assert (first.status_code, first.headers.get("retry-after")) == (429, None if wait is None else "7")
        assert (await world.ask("GET", "")).status_code == 200


@both
async def test_trouble_does_nothing_and_looks_like_a_commit_that_is_not_there(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        world.gitea.faults.trouble()
        path, token = f"/statuses/{world.head}", world.token()
        assert (await world.ask("POST", path, token, state="pending")).status_code == 500
        assert world.gitea.statuses(REPO, world.head) == []
        assert (await world.ask("POST", path, token, state="pending")).status_code == 201


@pytest.mark.parametrize("forgejo", [False, True])
async def test_a_commit_may_not_be_there_yet(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        world.gitea.faults.unreplicated(REPO, 2)
        answer = await world.ask("POST", f"/statuses/{world.head}", world.token(), state="pending")
        assert answer.status_code == (404 if forgejo else 500)
        assert (await world.ask("GET", f"/git/commits/{world.head}")).status_code == 404
        assert (await world.ask("GET", f"/git/commits/{world.head}")).status_code == 200
        with pytest.raises(LookupError):
            world.gitea.faults.unreplicated("acme/gone")


async def test_what_the_network_does_is_as_at_every_forge_and_written_down() -> None:
    async with gitea_world() as world:
        world.gitea.faults.lose(after=True, on="POST")
        with pytest.raises(httpx.ReadError):
            await world.ask("POST", f"/statuses/{world.head}", world.token(), state="pending")
        assert len(world.gitea.statuses(REPO, world.head)) == 1
        world.gitea.faults.fail(502)
        assert (await world.ask("GET", "")).status_code == 502
        assert [one.status for one in world.gitea.calls] == [0, 502]


async def test_everything_planned_may_be_forgotten() -> None:
    async with gitea_world() as world:
        faults = world.gitea.faults
        faults.throttle()
        faults.trouble()
        faults.unreplicated(REPO)
        faults.fail()
        faults.clear()
        answer = await world.ask("POST", f"/statuses/{world.head}", world.token(), state="pending")
        assert answer.status_code == 201
