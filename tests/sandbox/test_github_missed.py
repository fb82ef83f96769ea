"""What the sandbox GitHub does about pushes that nobody hears of, and for those who ask for them afterwards."""

from __future__ import annotations

import pytest

from tests.sandbox.github_world import BOT_URL, World, bearer

pytestmark = pytest.mark.anyio
REFS = "/repos/acme/api/git/matching-refs"


async def test_what_is_known_already_is_answered_304_and_costs_nothing_of_the_limit(world: World) -> None:
    token = world.github.issue_token("ci-bot", collaborator="acme/api")
    first = await world.api.get(f"{REFS}/heads", headers=bearer(token))
    etag = {"If-None-Match": first.headers["etag"]}
    again = await world.api.get(f"{REFS}/heads", headers=bearer(token) | etag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    await world.github.commit_and_push("acme/api")
    changed = await world.api.get(f"{REFS}/heads", headers=bearer(token) | etag)
    assert (changed.status_code, changed.json()[0]["object"]["sha"]) == (200, world.head)
    assert int(changed.headers["x-ratelimit-used"]) == int(first.headers["x-ratelimit-used"]) + 1


async def test_to_somebody_without_a_credential_a_304_counts(world: World) -> None:
    first = await world.api.get(f"{REFS}/heads")
    again = await world.api.get(f"{REFS}/heads", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert int(again.headers["x-ratelimit-used"]) == int(first.headers["x-ratelimit-used"]) + 1


async def test_refs_are_matched_by_how_they_begin_and_tags_shown_as_their_objects(world: World) -> None:
    await world.github.push_tag("acme/api", "v1", annotated=True)
    await world.github.push_tag("acme/api", "w1")
    shown = (await world.api.get(f"{REFS}/tags/v")).json()
    assert [(one["ref"], one["object"]["type"]) for one in shown] == [("refs/tags/v1", "tag")]
    assert (await world.api.get(f"{REFS}/tags/x")).json() == []


async def test_an_empty_repository_has_no_refs_to_match(world: World) -> None:
    world.github.add_repository("acme/empty", files=None)
    assert (await world.api.get("/repos/acme/empty/git/matching-refs/heads")).status_code == 409


async def test_a_commits_object_is_shown_without_what_it_changed(world: World) -> None:
    push = await world.github.commit_and_push("acme/api", message="Mend it")
    shown = (await world.api.get(f"/repos/acme/api/git/commits/{push.sha}")).json()
    assert (shown["sha"], shown["message"], "files" in shown) == (push.sha, "Mend it", False)
    assert (await world.api.get(f"/repos/acme/api/git/commits/{'d' * 40}")).status_code == 404


@pytest.mark.parametrize(("count", "told"), [(3, 3), (4, 0)])
async def test_of_more_than_three_tags_at_once_nothing_is_told(world: World, count: int, told: int) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    await world.github.push_tags("acme/api", *(f"v{number}" for number in range(count)))
    assert len(world.bot.received) == told
    assert (world.github.outbox, len(world.repository.refs)) == ([], count + 1)


async def test_a_hook_that_is_switched_off_hears_nothing(world: World) -> None:
    hook = world.github.add_hook("acme/api", BOT_URL)
    off = world.github.switch_off(hook)
    push = await world.github.commit_and_push("acme/api")
    assert (push.deliveries, world.bot.received) == ((), [])
    assert off.describe("")["active"] is False


async def test_an_organisations_hook_hears_of_its_repositories_and_is_for_its_owners_to_see(world: World) -> None:
    world.github.add_repository("ada/toy")
    hook = world.github.add_organisation_hook("acme", BOT_URL)
    await world.github.commit_and_push("acme/api")
    await world.github.commit_and_push("ada/toy")
    assert [one.payload["repository"]["full_name"] for one in world.bot.received] == ["acme/api"]
    assert world.bot.received[0].headers["x-github-hook-installation-target-type"] == "organization"
    owner = bearer(world.github.issue_token("boss", scopes=("admin:org_hook",)))
    (shown,) = (await world.api.get("/orgs/acme/hooks", headers=owner)).json()
    assert (shown["id"], shown["type"]) == (hook.id, "Organization")
    (logged,) = (await world.api.get(f"/orgs/acme/hooks/{hook.id}/deliveries", headers=owner)).json()
    again = await world.api.post(f"/orgs/acme/hooks/{hook.id}/deliveries/{logged['id']}/attempts", headers=owner)
    assert (again.status_code, len(world.bot.received)) == (202, 2)
    assert (await world.api.get("/orgs/other/hooks/1/deliveries", headers=owner)).status_code == 404
    member = bearer(world.github.issue_token("ci-bot", scopes=("repo",)))
    assert (await world.api.get("/orgs/acme/hooks", headers=member)).status_code == 404


async def test_an_app_is_told_where_its_hook_leads(world: World) -> None:
    assert (await world.api.get("/app/hook/config")).status_code == 401
