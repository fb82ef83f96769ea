"""What people ask of the store: lists and stories, cancelling, building again, building without a push."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from buildbot.domain.build import BuildId, BuildPhase, CancelReason, Goal, GoalKind
from buildbot.domain.rule import Supersede
from buildbot.domain.status import StatusState, status_of
from buildbot.ports import BuildFilter, NoSuchBuild, NotPossible, Rebuilt
from tests.store.world import API, SOURCE, START, World, a_push, ended_as, seen_as, sha

pytestmark = pytest.mark.anyio

KEEP = (replace(API, supersede=Supersede.KEEP),)
BY_ADA = Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada")
UNKNOWN = BuildId("unknown")


async def rebuild(world: World, build: BuildId, *, move_tags: bool = False) -> Rebuilt:
    return await world.store.rebuild(build, world.now, status_of, move_tags=move_tags)


# ── lists and stories ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("which", "commits"),
    [
        (BuildFilter(), "dcb"),
        (BuildFilter(limit=2), "dc"),
        (BuildFilter(source="acme/API"), "cb"),
        (BuildFilter(source="acme/ap"), ""),
        (BuildFilter(source="acme/a_i"), ""),
        (BuildFilter(source="me/api"), ""),
        (BuildFilter(source='x","'), ""),
        (BuildFilter(source="Über/straße"), "d"),
        (BuildFilter(rule="api"), "dcb"),
        (BuildFilter(rule="ap"), ""),
        (BuildFilter(ref="refs/heads/dev"), "c"),
        (BuildFilter(phase="failed"), "b"),
        (BuildFilter(unfinished=True), "dc"),
        (BuildFilter(unfinished=True, source="acme/api", ref="refs/heads/dev"), "c"),
    ],
)
async def test_builds_are_listed_newest_first_by_what_is_asked(world: World, which: BuildFilter, commits: str) -> None:
    await world.end(await world.build("a", "b"), BuildPhase.FAILED)
    await world.build("a", "c", ref="refs/heads/dev")
    elsewhere = replace(SOURCE, repository_id="2", full_name="Über/Straße")
    await world.record(a_push("a", "d", source=elsewhere), rules=(replace(API, source="*/*"),))
    assert "".join((build.commit or "?")[0] for build in await world.store.list_builds(which)) == commits


async def test_a_story_tells_steps_and_status(world: World) -> None:
    build = await world.build("a", "b")
    world.now += timedelta(seconds=5)
    ended = await world.end(build)
    story = await world.store.story(build.id)
    assert story.build == ended
    assert [(step.at, step.what) for step in story.steps][1:] == [(world.now, "seen")]
    assert story.status is not None
    assert (story.status.context, story.status.sha) == ("quay/api", build.commit)
    assert (story.status.wanted.state, story.status.posted) == (StatusState.SUCCESS, None)


async def test_what_is_not_there_is_said_to_be_not_there(world: World) -> None:
    with pytest.raises(NoSuchBuild, match="no build has the id 'unknown'"):
        await world.store.story(UNKNOWN)
    with pytest.raises(NoSuchBuild):
        await world.store.cancel(UNKNOWN, BY_ADA, START)
    with pytest.raises(NoSuchBuild):
        await rebuild(world, UNKNOWN)


async def test_what_is_under_way_is_counted(world: World) -> None:
    empty = await world.store.counts()
    assert (empty.builds, empty.statuses, empty.oldest_seconds) == ({}, 0, 0.0)
    first = await world.build("a", "b")
    await world.build("a", "c", ref="refs/heads/dev")
    await world.save(await world.claim(), seen_as(first, BuildPhase.WAITING))
    counts = await world.store.counts()
    assert (counts.builds, counts.statuses) == ({"planned": 1, "waiting": 1}, 2)


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancel_is_a_goal_for_whoever_holds_the_repository(world: World) -> None:
    build = await world.build("a", "b")
    await world.store.release(await world.claim(), None)
    assert (await world.store.cancel(build.id, BY_ADA, world.now)).goal == BY_ADA
    assert (await world.claim()).builds[0].goal == BY_ADA


async def test_what_has_ended_cannot_be_cancelled(world: World) -> None:
    build = await world.end(await world.build("a", "b"))
    with pytest.raises(NotPossible, match="has ended already: succeeded"):
        await world.store.cancel(build.id, BY_ADA, world.now)


async def test_the_first_reason_to_cancel_stands(world: World) -> None:
    build = await world.build("a", "b")
    await world.push("b", "c")
    assert (await world.store.cancel(build.id, BY_ADA, world.now)).goal.reason is CancelReason.SUPERSEDED
    assert (await world.reread(build)).goal.reason is CancelReason.SUPERSEDED


async def test_what_was_only_to_be_dropped_from_the_queue_can_be_cancelled_for_good(world: World) -> None:
    queued = (replace(API, supersede=Supersede.QUEUED),)
    (old,) = (await world.push("a", "b", rules=queued)).builds
    await world.push("b", "c", rules=queued)
    assert (await world.store.cancel(old.id, BY_ADA, world.now)).goal == BY_ADA


# ── building again ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_rebuild_is_the_same_request_last_in_the_order(world: World) -> None:
    old = await world.end(await world.build("a", "b"), BuildPhase.FAILED)
    await world.due_status()
    world.now += timedelta(minutes=1)
    again = await rebuild(world, old.id)
    build = again.build
    assert again.left_out == ()
    assert (build.request, build.commit, build.rebuild_of) == (old.request, old.commit, old.id)
    assert (build.seen.phase, build.goal, build.created_at) == (BuildPhase.PLANNED, Goal(), world.now)
    assert build.seq > old.seq
    assert await world.reread(build) == build
    assert (await world.claim()).builds == (build,)
    assert (await world.due_status()).owner == build.id


async def test_a_rebuild_leaves_tags_that_a_newer_build_has_claimed(world: World) -> None:
    old = await world.build("a", "b")
    await world.push("b", "c")
    again = await rebuild(world, old.id)
    assert (again.build.request.image_tags, again.left_out) == (("sha-bbbbbbb",), ("main",))


async def test_a_rebuild_may_take_all_its_tags_back(world: World) -> None:
    old = await world.build("a", "b")
    await world.push("b", "c")
    again = await rebuild(world, old.id, move_tags=True)
    assert (again.build.request.image_tags, again.left_out) == (("main", "sha-bbbbbbb"), ())


async def test_a_rebuild_without_any_tag_left_is_refused(world: World) -> None:
    rules = (replace(API, image_tags=("{ref}",)),)
    (old,) = (await world.push("a", "b", rules=rules)).builds
    await world.push("b", "c", rules=rules)
    with pytest.raises(NotPossible, match="newer builds of acme/api have claimed main since; use --move-tags"):
        await rebuild(world, old.id)
    assert len(await world.builds()) == 2


async def test_a_tag_is_claimed_by_its_whole_name_and_case(world: World) -> None:
    old = await world.build("a", "b")
    for ref in ("refs/heads/Main", "refs/heads/main2", "refs/heads/mai"):
        await world.push("x", "c", ref=ref)
    assert (await rebuild(world, old.id)).left_out == ()


async def test_a_build_of_the_same_commit_claims_nothing(world: World) -> None:
    old = await world.build("a", "b")
    await rebuild(world, old.id)
    assert (await rebuild(world, old.id)).left_out == ()


async def test_a_push_that_only_arrived_later_claims_nothing(world: World) -> None:
    newer = await world.build("b", "c")
    await world.push("a", "b")
    assert (await rebuild(world, newer.id)).left_out == ()


async def test_a_rebuild_of_another_repository_claims_nothing(world: World) -> None:
    old = await world.build("a", "b")
    await world.push("b", "c", rules=(replace(API, repository="acme/other"),))
    assert (await rebuild(world, old.id)).left_out == ()


async def test_a_rebuild_is_superseded_by_the_next_push_but_not_by_a_late_one(world: World) -> None:
    old = await world.build("a", "b")
    await world.push("c", "d", rules=KEEP)
    again = (await rebuild(world, old.id)).build
    await world.push("b", "c")
    assert (await world.reread(again)).goal == Goal()
    await world.push("d", "e")
    assert (await world.reread(again)).goal.kind is GoalKind.CANCEL


async def test_a_tag_whose_commit_was_never_found_can_be_built_again(world: World) -> None:
    push = replace(a_push(None, "b", "refs/tags/v1"), commit=None)
    (old,) = (await world.record(push)).builds
    claim = await world.claim()
    await world.save(claim, ended_as(old, BuildPhase.ERRORED, world.now))
    again = (await rebuild(world, old.id)).build
    assert (again.commit, again.tag_object) == (None, sha("b"))
    assert again.request == old.request


# ── building without a push ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_commissioned_build_says_who_asked(world: World) -> None:
    pattern = await world.build("a", "b")
    build = await world.commissioned(pattern.request, "c", "refs/heads/new")
    assert (build.pusher, build.delivery, build.commit, build.goal) == ("ada", None, sha("c"), Goal())
    assert await world.reread(build) == build
    assert build.id in {one.id for one in (await world.claim()).builds}
    assert sha("c") in {status.sha for status in await world.due_statuses()}


async def test_a_commissioned_build_stands_at_the_head_of_its_ref(world: World) -> None:
    await world.push("a", "b", rules=KEEP)
    (head,) = (await world.push("c", "d", rules=KEEP)).builds
    build = await world.commissioned(head.request, "d")
    late = await world.push("b", "c")
    assert late.builds[0].goal.kind is GoalKind.CANCEL
    assert (await world.reread(build)).goal == Goal()
    await world.push("d", "e")
    assert (await world.reread(build)).goal.kind is GoalKind.CANCEL


async def test_a_late_push_does_not_take_the_tags_of_a_commissioned_build(world: World) -> None:
    docs = replace(API, paths=("docs/**",))
    await world.push("b", "c", rules=(docs,), changed=("src/x",))
    request = (await world.build("a", "b", ref="refs/heads/dev")).request
    await world.commissioned(replace(request, image_tags=("main",)), "c")
    late = await world.push("a", "b", rules=(docs,), changed=("docs/x",))
    assert late.builds[0].goal == Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "ccccccc")


async def test_a_rebuild_does_not_wait_for_quiet(world: World) -> None:
    slow = replace(API, quiet_period=timedelta(hours=1))
    (old,) = (await world.push("a", "b", rules=(slow,))).builds
    again = (await rebuild(world, old.id)).build
    assert (old.request.quiet_period, again.request.quiet_period) == (timedelta(hours=1), timedelta())
