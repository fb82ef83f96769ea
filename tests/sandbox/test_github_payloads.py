"""The sandbox's webhooks against recordings of the real ones: the same keys with the same types of JSON.

Two differences are allowed and named: what the real GitHub added after a recording was made, and what is null or a
value depending on the repository.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from buildbot.sandbox.github import Change, Push
from buildbot.sandbox.github_payloads import changed_files, combined_state
from tests.sandbox.github_world import BOT_URL, World

RECORDED = Path(__file__).parents[1] / "forges/github/payloads"
# Null or a value, by what the repository is like.
NULLABLE = {"description", "homepage", "language", "license", "mirror_url"}
# Added by GitHub since the recordings of 2018 and 2021; `ping-repository.json` has them.
NEWER = {"disabled", "is_template", "topics", "visibility", "web_commit_signoff_required", "custom_properties"}
# Only where the owner is an organisation, and in one push of 2018 only.
OF_ORGANISATIONS = {"repository.organization"}

Shape = dict[str, str]


def shape(value: Any, path: str = "") -> Shape:
    """Every key's path and the JSON type of what is there; all items of an array are one."""
    if isinstance(value, dict):
        inner = [shape(item, f"{path}.{key}" if path else key) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [shape(item, f"{path}[]") for item in value]
    else:
        inner = []
    merged = {key: kind for one in inner for key, kind in one.items()}
    return {path: type(value).__name__, **merged} if path else merged


def comparable(of: Shape) -> Shape:
    """Without what may differ."""

    def may_differ(path: str) -> bool:
        return path in OF_ORGANISATIONS or any(
            path == f"repository.{key}" or path.startswith((f"repository.{key}.", f"repository.{key}["))
            for key in NULLABLE | NEWER
        )

    return {path: kind for path, kind in of.items() if not may_differ(path)}


def recorded(name: str) -> Shape:
    return shape(json.loads((RECORDED / name).read_bytes()))


def sent(pushed: Push) -> Shape:
    return shape(json.loads(pushed.deliveries[0].body))


@pytest.mark.anyio
async def test_an_ordinary_push_to_an_app_looks_like_the_recorded_one(world: World) -> None:
    world.github.install(world.github.add_app(hook_url=BOT_URL), "acme")
    await world.github.commit_and_push("acme/api", files={"OWNERS": "me"})
    pushed = await world.github.commit_and_push("acme/api", files={"OWNERS": "you"})
    assert comparable(sent(pushed)) == comparable(recorded("push-branch-plain.json"))


@pytest.mark.anyio
async def test_a_new_tag_looks_like_the_recorded_one(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    await world.github.commit_and_push("acme/api", files={"Dockerfile": "FROM alpine"})
    pushed = await world.github.push_tag("acme/api", "v0.0.1")
    assert comparable(sent(pushed)) == comparable(recorded("push-tag-created.json"))


@pytest.mark.anyio
async def test_a_deleted_branch_looks_like_the_recorded_one(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    await world.github.push_ref("acme/api", "feature-branch", world.head)
    pushed = await world.github.delete_ref("acme/api", "feature-branch")
    assert comparable(sent(pushed)) == comparable(recorded("push-branch-deleted.json"))


@pytest.mark.anyio
async def test_a_push_has_all_that_the_oldest_recording_has(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    pushed = await world.github.commit_and_push("acme/api", ref="slash/branch", files={"Dockerfile": "FROM alpine"})
    old = comparable(recorded("push-branch-with-slash.json"))
    ours = comparable(sent(pushed))
    # That recording moved a branch which existed; here it is made, which may set base_ref but changes no type.
    assert {path: ours.get(path) for path in old} == old


@pytest.mark.anyio
async def test_the_greeting_of_a_hook_looks_like_the_recorded_one(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, events=("*",), ping=True)
    ours = shape(json.loads(world.github.outbox[0].body))
    real = recorded("ping-repository.json")
    different = {path for path in ours.keys() | real.keys() if ours.get(path) != real.get(path)}
    assert different <= {f"repository.{key}" for key in NULLABLE}


@pytest.mark.anyio
async def test_urls_of_a_push_lead_to_the_site_and_those_of_a_repository_to_the_api(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    pushed = await world.github.commit_and_push("acme/api")
    payload = pushed.deliveries[0].payload
    assert payload["repository"]["url"] == payload["repository"]["html_url"] == "http://github.test/acme/api"
    assert payload["repository"]["hooks_url"] == "http://github.test/api/v3/repos/acme/api/hooks"
    assert payload["compare"] == f"http://github.test/acme/api/compare/{pushed.before[:12]}...{pushed.after[:12]}"


@pytest.mark.anyio
async def test_at_most_2048_commits_are_listed_and_the_newest_are_among_them(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    changes = [Change(f"number {n}", {}) for n in range(2050)]
    pushed = await world.github.push_commits("acme/api", changes, deliver=False)
    listed = pushed.deliveries[0].payload["commits"]
    assert (len(listed), listed[-1]["id"]) == (2048, pushed.sha)


@pytest.mark.parametrize(
    ("states", "total"),
    [
        ([], "pending"),
        (["success"], "success"),
        (["success", "pending"], "pending"),
        (["pending", "error"], "failure"),
        (["failure", "success"], "failure"),
    ],
)
def test_the_sum_of_all_contexts(states: list[str], total: str) -> None:
    assert combined_state(states) == total


def test_differences_of_trees_are_listed_by_path() -> None:
    before, after = {"gone": b"1", "kept": b"1", "other": b"1"}, {"kept": b"1", "new": b"1", "other": b"2"}
    listed = [(one["filename"], one["status"]) for one in changed_files(before, after)]
    assert listed == [("gone", "removed"), ("new", "added"), ("other", "modified")]
