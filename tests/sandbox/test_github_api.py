"""The sandbox GitHub's API: what it accepts, how it refuses, and what a bot may read."""

from __future__ import annotations

import base64

import httpx
import pytest

from buildbot.sandbox.github import Change
from tests.sandbox.github_world import BOT_URL, World, bearer

pytestmark = pytest.mark.anyio


def reason_of(answer: httpx.Response) -> str:
    return str(answer.json()["errors"])


# Statuses


async def test_a_status_is_created_and_read_back_newest_first(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    made = await world.post_status(token, context="quay/api", description="Queued", target_url="https://bot.test/1")
    await world.post_status(token, context="quay/api", state="success")
    assert made.status_code == 201
    assert made.json()["creator"]["login"] == "ci-bot"
    listed = (await world.api.get(f"/repos/acme/api/commits/{world.head}/statuses")).json()
    assert [one["state"] for one in listed] == ["success", "pending"]
    kept = [
        (one.context, one.state, one.description, one.target_url)
        for one in world.github.statuses("acme/api", world.head)
    ]
    assert kept == [
        ("quay/api", "pending", "Queued", "https://bot.test/1"),
        ("quay/api", "success", None, None),
    ]


async def test_a_status_without_a_context_gets_the_default_one(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    assert (await world.post_status(token)).json()["context"] == "default"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"state": "running"}, "State is not included in the list"),
        ({"description": "x" * 141}, "Description is too long (maximum is 140 characters)"),
        ({"context": "x" * 256}, "Context is too long (maximum is 255 characters)"),
        ({"target_url": "ftp://bot.test/"}, "Target_url must use http(s) scheme"),
    ],
)
async def test_a_status_that_breaks_a_rule_is_refused_with_the_rule(
    world: World, body: dict[str, str], reason: str
) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    answer = await world.post_status(token, **body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    assert reason_of(answer) == f"Validation failed: {reason}"
    assert world.github.statuses("acme/api", world.head) == []


async def test_an_older_server_explains_a_refusal_as_a_list_of_objects(world: World) -> None:
    world.github.state.errors_as_text = False
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    answer = await world.post_status(token, description="x" * 141)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    assert answer.json()["errors"] == [
        {
            "resource": "Status",
            "code": "custom",
            "field": "description",
            "message": "description is too long (maximum is 140 characters)",
        }
    ]


async def test_the_longest_texts_are_still_accepted(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    assert (await world.post_status(token, description="ü" * 140, context="x" * 255)).status_code == 201


async def test_a_field_of_another_type_is_refused(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    answer = await world.post_status(token, description=5)
    assert answer.status_code == 422
    assert "'properties/description', 5 is not a string" in answer.json()["message"]


async def test_a_thousand_statuses_fit_on_a_commit_and_context_whatever_its_case(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    for number in range(1000):
        await world.post_status(token, context="Quay/API" if number % 2 else "quay/api")
    assert len(world.github.statuses("acme/api", world.head)) == 1000
    answer = await world.post_status(token, context="QUAY/api")
    assert answer.status_code == 422
    reason = "This SHA and context has reached the maximum number of statuses."
    assert reason_of(answer) == f"Validation failed: {reason}"
    world.github.state.errors_as_text = False
    older = await world.post_status(token, context="QUAY/api")
    assert older.json()["errors"] == [{"resource": "Status", "code": "custom", "message": reason}]
    assert (await world.post_status(token, context="quay/other")).status_code == 201


async def test_the_combined_status_counts_the_newest_of_each_context_without_case(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    await world.post_status(token, context="quay/api", state="failure")
    await world.post_status(token, context="Quay/Api", state="success")
    combined = (await world.api.get(f"/repos/acme/api/commits/{world.head}/status")).json()
    assert (combined["state"], combined["total_count"]) == ("success", 1)


async def test_a_commit_that_does_not_exist_takes_no_status(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    tag = await world.github.push_tag("acme/api", "v1", annotated=True)
    for sha in ("f" * 40, tag.after, "main"):
        answer = await world.post_status(token, sha)
        assert (answer.status_code, answer.json()["message"]) == (422, f"No commit found for SHA: {sha}")


# Refusals


@pytest.mark.parametrize("private", [False, True])
async def test_a_classic_token_without_the_scope_learns_only_not_found(world: World, private: bool) -> None:
    world.github.set_private("acme/api", private)
    token = world.github.issue_token("ci-bot", scopes=("gist",), collaborator="acme/api")
    answer = await world.post_status(token)
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


async def test_a_classic_token_of_somebody_without_write_access_learns_only_not_found(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api", role="read")
    assert (await world.post_status(token)).status_code == 404


async def test_a_fine_grained_token_without_the_permission_is_told_so(world: World) -> None:
    token = world.github.issue_token("ci-bot", permissions={"contents": "read"}, collaborator="acme/api")
    answer = await world.post_status(token)
    assert (answer.status_code, answer.json()["message"]) == (
        403,
        "Resource not accessible by personal access token",
    )


async def test_a_fine_grained_token_writes_where_it_may_and_does_not_see_other_private_repositories(
    world: World,
) -> None:
    other = world.github.add_repository("acme/other", private=True)
    world.github.add_collaborator("acme/other", "ci-bot")
    token = world.github.issue_token(
        "ci-bot", permissions={"statuses": "write"}, repositories=["acme/api"], collaborator="acme/api"
    )
    assert (await world.post_status(token)).status_code == 201
    elsewhere = f"/repos/acme/other/statuses/{other.refs['refs/heads/main']}"
    answer = await world.api.post(elsewhere, json={"state": "pending"}, headers=bearer(token))
    assert answer.status_code == 404


async def test_an_installation_without_the_permission_is_told_so(world: World) -> None:
    app = world.github.add_app(permissions={"contents": "read"})
    installation = world.github.install(app, "acme")
    token = world.github.accounts.issue_installation(installation, world.clock()).token
    answer = await world.post_status(token)
    assert (answer.status_code, answer.json()["message"]) == (403, "Resource not accessible by integration")


async def test_nobody_may_write_without_a_token(world: World) -> None:
    answer = await world.api.post(f"/repos/acme/api/statuses/{world.head}", json={"state": "pending"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Requires authentication")


async def test_an_unknown_token_is_a_bad_credential_even_for_what_is_public(world: World) -> None:
    answer = await world.api.get("/repos/acme/api", headers=bearer("ghp_unknown"))
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_a_private_repository_does_not_exist_for_strangers(world: World) -> None:
    world.github.set_private("acme/api")
    stranger = world.github.issue_token("eve", scopes=("repo",))
    member = world.github.issue_token("ada", scopes=("repo",), collaborator="acme/api", role="read")
    seen = [
        (await world.api.get("/repos/acme/api", headers=headers)).status_code
        for headers in ({}, bearer(stranger), bearer(member))
    ]
    assert seen == [404, 404, 200]


async def test_a_request_without_a_user_agent_is_turned_away(world: World) -> None:
    assert (await world.api.get("/repos/acme/api", headers={"User-Agent": ""})).status_code == 403


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "Problems parsing JSON"), (b"[]", "Body should be a JSON object")]
)
async def test_a_body_that_is_no_json_object_is_refused(world: World, content: bytes, message: str) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    answer = await world.api.post(f"/repos/acme/api/statuses/{world.head}", content=content, headers=bearer(token))
    assert (answer.status_code, answer.json()["message"]) == (400, message)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_not_spoken_here_is_not_found(world: World, method: str) -> None:
    answer = await world.api.request(method, "/repos/acme/api/milestones")
    assert (answer.status_code, answer.json()["status"]) == (404, "404")


async def test_the_word_token_is_as_good_as_bearer(world: World) -> None:
    token = world.github.issue_token("ci-bot")
    answer = await world.api.get("/user", headers={"Authorization": f"token {token}"})
    assert (answer.json()["login"], answer.headers["x-oauth-scopes"]) == ("ci-bot", "repo:status")


async def test_only_people_are_users(world: World) -> None:
    installation = world.github.install(world.github.add_app(), "acme")
    token = world.github.accounts.issue_installation(installation, world.clock()).token
    answers = [await world.api.get("/user", headers=headers) for headers in ({}, bearer(token))]
    assert [one.status_code for one in answers] == [401, 403]


# Renames


async def test_a_former_name_redirects_to_the_id_which_takes_the_status(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    world.github.rename("acme/api", "newowner/service")
    moved = await world.post_status(token)
    assert moved.status_code == 301
    assert moved.headers["location"] == (
        f"http://github.test/api/v3/repositories/{world.repository.id}/statuses/{world.head}"
    )
    again = await world.api.post(moved.headers["location"], json={"state": "success"}, headers=bearer(token))
    assert again.status_code == 201
    assert [one.state for one in world.github.statuses("newowner/service", world.head)] == ["success"]


async def test_a_redirect_keeps_the_query(world: World) -> None:
    world.github.rename("acme/api", "acme/service")
    moved = await world.api.get("/repos/acme/api/contents/Dockerfile?ref=main")
    assert moved.headers["location"].endswith(f"/repositories/{world.repository.id}/contents/Dockerfile?ref=main")


async def test_a_former_name_of_a_private_repository_tells_strangers_nothing(world: World) -> None:
    world.github.rename("acme/api", "acme/service")
    world.github.set_private("acme/service")
    assert (await world.api.get("/repos/acme/api")).status_code == 404


async def test_a_new_repository_takes_over_a_former_name(world: World) -> None:
    world.github.rename("acme/api", "acme/service")
    new = world.github.add_repository("acme/api")
    assert (await world.api.get("/repos/acme/api")).json()["id"] == new.id


async def test_names_compare_without_case_and_are_not_redirected_for_it(world: World) -> None:
    answer = await world.api.get("/repos/ACME/Api")
    assert (answer.status_code, answer.json()["full_name"]) == (200, "acme/api")


# Reading


async def test_a_repository_says_what_the_caller_may_do(world: World) -> None:
    token = world.github.issue_token("ci-bot", scopes=("repo",), collaborator="acme/api")
    assert "permissions" not in (await world.api.get("/repos/acme/api")).json()
    shown = (await world.api.get("/repos/acme/api", headers=bearer(token))).json()
    assert (shown["permissions"]["push"], shown["permissions"]["admin"]) == (True, False)


async def test_a_branch_with_a_slash_tells_its_head(world: World) -> None:
    pushed = await world.github.commit_and_push("acme/api", ref="feature/x#1", files={"x": "1"})
    found = await world.api.get("/repos/acme/api/branches/feature%2Fx%231")
    missing = await world.api.get("/repos/acme/api/branches/nothing")
    assert found.json()["commit"]["sha"] == pushed.sha
    assert (missing.status_code, missing.json()["message"]) == (404, "Branch not found")


async def test_a_ref_is_found_missing_or_in_conflict_with_emptiness(world: World) -> None:
    world.github.add_repository("acme/empty", files=None)
    found = await world.api.get("/repos/acme/api/git/ref/heads/main")
    assert found.json()["object"]["sha"] == world.head
    assert (await world.api.get("/repos/acme/api/git/ref/heads/nothing")).status_code == 404
    assert (await world.api.get("/repos/acme/empty/git/ref/heads/main")).status_code == 409


async def test_an_annotated_tag_is_peeled_in_two_steps_and_a_lightweight_one_has_no_object(world: World) -> None:
    annotated = await world.github.push_tag("acme/api", "v1", annotated=True)
    await world.github.push_tag("acme/api", "v2")
    ref = (await world.api.get("/repos/acme/api/git/ref/tags/v1")).json()
    assert ref["object"] == ref["object"] | {"type": "tag", "sha": annotated.after}
    tag = (await world.api.get(f"/repos/acme/api/git/tags/{annotated.after}")).json()
    assert (tag["object"]["type"], tag["object"]["sha"]) == ("commit", world.head)
    assert (await world.api.get("/repos/acme/api/git/ref/tags/v2")).json()["object"]["type"] == "commit"
    assert (await world.api.get(f"/repos/acme/api/git/tags/{world.head}")).status_code == 404


@pytest.mark.parametrize("ref", ["main", "heads/main", "v1", "tags/v1"])
async def test_a_commit_is_found_by_any_name(world: World, ref: str) -> None:
    await world.github.push_tag("acme/api", "v1", annotated=True)
    assert (await world.api.get(f"/repos/acme/api/commits/{ref}")).json()["sha"] == world.head


async def test_a_commit_shows_what_it_changed_and_an_unknown_one_is_unprocessable(world: World) -> None:
    pushed = await world.github.commit_and_push("acme/api", files={"Dockerfile": None, "new": "1"})
    shown = (await world.api.get(f"/repos/acme/api/commits/{pushed.sha[:10]}")).json()
    assert [(one["filename"], one["status"]) for one in shown["files"]] == [("Dockerfile", "removed"), ("new", "added")]
    assert (await world.api.get(f"/repos/acme/api/commits/{'f' * 40}")).status_code == 422


async def test_a_file_comes_raw_or_as_json(world: World) -> None:
    path = "/repos/acme/api/contents/Dockerfile"
    raw = await world.api.get(path, headers={"Accept": "application/vnd.github.raw+json"})
    shown = (await world.api.get(path)).json()
    assert raw.text == "FROM busybox\n"
    assert base64.b64decode(shown["content"]) == b"FROM busybox\n"
    missing = [f"{path}.old", f"{path}?ref=nothing"]
    assert [(await world.api.get(one)).status_code for one in missing] == [404, 404]


async def test_a_comparison_is_from_the_merge_base(world: World) -> None:
    github = world.github
    side = await github.commit_and_push("acme/api", ref="side", files={"side": "1"})
    main = await github.commit_and_push("acme/api", files={"main": "1"})
    shown = (await world.api.get(f"/repos/acme/api/compare/{side.sha}...{main.sha}")).json()
    assert (shown["status"], shown["ahead_by"], shown["behind_by"]) == ("diverged", 1, 1)
    assert [one["filename"] for one in shown["files"]] == ["main"]


@pytest.mark.parametrize(
    ("base", "head", "status"), [("v1", "main", "ahead"), ("main", "v1", "behind"), ("main", "main", "identical")]
)
async def test_a_comparison_says_who_is_ahead(world: World, base: str, head: str, status: str) -> None:
    await world.github.push_tag("acme/api", "v1")
    await world.github.commit_and_push("acme/api")
    assert (await world.api.get(f"/repos/acme/api/compare/{base}...{head}")).json()["status"] == status


async def test_a_comparison_shows_300_files_at_most_and_only_on_its_first_page(world: World) -> None:
    many = {f"file{number:03}": "1" for number in range(301)}
    pushed = await world.github.push_commits("acme/api", [Change("many", many)])
    path = f"/repos/acme/api/compare/{pushed.before}...{pushed.after}"
    pages = [(await world.api.get(path, params={"page": page})).json() for page in (1, 2)]
    assert [len(one["files"]) for one in pages] == [300, 0]


async def test_a_comparison_with_something_gone_is_not_found(world: World) -> None:
    assert (await world.api.get(f"/repos/acme/api/compare/{'f' * 40}...main")).status_code == 404


# Limits


async def test_every_answer_counts_down_the_callers_hour(world: World) -> None:
    token = world.github.issue_token("ci-bot")
    answers = [await world.api.get("/user", headers=bearer(token)) for _ in range(2)]
    assert [one.headers["x-ratelimit-remaining"] for one in answers] == ["4999", "4998"]
    assert answers[0].headers["x-ratelimit-limit"] == "5000"
    assert int(answers[0].headers["x-ratelimit-reset"]) == int(world.clock().timestamp()) + 3600
    anonymous = await world.api.get("/repos/acme/api")
    assert anonymous.headers["x-ratelimit-used"] == "1"


# Apps


async def test_an_installation_token_of_the_newer_form_works_for_an_hour(world: World) -> None:
    installation = world.github.install(world.github.add_app(), "acme")
    token = world.github.accounts.issue_installation(installation, world.clock()).token
    assert token.startswith(f"ghs_{installation.app_id}_")
    assert len(token) > 100
    world.clock.turn(minutes=59)
    assert (await world.post_status(token)).status_code == 201
    world.clock.turn(minutes=1)
    assert (await world.post_status(token)).status_code == 401


# Redelivery


async def test_the_owner_sees_a_hooks_deliveries_and_may_have_one_sent_again(world: World) -> None:
    owner = world.github.issue_token("acme", scopes=("admin:repo_hook",))
    hook = world.github.add_hook("acme/api", BOT_URL, secret="s")
    world.bot.status = 500
    await world.github.commit_and_push("acme/api")
    world.bot.status = 202
    path = f"/repos/acme/api/hooks/{hook.id}/deliveries"
    [failed] = (await world.api.get(path, headers=bearer(owner))).json()
    assert (failed["status_code"], failed["event"], failed["redelivery"]) == (500, "push", False)
    again = await world.api.post(f"{path}/{failed['id']}/attempts", headers=bearer(owner))
    assert again.status_code == 202
    newest, _ = (await world.api.get(path, headers=bearer(owner))).json()
    assert (newest["status"], newest["redelivery"], newest["guid"]) == ("OK", True, failed["guid"])
    assert world.bot.received[0].body == world.bot.received[1].body


async def test_deliveries_are_paged_by_a_cursor_in_the_link(world: World) -> None:
    owner = world.github.issue_token("acme", scopes=("repo",))
    hook = world.github.add_hook("acme/api", BOT_URL)
    for _ in range(5):
        await world.github.commit_and_push("acme/api")
    url: str | None = f"/repos/acme/api/hooks/{hook.id}/deliveries?per_page=2"
    pages = []
    while url:
        answer = await world.api.get(url, headers=bearer(owner))
        pages.append([one["id"] for one in answer.json()])
        url = answer.links.get("next", {}).get("url")
    seen = [one for page in pages for one in page]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert seen == sorted(set(seen), reverse=True)


async def test_hooks_are_listed_with_their_secrets_masked(world: World) -> None:
    owner = world.github.issue_token("acme", scopes=("repo",))
    world.github.add_hook("acme/api", BOT_URL, secret="s3cr3t")
    [shown] = (await world.api.get("/repos/acme/api/hooks", headers=bearer(owner))).json()
    assert (shown["config"]["url"], shown["config"]["secret"]) == (BOT_URL, "********")


async def test_hooks_are_their_administrators_business(world: World) -> None:
    hook = world.github.add_hook("acme/api", BOT_URL)
    writer = world.github.issue_token("ci-bot", scopes=("repo", "admin:repo_hook"), collaborator="acme/api")
    reader = world.github.issue_token("acme", permissions={"repository_hooks": "read"})
    path = f"/repos/acme/api/hooks/{hook.id}/deliveries"
    assert (await world.api.get(path, headers=bearer(writer))).status_code == 404
    assert (await world.api.get(path, headers=bearer(reader))).status_code == 200
    assert (await world.api.post(f"{path}/1/attempts", headers=bearer(reader))).status_code == 403


async def test_a_delivery_or_hook_that_does_not_exist_is_not_found(world: World) -> None:
    owner = world.github.issue_token("acme", scopes=("repo",))
    hook = world.github.add_hook("acme/api", BOT_URL)
    paths = [f"/repos/acme/api/hooks/{hook.id}/deliveries/1/attempts", "/repos/acme/api/hooks/1/deliveries/1/attempts"]
    assert [(await world.api.post(path, headers=bearer(owner))).status_code for path in paths] == [404, 404]
