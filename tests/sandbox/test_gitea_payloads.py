"""The sandbox's push against a recorded one of Forgejo's: the same keys with the same types of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from buildbot.sandbox.git_repository import Change
from tests.sandbox.gitea_world import REPO, GiteaWorld, both, gitea_world

pytestmark = pytest.mark.anyio
RECORDED = Path(__file__).parents[1] / "forges/gitea/payloads/push-forgejo-2026.json"


def shape(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, list):
        members = [("[]", one) for one in value]
    elif isinstance(value, dict):
        members = list(value.items())
    else:
        return {path: type(value).__name__}
    return {key: kind for name, one in members for key, kind in shape(one, f"{path}.{name}").items()}


async def pushed(world: GiteaWorld, **arguments: Any) -> dict[str, Any]:
    world.gitea.add_hook(REPO, "http://bot.test", events=("push",))
    push = await world.gitea.commit_and_push(REPO, files={"x": "1"}, deliver=False, **arguments)
    payload: dict[str, Any] = push.deliveries[0].payload
    return payload


@both
async def test_a_push_has_only_keys_and_types_of_the_recorded_one(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        ours = shape(await pushed(world))
    recorded = shape(json.loads(RECORDED.read_bytes()))
    ours = {key.replace(".added.[]", ".modified.[]"): kind for key, kind in ours.items()}
    assert {key: recorded.get(key) for key in ours} == ours
    assert {key.split(".")[1] for key in recorded} == {key.split(".")[1] for key in ours}


@both
async def test_the_newest_commits_come_first_and_few_are_listed(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        world.gitea.add_hook(REPO, "http://bot.test")
        changes = [Change(f"{number}", {"x": f"{number}"}) for number in range(20)]
        (delivery,) = (await world.gitea.push_commits(REPO, changes, deliver=False)).deliveries
    listed = [one["message"] for one in delivery.payload["commits"]]
    assert listed == [f"{number}" for number in range(19, 4 if forgejo else 14, -1)]
    assert delivery.payload["total_commits"] == 20


async def test_a_new_branch_lists_its_latest_commits_whatever_is_new() -> None:
    async with gitea_world() as world:
        payload = await pushed(world, ref="topic")
    assert [one["message"] for one in payload["commits"]] == ["Change something", "Initial commit"]
    assert payload["compare_url"] == f"{world.gitea.url}/"


async def test_a_force_push_is_not_told() -> None:
    async with gitea_world() as world:
        await world.gitea.commit_and_push(REPO, files={"y": "1"})
        payload = await pushed(world, force=True)
    assert "forced" not in payload
    assert payload["total_commits"] == 1
