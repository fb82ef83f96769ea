"""What the sandbox Bitbucket Cloud tells, beside what recorded payloads tell."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from buildbot.sandbox.bitbucket_payloads import diffstat
from buildbot.sandbox.git_repository import Change
from tests.sandbox.bitbucket_world import BOT_URL, REPO, BitbucketWorld, bitbucket_world

pytestmark = pytest.mark.anyio
RECORDED = Path(__file__).parent.parent / "forges" / "bitbucket" / "payloads" / "push-branch-plain.json"


@pytest.fixture
async def world() -> AsyncIterator[BitbucketWorld]:
    async with bitbucket_world() as it:
        it.bitbucket.add_hook(REPO, BOT_URL)
        yield it


def change(world: BitbucketWorld) -> dict[str, Any]:
    (told,) = json.loads(world.bot.received[-1].body)["push"]["changes"]
    assert isinstance(told, dict)
    return told


async def test_a_push_has_the_keys_of_a_recorded_one(world: BitbucketWorld) -> None:
    await world.bitbucket.commit_and_push(REPO)
    recorded, told = json.loads(RECORDED.read_bytes()), json.loads(world.bot.received[0].body)
    assert set(told) == set(recorded)
    assert set(told["repository"]) == set(recorded["repository"])
    (before,), (now,) = recorded["push"]["changes"], told["push"]["changes"]
    assert set(now) == set(before)
    assert set(now["new"]) == set(before["new"])
    assert set(now["new"]["target"]) == set(before["new"]["target"]) - {"summary"}


async def test_five_commits_are_listed_newest_first(world: BitbucketWorld) -> None:
    push = await world.bitbucket.push_commits(REPO, [Change(f"Number {number}", {}) for number in range(7)])
    told = change(world)
    assert [one["message"] for one in told["commits"]] == [f"Number {number}" for number in (6, 5, 4, 3, 2)]
    assert told["commits"][0]["hash"] == push.sha
    assert told["truncated"] is True


async def test_of_an_annotated_tag_only_the_commit_is_told(world: BitbucketWorld) -> None:
    push = await world.bitbucket.push_tag(REPO, "v1", annotated=True)
    assert push.after not in world.bot.received[0].body.decode()
    told = change(world)
    assert (told["new"]["type"], told["new"]["target"]["hash"], told["new"]["message"]) == ("tag", push.sha, "v1\n")
    assert "commits" not in told


async def test_ends_that_do_not_exist_are_null(world: BitbucketWorld) -> None:
    await world.bitbucket.commit_and_push(REPO, ref="topic")
    told = change(world)
    assert (told["old"], told["created"], told["closed"]) == (None, True, False)
    await world.bitbucket.delete_ref(REPO, "topic")
    told = change(world)
    assert (told["new"], told["created"], told["closed"]) == (None, False, True)


def ends(before: dict[str, bytes], after: dict[str, bytes]) -> list[tuple[str, str | None, str | None]]:
    def path(end: dict[str, str] | None) -> str | None:
        return None if end is None else end["path"]

    return [(one["status"], path(one["old"]), path(one["new"])) for one in diffstat(before, after)]


def test_differences_are_told_with_renames() -> None:
    assert ends({"a": b"1", "b": b"2", "c": b"3"}, {"a": b"1", "b": b"x", "d": b"3", "e": b"4"}) == [
        ("modified", "b", "b"),
        ("renamed", "c", "d"),
        ("added", None, "e"),
    ]
    assert ends({"a": b"1"}, {}) == [("removed", "a", None)]


def test_no_path_is_lost_where_copies_could_be_each_others_renames() -> None:
    told = ends({"a": b"1", "b": b"1"}, {"c": b"1"})
    assert {path for _, *both in told for path in both if path} == {"a", "b", "c"}
    told = ends({"a": b"1"}, {"b": b"1", "c": b"1"})
    assert {path for _, *both in told for path in both if path} == {"a", "b", "c"}
