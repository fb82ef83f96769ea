"""Deliveries for people: lists that show what failed, and replays that build what is missing and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from buildbot.domain.build import Build, BuildPhase, CancelReason, Goal, GoalKind
from buildbot.domain.decision import Decision, Standing, Verdict, judge_again
from buildbot.domain.push import Ignored, PushEvent
from buildbot.domain.rule import Rule
from buildbot.domain.status import status_of
from buildbot.ports import (
    DeliveryFilter,
    DeliveryStory,
    NoSuchDelivery,
    NotPossible,
    Replayed,
    Replaying,
    StatusProgress,
)
from tests.store.world import API, DOCS, World, a_push, a_recording, ended_as

pytestmark = pytest.mark.anyio

EDGE = replace(API, name="edge", repository="acme/edge", image_tags=("latest",))
ELSEWHERE = replace(API, source="acme/other")


async def replay(world: World, name: str = "1", rules: Sequence[Rule] = (API,)) -> Replayed:
    def judged(push: PushEvent, standing: Standing, without: Collection[str]) -> Verdict:
        return judge_again(push, standing, [rule for rule in rules if rule.name not in without])

    return await world.store.replay(name, Replaying(judged, status_of, "ada"), world.now)


async def listed(world: World, **which: object) -> list[str]:
    found = await world.store.list_deliveries(DeliveryFilter(**which))  # type: ignore[arg-type]
    return [one.guid for one in found]


async def failed(world: World, build: Build, phase: BuildPhase = BuildPhase.FAILED) -> Build:
    """The build, ended like that; the others of its repository wait for news."""
    claims = await world.store.claim_repositories("one", world.now, timedelta(), 99)
    claim = next(one for one in claims if one.repository == build.request.repository)
    ended = ended_as(build, phase, world.now)
    await world.save(claim, ended)
    for one in claims:
        await world.store.release(one, world.now)
    return ended


def tags(replayed: Replayed) -> list[tuple[str, ...]]:
    return [build.request.image_tags for build in replayed.builds]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_deliveries_are_listed_newest_first_up_to_the_limit(world: World) -> None:
    for before, after in ("ab", "bc", "cd"):
        await world.push(before, after)
    assert await listed(world, limit=2) == ["delivery-3", "delivery-2"]


async def test_a_list_is_narrowed_by_forge_and_decision(world: World) -> None:
    await world.push("a", "b")
    await world.push("b", "c", rules=(ELSEWHERE,))
    assert await listed(world, decision="ignored") == ["delivery-2"]
    assert await listed(world, forge="github", decision="planned") == ["delivery-1"]
    assert await listed(world, forge="gitlab") == []


async def test_what_failed_is_found_until_it_was_built_after_all(world: World) -> None:
    (build,) = (await world.push("a", "b")).builds
    await world.push("x", "y", ref="refs/heads/dev")
    assert await listed(world, failed=True) == []
    await failed(world, build)
    assert await listed(world, failed=True) == ["delivery-1"]
    (again,) = (await replay(world)).builds
    assert await listed(world, failed=True) == []
    await failed(world, again, BuildPhase.ERRORED)
    assert await listed(world, failed=True) == ["delivery-1"]


async def test_a_status_that_was_given_up_counts_as_failed(world: World) -> None:
    (build,) = (await world.push("a", "b")).builds
    status = await world.due_status()
    await world.store.save_status(status, StatusProgress(None, stopped="the commit is not there"))
    assert await listed(world, failed=True) == ["delivery-1"]
    assert (await world.store.delivery("1")).stopped == {build.id: "the commit is not there"}


# ── one delivery ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_delivery_is_told_whole_by_its_number_or_the_forges_id(world: World) -> None:
    push = replace(a_push("a", "b"), changed_paths=("src/a.py",), pusher="ada", message="Change", pushed_at=world.now)
    recorded = await world.record(push, rules=(API, DOCS), guid="d-1")
    await world.record(push, guid="d-1")
    told = await world.store.delivery("d-1")
    assert await world.store.delivery(str(told.number)) == told
    assert isinstance(told, DeliveryStory)
    assert (told.pushes, told.decision, told.repeats) == ((push,), Decision.PLANNED, 1)
    assert (told.builds, dict(told.rules)) == (recorded.builds, dict(recorded.rules))


@pytest.mark.parametrize("name", ["77", "unknown", "9" * 30, "²"])
async def test_an_unknown_delivery_is_named(world: World, name: str) -> None:
    with pytest.raises(NoSuchDelivery, match=name):
        await world.store.delivery(name)
    with pytest.raises(NoSuchDelivery):
        await replay(world, name)


# ── replays ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_lives_or_has_succeeded_is_left_alone(world: World) -> None:
    (build,) = (await world.push("a", "b")).builds
    assert await replay(world) == Replayed((), (("api", f"nothing to do: {build.id} is planned"),))
    await failed(world, build, BuildPhase.SUCCEEDED)
    assert await replay(world) == Replayed((), (("api", f"nothing to do: built by {build.id}"),))


async def test_the_same_move_under_another_id_is_not_built_twice(world: World) -> None:
    (build,) = (await world.push("a", "b")).builds
    assert (await world.push("a", "b")).decision is Decision.REPEATED
    assert await replay(world, "2") == Replayed((), (("api", f"nothing to do: {build.id} is planned"),))
    await failed(world, build)
    await world.push("b", "c")
    (again,) = (await replay(world, "1")).builds
    assert await replay(world, "2") == Replayed((), (("api", f"nothing to do: {again.id} is planned"),))


async def test_what_a_sweep_has_found_and_built_is_not_built_twice(world: World) -> None:
    await world.push("x", "a")
    (build,) = (await world.record(replace(a_push("a", "c"), is_swept=True), guid="sweep-1")).builds
    await world.record(a_push("b", "c"), guid="late")
    assert await replay(world, "late") == Replayed((), (("api", f"nothing to do: {build.id} is planned"),))


async def test_what_a_person_cancelled_is_left_alone(world: World) -> None:
    (build,) = (await world.push("a", "b")).builds
    await world.store.cancel(build.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), world.now)
    await failed(world, build, BuildPhase.CANCELLED)
    assert await replay(world) == Replayed((), (("api", f"not built, {build.id}: because"),))


@pytest.mark.parametrize("phase", [BuildPhase.FAILED, BuildPhase.ERRORED])
async def test_what_ended_badly_is_built_again_by_the_rules_of_today(world: World, phase: BuildPhase) -> None:
    (old,) = (await world.push("a", "b")).builds
    await failed(world, old, phase)
    mended = replace(API, repository="acme/right", image_tags=("{ref}",))
    replayed = await replay(world, rules=(mended,))
    (new,) = replayed.builds
    assert (new.request.repository, new.rebuild_of, new.position, new.delivery) == (
        "acme/right",
        old.id,
        old.position,
        "delivery-1",
    )
    assert replayed.told == (("api", f"planned {new.id}"),)
    assert new.goal.kind is GoalKind.BUILD
    assert "delivery 1 replayed by ada" in [step.what for step in (await world.store.story(new.id)).steps]
    assert (await replay(world, rules=(mended,))).builds == ()


async def test_image_tags_that_newer_builds_have_claimed_are_left_to_them(world: World) -> None:
    (old,) = (await world.push("a", "b")).builds
    await failed(world, old)
    await world.push("b", "c")
    replayed = await replay(world)
    assert tags(replayed) == [("sha-bbbbbbb",)]
    assert replayed.told == (("api", f"planned {replayed.builds[0].id}; main left to newer builds"),)


async def test_without_an_image_tag_left_nothing_is_built(world: World) -> None:
    (old,) = (await world.push("a", "b", rules=(EDGE,))).builds
    await failed(world, old)
    await world.push("b", "c", rules=(EDGE,))
    told = (("edge", "not built: newer builds have claimed latest since"),)
    assert await replay(world, rules=(EDGE,)) == Replayed((), told)


async def test_what_no_rule_wanted_then_is_built_if_one_wants_it_now(world: World) -> None:
    await world.push("a", "b", rules=(ELSEWHERE,))
    assert tags(await replay(world)) == [("main", "sha-bbbbbbb")]
    (build,) = (await world.store.delivery("1")).builds
    assert await replay(world) == Replayed((), (("api", f"nothing to do: {build.id} is planned"),))


async def test_a_rule_that_is_new_builds_beside_those_that_have_built(world: World) -> None:
    (build,) = (await world.push("a", "b")).builds
    replayed = await replay(world, rules=(API, EDGE))
    assert tags(replayed) == [("latest",)]
    assert dict(replayed.told) == {
        "api": f"nothing to do: {build.id} is planned",
        "edge": f"planned {replayed.builds[0].id}",
    }


async def test_a_push_that_came_before_what_the_rule_has_built_since_is_not_built(world: World) -> None:
    await world.push("a", "b")
    await world.push("b", "c", rules=(API, EDGE))
    replayed = await replay(world, rules=(API, EDGE))
    assert dict(replayed.told)["edge"] == "not built: superseded by ccccccc"
    assert replayed.builds == ()


async def test_a_push_whose_ref_was_deleted_since_is_not_built(world: World) -> None:
    await world.push("a", "b", rules=(DOCS,), changed=("src/a.py",))
    await world.push("b", None)
    replayed = await replay(world, rules=(API,))
    assert replayed == Replayed((), (("api", "not built: branch main was deleted"),))


async def test_a_replayed_push_takes_its_place_in_the_history(world: World) -> None:
    await world.push("a", "b", rules=(ELSEWHERE,))
    later = (await world.push("b", "c", rules=(replace(API, branches=("dev",)),))).builds
    assert later == ()
    (build,) = (await replay(world)).builds
    (newer,) = (await world.push("c", "d")).builds
    assert build.position < newer.position
    assert (await world.reread(build)).goal.reason is CancelReason.SUPERSEDED


async def test_only_what_is_built_replaces_what_is_older(world: World) -> None:
    older = (await world.push("a", "b", rules=(API, EDGE))).builds
    await world.push("b", "c", rules=(ELSEWHERE,))
    world.now += timedelta(seconds=1)
    await world.push("x", "y", rules=(EDGE,), ref="refs/heads/dev")  # claims latest
    replayed = await replay(world, "2", rules=(API, EDGE))
    assert dict(replayed.told)["edge"] == "not built: newer builds have claimed latest since"
    reasons = {one.request.rule: (await world.reread(one)).goal.reason for one in older}
    assert reasons == {"api": CancelReason.SUPERSEDED, "edge": None}


async def test_what_still_fits_no_rule_is_told_with_the_reason(world: World) -> None:
    await world.push("a", "b", rules=(ELSEWHERE,))
    assert (await replay(world, rules=(ELSEWHERE,))).told == (("", "no rule has the source Acme/api"),)
    no_branch = replace(API, branches=("dev",))
    assert (await replay(world, rules=(no_branch,))).told == (("api", "branch main does not match dev"),)


async def test_a_delivery_that_told_of_no_push_cannot_be_replayed(world: World) -> None:
    await world.store.record(a_recording((), "none"))
    await world.store.record(replace(a_recording((), "ping"), reading=Ignored("a ping")))
    for name in ("none", "ping"):
        with pytest.raises(NotPossible, match="told of no push"):
            await replay(world, name)


async def test_a_deletion_builds_nothing(world: World) -> None:
    await world.push("a", "b")
    await world.push("b", None)
    assert (await replay(world, "2")).told == (("", "branch main was deleted: that builds nothing"),)


async def test_a_replay_waits_for_no_quiet(world: World) -> None:
    await world.push("a", "b", rules=(ELSEWHERE,))
    (build,) = (await replay(world, rules=(replace(API, quiet_period=timedelta(hours=1)),))).builds
    assert build.request.quiet_period == timedelta()


# ── what an earlier release recorded ─────────────────────────────────────────────────────────────────────────────────


def as_an_earlier_release_wrote_it(store_url: str) -> None:
    old = [{"source": "Acme/api", "repository_id": "1", "ref": "refs/heads/main", "changed_paths": 3}]
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE deliveries SET pushes = :old"), {"old": json.dumps(old)})
    engine.dispose()


async def test_of_an_earlier_release_only_what_failed_can_be_built_again(world: World, store_url: str) -> None:
    (old,) = (await world.push("a", "b")).builds
    as_an_earlier_release_wrote_it(store_url)
    assert (await world.store.delivery("1")).pushes is None
    with pytest.raises(NotPossible, match="an earlier release"):
        await replay(world)
    await failed(world, old)
    replayed = await replay(world)
    assert [build.rebuild_of for build in replayed.builds] == [old.id]
