"""GitLab's API as the sandbox speaks it: what it answers, and in which words it refuses."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.sandbox.gitlab_world import BOT_URL, PATH, PROJECT, World, bearer, gitlab_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gitlab() -> AsyncIterator[World]:
    async with gitlab_world() as world:
        yield world


def words(answer: httpx.Response) -> object:
    told = answer.json()
    return told.get("message", told.get("error"))


# Who calls


async def test_a_token_is_taken_in_either_header(gitlab: World) -> None:
    for headers in ({"PRIVATE-TOKEN": gitlab.token}, bearer(gitlab.token)):
        assert (await gitlab.api.get("/user", headers=headers)).json()["username"] == "ci-bot"
    assert (await gitlab.api.get("/user")).status_code == 401


async def test_wrong_expired_and_revoked_tokens_are_refused_each_in_its_way(gitlab: World) -> None:
    assert words(await gitlab.get("", "glpat-wrong")) == "401 Unauthorized"
    short = gitlab.gitlab.issue_token("ci-bot", expires_at=gitlab.clock() + timedelta(hours=1))
    assert (await gitlab.get("", short)).status_code == 200
    gitlab.clock.turn(hours=1)
    assert (await gitlab.get("", short)).json()["error"] == "invalid_token"
    gitlab.gitlab.faults.revoke(gitlab.token)
    assert "revoked" in (await gitlab.get("")).json()["error_description"]


async def test_a_token_tells_its_scopes(gitlab: World) -> None:
    told = (await gitlab.api.get("/personal_access_tokens/self", headers=bearer(gitlab.token))).json()
    assert (told["scopes"], told["expires_at"], told["active"]) == (["api"], None, True)


async def test_a_scope_that_is_too_narrow_is_named(gitlab: World) -> None:
    narrow = gitlab.gitlab.issue_token("ci-bot", scopes=["read_api"])
    assert (await gitlab.get("", narrow)).status_code == 200
    refused = await gitlab.post_status(narrow)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("visibility", "anonymous", "stranger"), [("public", 200, 200), ("internal", 404, 200), ("private", 404, 404)]
)
async def test_who_may_see_a_project(gitlab: World, visibility: str, anonymous: int, stranger: int) -> None:
    gitlab.gitlab.set_visibility(PATH, visibility)
    assert (await gitlab.api.get(PROJECT)).status_code == anonymous
    assert (await gitlab.get("", gitlab.gitlab.issue_token("eve"))).status_code == stranger
    assert (await gitlab.get("")).json()["visibility"] == visibility


@pytest.mark.parametrize(("role", "status"), [("guest", 403), ("reporter", 403), ("developer", 201), ("owner", 201)])
async def test_who_may_post_statuses(gitlab: World, role: str, status: int) -> None:
    token = gitlab.gitlab.issue_token("bob", member=PATH, role=role)
    assert (await gitlab.post_status(token)).status_code == status


async def test_a_moved_project_redirects_reads_and_refuses_writes(gitlab: World) -> None:
    gitlab.gitlab.rename(PATH, "acme/service")
    moved = await gitlab.get("/repository/branches/main", x="1")
    assert moved.status_code == 301
    assert moved.headers["location"] == (
        f"http://gitlab.test/api/v4/projects/{gitlab.project.id}/repository/branches/main?x=1"
    )
    followed = await gitlab.api.get(moved.headers["location"], headers=bearer(gitlab.token))
    assert followed.json()["commit"]["id"] == gitlab.head
    refused = await gitlab.post_status()
    assert (refused.status_code, words(refused)) == (405, "Non GET methods are not allowed for moved projects")


async def test_what_is_not_spoken_is_not_found(gitlab: World) -> None:
    for path in ("/nothing", f"{PROJECT}/pipelines", "/projects/acme/backend/api"):
        assert (await gitlab.api.get(path, headers=bearer(gitlab.token))).status_code == 404
    assert words(await gitlab.api.get("/projects/acme%2Fgone")) == "404 Project Not Found"


# Statuses


async def test_a_status_moves_on_and_stays_one(gitlab: World) -> None:
    for state in ("pending", "running", "success"):
        answer = await gitlab.post_status(state=state, name="quay/api", description=state)
        assert (answer.status_code, answer.json()["status"]) == (201, state)
    (shown,) = (await gitlab.get(f"/repository/commits/{gitlab.head}/statuses")).json()
    assert (shown["status"], shown["name"], shown["description"]) == ("success", "quay/api", "success")


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ("pending", "pending", "Cannot transition status via :enqueue from :pending"),
        ("running", "running", "Cannot transition status via :run from :running"),
        ("running", "pending", "Cannot transition status via :enqueue from :running"),
    ],
)
async def test_a_status_does_not_move_to_where_it_is_or_was(gitlab: World, first: str, then: str, said: str) -> None:
    await gitlab.post_status(state=first)
    refused = await gitlab.post_status(state=then)
    assert refused.status_code == 400
    assert said in str(words(refused))


@pytest.mark.parametrize("end", ["success", "failed", "canceled"])
async def test_after_an_end_a_new_status_begins(gitlab: World, end: str) -> None:
    for state in (end, "pending", end):
        assert (await gitlab.post_status(state=state)).status_code == 201
    assert [one.state for one in gitlab.gitlab.statuses(PATH, gitlab.head)] == [end, end]


async def test_users_names_and_refs_have_statuses_of_their_own(gitlab: World) -> None:
    other = gitlab.gitlab.issue_token("bob", member=PATH)
    for more in ({}, {"name": "x"}, {"ref": "topic"}):
        assert (await gitlab.post_status(**more)).status_code == 201
    assert (await gitlab.post_status(other)).status_code == 201
    assert len(gitlab.gitlab.statuses(PATH, gitlab.head)) == 4


async def test_without_a_ref_the_first_that_contains_the_commit_is_taken(gitlab: World) -> None:
    await gitlab.gitlab.commit_and_push(PATH, ref="topic", deliver=False)
    told = await gitlab.post_status(ref=None)
    assert told.json()["ref"] == "main"
    lost = await gitlab.gitlab.commit_and_push(PATH, ref="topic", deliver=False)
    await gitlab.gitlab.delete_ref(PATH, "topic", deliver=False)
    refused = await gitlab.post_status(sha=lost.sha, ref=None)
    assert (refused.status_code, words(refused)) == (404, "404 References for commit Not Found")
    assert (await gitlab.post_status(sha=lost.sha, ref="topic")).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "done"}, 400),
        ({"state": None}, 400),
        ({"description": "x" * 256}, 400),
        ({"description": "x" * 255}, 201),
        ({"name": "x" * 256}, 400),
        ({"target_url": "javascript:alert(1)"}, 400),
        ({"target_url": "https://builds.test/1"}, 201),
    ],
)
async def test_what_a_status_may_hold(gitlab: World, body: dict[str, Any], status: int) -> None:
    assert (await gitlab.post_status(**body)).status_code == status


async def test_a_commit_that_is_not_there_or_not_yet_there_is_not_found(gitlab: World) -> None:
    assert words(await gitlab.post_status(sha="d" * 40)) == "404 Commit Not Found"
    gitlab.gitlab.faults.unreplicated(PATH)
    assert words(await gitlab.post_status()) == "404 Commit Not Found"
    assert (await gitlab.post_status()).status_code == 201


async def test_every_status_makes_a_pipeline_hook(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="t", push_events=False, pipeline_events=True)
    await gitlab.post_status()
    (waiting,) = gitlab.gitlab.outbox
    assert (waiting.event, waiting.payload["object_kind"]) == ("Pipeline Hook", "pipeline")


# Reading


async def test_branches_and_tags_are_one_part_of_the_address(gitlab: World) -> None:
    pushed = await gitlab.gitlab.commit_and_push(PATH, ref="fix/#7 größe", deliver=False)
    shown = await gitlab.get(f"/repository/branches/{quote('fix/#7 größe', safe='')}")
    assert (shown.json()["name"], shown.json()["commit"]["id"]) == ("fix/#7 größe", pushed.sha)
    assert words(await gitlab.get("/repository/branches/gone")) == "404 Branch Not Found"
    assert words(await gitlab.get("/repository/tags/gone")) == "404 Tag Not Found"


async def test_a_tag_shows_its_object_and_its_commit(gitlab: World) -> None:
    tagged = await gitlab.gitlab.push_tag(PATH, "v/1", annotated=True, deliver=False)
    await gitlab.gitlab.push_tag(PATH, "light", deliver=False)
    shown = (await gitlab.get("/repository/tags/v%2F1")).json()
    assert (shown["target"], shown["commit"]["id"], shown["message"]) == (tagged.after, gitlab.head, "v/1\n")
    listed = (await gitlab.get("/repository/tags", per_page="1", page="2")).json()
    assert [one["name"] for one in listed] == ["light"]
    assert words(await gitlab.get(f"/repository/commits/{tagged.after}")) == "404 Commit Not Found"
    assert (await gitlab.get(f"/repository/commits/{gitlab.head}")).json()["id"] == gitlab.head


async def test_straight_compares_trees_and_else_from_where_the_lines_part(gitlab: World) -> None:
    start = gitlab.head
    kept = await gitlab.gitlab.commit_and_push(PATH, files={"dropped": "1"}, deliver=False)
    forced = await gitlab.gitlab.commit_and_push(PATH, files={"kept": "2"}, force=True, deliver=False)
    straight = (
        await gitlab.get("/repository/compare", **{"from": kept.sha, "to": forced.sha, "straight": "true"})
    ).json()
    assert [(one["new_path"], one["deleted_file"], one["new_file"]) for one in straight["diffs"]] == [
        ("dropped", True, False),
        ("kept", False, True),
    ]
    parted = (await gitlab.get("/repository/compare", **{"from": kept.sha, "to": forced.sha})).json()
    assert [one["new_path"] for one in parted["diffs"]] == ["kept"]
    same = (await gitlab.get("/repository/compare", **{"from": start, "to": start, "straight": "true"})).json()
    assert (same["diffs"], same["compare_same_ref"], same["commit"]) == ([], True, None)


async def test_a_comparison_tells_of_renamed_files_and_of_its_limit(gitlab: World) -> None:
    before = gitlab.head
    changes: dict[str, str | None] = {"Dockerfile": None, "docker/Dockerfile": "FROM busybox\n", "new": "x"}
    after = (await gitlab.gitlab.commit_and_push(PATH, files=changes, deliver=False)).sha
    query = {"from": before, "to": after, "straight": "true"}
    told = (await gitlab.get("/repository/compare", **query)).json()
    assert [(one["old_path"], one["new_path"], one["renamed_file"]) for one in told["diffs"]] == [
        ("Dockerfile", "docker/Dockerfile", True),
        ("new", "new", False),
    ]
    assert told["compare_timeout"] is False
    gitlab.gitlab.state.diff_limit = 1
    cut = (await gitlab.get("/repository/compare", **query)).json()
    assert (len(cut["diffs"]), cut["compare_timeout"]) == (1, True)
    gone = await gitlab.get("/repository/compare", **{"from": "d" * 40, "to": after})
    assert words(gone) == "404 Ref Not Found"


async def test_files_are_shown_encoded_and_raw(gitlab: World) -> None:
    await gitlab.gitlab.commit_and_push(PATH, files={"src/a b.txt": "größe"}, deliver=False)
    place = f"/repository/files/{quote('src/a b.txt', safe='')}"
    assert (await gitlab.get(place, ref=gitlab.head)).json()["file_path"] == "src/a b.txt"
    assert (await gitlab.get(f"{place}/raw", ref=gitlab.head)).text == "größe"
    assert words(await gitlab.get("/repository/files/gone", ref=gitlab.head)) == "404 File Not Found"
    assert words(await gitlab.get(place, ref="d" * 40)) == "404 Commit Not Found"
    assert (await gitlab.get(place)).status_code == 400


async def test_the_apis_archive_is_named_twice_after_its_commit(gitlab: World) -> None:
    archive = await gitlab.get("/repository/archive.tar.gz", sha=gitlab.head)
    assert archive.headers["content-type"] == "application/octet-stream"
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as packed:
        assert packed.getnames() == [f"api-{gitlab.head}-{gitlab.head}/Dockerfile"]
    assert (await gitlab.get("/repository/archive.zip")).headers["content-type"] == "application/zip"
    assert (await gitlab.get("/repository/archive.rar")).status_code == 404
    assert words(await gitlab.get("/repository/archive", sha="d" * 40)) == "404 Commit Not Found"


# Hooks


async def test_hooks_are_shown_to_maintainers_without_their_secrets(gitlab: World) -> None:
    gitlab.gitlab.add_hook(PATH, BOT_URL, token="hush", signing_token="whsec_aHVzaA==")
    assert (await gitlab.get("/hooks")).status_code == 403
    maintainer = gitlab.gitlab.issue_token("meg", member=PATH, role="maintainer")
    shown = await gitlab.get("/hooks", maintainer)
    assert shown.json()[0]["signing_token_present"] is True
    assert "hush" not in shown.text


async def test_a_delivery_can_be_sent_again_under_its_key(gitlab: World) -> None:
    hook = gitlab.gitlab.add_hook(PATH, BOT_URL, token="hush")
    await gitlab.gitlab.commit_and_push(PATH)
    maintainer = gitlab.gitlab.issue_token("meg", member=PATH, role="maintainer")
    (event,) = (await gitlab.get(f"/hooks/{hook.id}/events", maintainer)).json()
    assert event["response_status"] == "202"
    path = f"{PROJECT}/hooks/{hook.id}/events/{event['id']}/resend"
    assert (await gitlab.api.post(path, headers=bearer(maintainer))).status_code == 201
    first, second = gitlab.bot.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert (await gitlab.api.post(path.replace("/events/", "/events/9"), headers=bearer(maintainer))).status_code == 404
    assert (await gitlab.get("/hooks/1/events", maintainer)).status_code == 404


# Limits


async def test_limits_and_busy_statuses_end(gitlab: World) -> None:
    gitlab.gitlab.faults.throttle(retry_after=7)
    limited = await gitlab.get("")
    assert (limited.status_code, limited.headers["retry-after"], limited.text) == (429, "7", "Retry later\n")
    gitlab.gitlab.faults.busy()
    assert (await gitlab.post_status()).status_code == 409
    assert (await gitlab.post_status()).status_code == 201
    gitlab.gitlab.faults.throttle()
    gitlab.gitlab.faults.busy()
    gitlab.gitlab.faults.unreplicated(PATH)
    gitlab.gitlab.faults.clear()
    assert (await gitlab.post_status(state="success")).status_code == 201
