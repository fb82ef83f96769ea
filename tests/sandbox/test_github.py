"""What users do on the sandbox GitHub, and which webhooks come of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildbot.sandbox.git_repository import NO_COMMIT, NoSuchRef, NotFastForward
from buildbot.sandbox.github import Change, GitHub
from tests.sandbox.github_world import BOT_URL, World

pytestmark = pytest.mark.anyio


async def test_a_push_says_what_moved_and_which_files_changed(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    before = world.head
    pushed = await world.github.commit_and_push(
        "acme/api", ref="main", message="Add it", files={"src/new.py": "1", "Dockerfile": "FROM alpine\n"}, by="ada"
    )
    [received] = world.bot.received
    assert received.event == "push"
    assert received.payload["ref"] == "refs/heads/main"
    assert (received.payload["before"], received.payload["after"]) == (before, pushed.sha)
    [commit] = received.payload["commits"]
    assert (commit["id"], commit["message"]) == (pushed.sha, "Add it")
    assert (commit["added"], commit["modified"], commit["removed"]) == (["src/new.py"], ["Dockerfile"], [])
    assert received.payload["head_commit"] == commit
    assert received.payload["pusher"]["name"] == "ada"
    assert pushed.attempts[0].status_code == 202


async def test_several_commits_of_one_push_are_listed_oldest_first(world: World) -> None:
    changes = [Change("one", {"a": "1"}), Change("two", {"a": "2"}), Change("three", {"a": None})]
    pushed = await world.github.push_commits("acme/api", changes, deliver=False)
    assert [one.message for one in pushed.update.commits] == ["one", "two", "three"]
    assert pushed.update.commits[-1].removed == ("a",)


async def test_the_time_of_a_push_is_the_clocks_and_an_integer(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    world.clock.turn(hours=1)
    await world.github.commit_and_push("acme/api")
    assert world.bot.received[0].payload["repository"]["pushed_at"] == int(world.clock().timestamp())


async def test_a_new_branch_starts_at_the_default_branch(world: World) -> None:
    pushed = await world.github.commit_and_push("acme/api", ref="feature/x", files={"x": "1"})
    assert pushed.before == NO_COMMIT
    assert pushed.update.created
    assert [one.sha for one in pushed.update.commits] == [pushed.sha]
    assert world.repository.commits[pushed.sha].parents == (world.head,)


async def test_a_branch_on_a_known_commit_brings_no_commits(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    await world.github.push_ref("acme/api", "release/1", world.head)
    payload = world.bot.received[0].payload
    assert payload["commits"] == []
    assert payload["head_commit"]["id"] == world.head
    assert payload["base_ref"] == "refs/heads/main"


async def test_commits_may_be_lost_only_by_force(world: World) -> None:
    github, first = world.github, world.head
    await github.commit_and_push("acme/api")
    with pytest.raises(NotFastForward):
        await github.push_ref("acme/api", "main", first)
    back = await github.push_ref("acme/api", "main", first, force=True)
    assert back.update.forced
    assert back.update.commits == ()


async def test_a_forced_commit_replaces_the_last_one(world: World) -> None:
    first = world.head
    old = await world.github.commit_and_push("acme/api", files={"a": "old"})
    new = await world.github.commit_and_push("acme/api", files={"a": "new"}, force=True)
    assert (new.before, new.update.forced) == (old.sha, True)
    assert world.repository.commits[new.sha].parents == (first,)


async def test_a_ref_may_go_forth_back_and_forth_again(world: World) -> None:
    a = world.head
    b = (await world.github.commit_and_push("acme/api")).sha
    moves = [await world.github.push_ref("acme/api", "main", to, force=True) for to in (a, b)]
    assert [(one.before, one.after) for one in moves] == [(b, a), (a, b)]


async def test_a_lightweight_tag_points_to_the_commit(world: World) -> None:
    pushed = await world.github.push_tag("acme/api", "v1.0")
    assert (pushed.ref, pushed.after, pushed.sha) == ("refs/tags/v1.0", world.head, world.head)
    assert pushed.update.commits == ()


async def test_an_annotated_tags_after_is_the_tag_and_its_head_commit_the_commit(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    pushed = await world.github.push_tag("acme/api", "v1.0", annotated=True)
    payload = world.bot.received[0].payload
    assert payload["after"] == pushed.after
    assert payload["after"] not in world.repository.commits
    assert payload["head_commit"]["id"] == pushed.sha == world.head


async def test_a_tag_is_moved_only_by_force_and_is_then_not_created(world: World) -> None:
    await world.github.push_tag("acme/api", "latest")
    await world.github.commit_and_push("acme/api")
    with pytest.raises(NotFastForward):
        await world.github.push_tag("acme/api", "latest")
    moved = await world.github.push_tag("acme/api", "latest", force=True)
    assert (moved.update.created, moved.update.forced, moved.sha) == (False, True, world.head)


async def test_a_deletion_has_zeros_and_no_head_commit(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    head = world.head
    pushed = await world.github.delete_ref("acme/api", "main")
    payload = world.bot.received[0].payload
    assert (payload["before"], payload["after"], payload["deleted"]) == (head, NO_COMMIT, True)
    assert payload["head_commit"] is None
    assert pushed.sha == NO_COMMIT
    with pytest.raises(NoSuchRef):
        await world.github.delete_ref("acme/api", "main")


async def test_a_hook_that_hears_everything_gets_create_and_delete_with_short_refs(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, events=("*",))
    await world.github.push_tag("acme/api", "v1")
    await world.github.delete_ref("acme/api", "refs/tags/v1")
    assert [one.event for one in world.bot.received] == ["push", "create", "push", "delete"]
    assert [world.bot.received[n].payload["ref"] for n in (1, 3)] == ["v1", "v1"]
    assert len({one.guid for one in world.bot.received}) == 4


async def test_all_hooks_of_an_event_share_its_guid(world: World) -> None:
    hooks = [world.github.add_hook("acme/api", BOT_URL) for _ in range(2)]
    await world.github.commit_and_push("acme/api")
    one, two = world.bot.received
    assert one.guid == two.guid
    assert [int(each.headers["x-github-hook-id"]) for each in (one, two)] == [hook.id for hook in hooks]


async def test_hooks_hear_only_of_their_own_repository(world: World) -> None:
    world.github.add_repository("acme/other")
    world.github.add_hook("acme/api", BOT_URL)
    await world.github.commit_and_push("acme/other")
    assert world.bot.received == []


async def test_an_app_hears_of_pushes_where_it_is_installed_and_of_its_installation(world: World) -> None:
    github = world.github
    github.add_repository("acme/other")
    app = github.add_app(hook_url=BOT_URL, secret="s")
    installation = github.install(app, "acme", ["acme/api"])
    await github.commit_and_push("acme/api")
    await github.commit_and_push("acme/other")
    [received] = world.bot.received
    assert received.payload["installation"]["id"] == installation.id
    assert received.headers["x-github-hook-installation-target-type"] == "integration"
    assert received.headers["x-github-hook-installation-target-id"] == str(app.id)


async def test_a_new_hook_is_greeted_when_the_outbox_is_flushed(world: World) -> None:
    hook = world.github.add_hook("acme/api", BOT_URL, ping=True)
    assert world.bot.received == []
    await world.github.flush()
    [received] = world.bot.received
    assert received.event == "ping"
    assert received.payload["hook_id"] == hook.id
    assert received.payload["repository"]["full_name"] == "acme/api"
    assert world.github.outbox == []


async def test_the_greeting_of_an_app_tells_of_no_repository(world: World) -> None:
    app = world.github.add_app(hook_url=BOT_URL)
    await world.github.deliver(world.github.ping(world.github.state.hooks[0]))
    payload = world.bot.received[0].payload
    assert "repository" not in payload
    assert (payload["hook"]["type"], payload["hook"]["app_id"]) == ("App", app.id)


async def test_deliveries_may_be_held_back_and_sent_in_another_order(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    first = await world.github.commit_and_push("acme/api", deliver=False)
    second = await world.github.commit_and_push("acme/api", deliver=False)
    assert (first.attempts, world.bot.received) == ((), [])
    for held in (*second.deliveries, *first.deliveries):
        await world.github.deliver(held)
    assert [one.payload["after"] for one in world.bot.received] == [second.sha, first.sha]
    assert world.github.outbox == []


async def test_a_delivery_may_come_twice_and_under_another_guid(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, secret="s")
    [delivery] = (await world.github.commit_and_push("acme/api")).deliveries
    await world.github.deliver(delivery)
    await world.github.deliver(delivery, guid="another")
    assert [one.guid for one in world.bot.received] == [delivery.guid, delivery.guid, "another"]
    assert len({one.headers["x-hub-signature-256"] for one in world.bot.received}) == 1


async def test_a_payload_may_be_changed_before_it_is_signed(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL, secret="s")
    [delivery] = (await world.github.commit_and_push("acme/api", deliver=False)).deliveries
    await world.github.deliver(replace(delivery, payload={**delivery.payload, "before": "f" * 40}))
    assert world.bot.received[0].payload["before"] == "f" * 40
    assert world.bot.received[0].headers["x-hub-signature-256"] != delivery.headers["X-Hub-Signature-256"]


async def test_a_payload_that_is_too_large_is_never_sent(world: World) -> None:
    world.github.add_hook("acme/api", BOT_URL)
    world.github.hookshot.largest_payload_bytes = 20_000
    pushed = await world.github.commit_and_push("acme/api", message="x" * 20_000)
    assert (pushed.deliveries, world.bot.received) == ((), [])
    await world.github.commit_and_push("acme/api", message="short")
    assert len(world.bot.received) == 1


async def test_an_empty_repository_gets_its_branch_with_the_first_push(world: World) -> None:
    it = world.github.add_repository("acme/empty", files=None)
    assert it.refs == {}
    with pytest.raises(ValueError, match="acme/empty is empty"):
        await world.github.push_commits(it, [])
    pushed = await world.github.commit_and_push(it, files={"Dockerfile": "FROM busybox\n"})
    assert it.refs == {"refs/heads/main": pushed.sha}


async def test_a_repository_nobody_added_is_named_in_the_error(world: World) -> None:
    with pytest.raises(LookupError, match="no repository acme/nothing"):
        await world.github.commit_and_push("acme/nothing")


async def test_the_address_may_be_set_once_a_port_is_known() -> None:
    github = GitHub()
    github.url = "http://127.0.0.1:1234/"
    assert (github.url, github.api_url) == ("http://127.0.0.1:1234", "http://127.0.0.1:1234/api/v3")


async def test_calls_are_written_down_with_what_was_answered(world: World) -> None:
    await world.api.get("/repos/acme/api")
    await world.api.get("/repos/acme/nothing")
    assert world.github.calls == [("GET", "/repos/acme/api", 200), ("GET", "/repos/acme/nothing", 404)]
