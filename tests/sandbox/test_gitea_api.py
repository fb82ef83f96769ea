"""The sandbox Gitea's API: what it shows, what it refuses, and where Gitea and Forgejo differ."""

from __future__ import annotations

import base64

import pytest

from buildbot.sandbox.git_repository import Change
from tests.sandbox.gitea_world import REPO, GiteaWorld, both, gitea_world

pytestmark = pytest.mark.anyio
NO_SUCH = "d" * 40


async def status_of(world: GiteaWorld, method: str, path: str, token: str | None = None, **body: object) -> int:
    return (await world.ask(method, path, token, **body)).status_code


# Statuses


@both
async def test_a_status_is_answered_with_the_field_status_and_every_one_adds_a_row(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        token = world.token("write:repository")
        for state in ("pending", "whatever"):
            answer = await world.ask("POST", f"/statuses/{world.head}", token, state=state, context="c")
            assert answer.status_code == 201
            assert answer.json()["status"] == state
            assert "state" not in answer.json()
        rows = await world.get(f"/statuses/{world.head}")
    assert [row["status"] for row in rows] == ["whatever", "pending"]


@pytest.mark.parametrize("forgejo", [False, True])
async def test_a_commit_that_is_not_there_is_500_at_gitea_and_404_at_forgejo(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        answer = await world.ask("POST", f"/statuses/{NO_SUCH}", world.token(), state="pending")
    assert answer.status_code == (404 if forgejo else 500)
    assert answer.json()["message"]


async def test_a_status_of_a_tags_object_or_a_short_id_goes_to_the_commit() -> None:
    async with gitea_world() as world:
        tag = await world.gitea.push_tag(REPO, "v1", annotated=True)
        for name in (tag.after, world.head[:8]):
            assert await status_of(world, "POST", f"/statuses/{name}", world.token(), state="pending") == 201
        assert [one.sha for one in world.gitea.statuses(REPO, world.head)] == [world.head] * 2


@pytest.mark.parametrize(
    ("scopes", "role", "status"),
    [
        (("write:repository",), "write", 201),
        (("read:repository",), "write", 403),
        (("write:user",), "write", 403),
        (("write:repository",), "read", 403),
    ],
)
async def test_a_status_takes_the_scope_and_the_right(scopes: tuple[str, ...], role: str, status: int) -> None:
    async with gitea_world() as world:
        token = world.token(*scopes, role=role)
        assert await status_of(world, "POST", f"/statuses/{world.head}", token, state="pending") == status


async def test_nobody_posts_without_a_token_and_a_wrong_one_is_refused_everywhere() -> None:
    async with gitea_world() as world:
        assert await status_of(world, "POST", f"/statuses/{world.head}", state="pending") == 401
        assert await status_of(world, "GET", "", "wrong") == 401
        token = world.token()
        world.gitea.faults.revoke(token)
        assert await status_of(world, "GET", "", token) == 401


# Seeing


async def test_a_private_repository_is_not_there_for_strangers() -> None:
    async with gitea_world() as world:
        world.gitea.set_private(REPO)
        assert await status_of(world, "GET", "") == 404
        assert await status_of(world, "GET", "", world.gitea.issue_token("stranger")) == 404
        assert (await world.get("", world.token("read:repository", role="read")))["private"] is True
        assert await status_of(world, "POST", f"/statuses/{world.head}", world.gitea.issue_token("stranger")) == 404


async def test_a_former_name_is_redirected_with_its_query_also_for_writes() -> None:
    async with gitea_world() as world:
        world.gitea.rename(REPO, "Acme/service")
        answer = await world.ask("GET", "/contents/Dockerfile?ref=main")
        assert (answer.status_code, answer.headers["location"]) == (
            307,
            "/api/v1/repos/Acme/service/contents/Dockerfile?ref=main",
        )
        assert await status_of(world, "POST", f"/statuses/{world.head}", world.gitea.issue_token("Acme")) == 307


async def test_the_tokens_user_is_told_only_to_a_token_that_may_ask() -> None:
    async with gitea_world() as world:
        for scopes, status in ((("read:user",), 200), (("write:repository",), 403)):
            headers = {"authorization": f"token {world.gitea.issue_token('ada', scopes=scopes)}"}
            answer = await world.client.get(f"{world.gitea.api_url}/user", headers=headers)
            assert (answer.status_code, answer.json().get("login")) == (status, "ada" if status == 200 else None)


@both
async def test_the_version_tells_which_of_the_two_it_is(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        answer = await world.client.get(f"{world.gitea.api_url}/version")
    assert ("gitea" in answer.json()["version"]) is forgejo


# Refs, commits, files


async def test_branches_and_tags_lead_to_commits() -> None:
    async with gitea_world() as world:
        push = await world.gitea.commit_and_push(REPO, ref="fix/#7")
        tag = await world.gitea.push_tag(REPO, "v1/rc", annotated=True)
        assert (await world.get("/branches/fix/%237"))["commit"]["id"] == push.sha
        shown = await world.get("/tags/v1/rc")
        assert (shown["id"], shown["commit"]["sha"]) == (tag.after, world.head)
        assert (await world.get(f"/git/tags/{tag.after}"))["object"] == {
            "type": "commit",
            "url": f"{world.gitea.api_url}/repos/{REPO}/git/commits/{world.head}",
            "sha": world.head,
        }
        assert (await world.get(f"/git/commits/{tag.after}"))["sha"] == world.head


async def test_what_is_not_there_is_404_but_400_where_a_tags_object_is_wanted() -> None:
    async with gitea_world() as world:
        for path in ("/branches/gone", "/tags/gone", f"/git/commits/{NO_SUCH}", "/contents/gone", "/raw/gone", "/x"):
            assert await status_of(world, "GET", path) == 404
        for sha in (NO_SUCH, world.head):
            assert await status_of(world, "GET", f"/git/tags/{sha}") == 400


async def test_a_commit_shows_its_files_unless_they_are_not_wanted() -> None:
    async with gitea_world() as world:
        push = await world.gitea.commit_and_push(REPO, files={"new": "1", "Dockerfile": "FROM x"})
        shown = await world.get(f"/git/commits/{push.sha}")
        assert shown["files"] == [
            {"filename": "new", "status": "added"},
            {"filename": "Dockerfile", "status": "modified"},
        ]
        brief = await world.get(f"/git/commits/{push.sha}?files=false&stat=false")
        assert (brief["files"], brief["stats"]) == (None, None)


async def test_a_file_a_directory_and_raw_bytes() -> None:
    async with gitea_world() as world:
        push = await world.gitea.commit_and_push(REPO, files={"a b/x/y": "1", "a b/z": "2"})
        shown = await world.get(f"/contents/a%20b/z?ref={push.sha}")
        assert (shown["type"], base64.b64decode(shown["content"])) == ("file", b"2")
        assert [one["name"] for one in await world.get("/contents/a%20b")] == ["x", "z"]
        assert (await world.ask("GET", "/raw/a%20b/z")).text == "2"


@both
async def test_a_comparison_lists_commits_newest_first_and_their_files_only_at_forgejo(forgejo: bool) -> None:
    async with gitea_world(forgejo=forgejo) as world:
        before = world.head
        await world.gitea.push_commits(REPO, [Change("1", {"x": "1"}), Change("2", {"x": "2"})])
        shown = await world.get(f"/compare/{before}...{world.head}")
        assert [one["commit"]["message"] for one in shown["commits"]] == ["2", "1"]
        assert shown["commits"][1]["parents"][0]["sha"] == before
        assert shown["total_commits"] == 2
        assert [one["status"] for one in shown.get("files", [])] == (["modified", "added"] if forgejo else [])
        assert (await world.get("/compare/main"))["total_commits"] == 0
        assert await status_of(world, "GET", f"/compare/{NO_SUCH}...main") == 404


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    async with gitea_world() as world:
        url = f"{world.gitea.api_url}/repos/{REPO}/statuses/{world.head}"
        headers = {"authorization": f"token {world.token()}"}
        assert (await world.client.post(url, content=body, headers=headers)).status_code == 422


async def test_only_administrators_test_hooks() -> None:
    async with gitea_world() as world:
        assert await status_of(world, "POST", "/hooks/1/tests", world.token()) == 403
        assert await status_of(world, "POST", "/hooks/1/tests", world.token(role="admin")) == 404
