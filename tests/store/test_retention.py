"""What is forgotten when it is old, and what never is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from buildbot.domain.build import BuildId, BuildPhase, GoalKind
from buildbot.domain.decision import Decision
from buildbot.ports import NoSuchBuild, StatusProgress, Stray
from tests.store.world import DOCS, START, World, a_push, ended_as, sent

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def told(world: World) -> None:
    for status in await world.due_statuses():
        await world.store.save_status(status, StatusProgress(sent(status, world.now)))


async def prune(world: World) -> int:
    return await world.store.prune(world.now - DAY)


async def test_an_old_build_goes_with_all_that_hangs_on_it(world: World) -> None:
    build = await world.end(await world.build("a", "b"))
    await told(world)
    world.now += DAY * 2
    assert await prune(world) == 1
    assert await world.builds() == ()
    with pytest.raises(NoSuchBuild):
        await world.store.story(build.id)
    assert await world.store.followed([build.id]) == {}
    assert await prune(world) == 0


async def test_what_ended_lately_or_has_not_ended_stays(world: World) -> None:
    unfinished = await world.build("a", "b")
    world.now += DAY * 2
    await world.build("a", "c", ref="refs/heads/dev")
    await told(world)
    claim = await world.claim()
    assert len(claim.builds) == 2
    await world.store.release(claim, world.now)
    ended = await world.end(claim.builds[1])
    await told(world)
    assert await prune(world) == 0
    assert {build.id for build in await world.builds()} == {unfinished.id, ended.id}


async def test_a_build_stays_until_its_status_is_delivered(world: World) -> None:
    build = await world.end(await world.build("a", "b"))
    world.now += DAY * 2
    assert await prune(world) == 0
    assert (await world.store.story(build.id)).build.seen.phase is BuildPhase.SUCCEEDED
    await told(world)
    assert await prune(world) == 1


async def test_a_build_whose_status_was_given_up_goes(world: World) -> None:
    await world.end(await world.build("a", "b"))
    status = await world.due_status()
    await world.store.save_status(status, StatusProgress(None, world.now, stopped="no such commit"))
    world.now += DAY * 2
    assert await prune(world) == 1


async def test_an_old_delivery_is_forgotten_and_yet_its_push_is_no_new_one(world: World) -> None:
    await world.record(a_push("a", "b"), guid="one")
    world.now += DAY * 2
    await prune(world)
    again = await world.record(a_push("a", "b"), guid="one")
    assert (again.decision, again.reason) == (Decision.REPEATED, "this push to main is known already")


async def test_the_head_of_a_ref_is_never_forgotten(world: World) -> None:
    await world.push("a", "b", at=10)
    world.now += DAY * 400
    await prune(world)
    late = await world.push("x", "a", at=5)
    assert late.decision is Decision.SUPERSEDED
    assert (await world.push("b", "c", at=20)).reason == "1 build planned; 1 older build superseded"


async def test_a_move_is_remembered_for_a_time_after_it_was_replaced(world: World) -> None:
    await world.push("a", "b", at=10)
    world.now += DAY * 400
    await world.push("b", "c", at=20)
    await prune(world)
    assert (await world.push("a", "b", at=10)).decision is Decision.REPEATED
    world.now += DAY * 2
    await prune(world)
    assert (await world.push("a", "b", at=10)).decision is Decision.SUPERSEDED


async def test_a_move_that_arrived_late_is_forgotten_like_a_replaced_one(world: World) -> None:
    await world.push("b", "c", at=20)
    await world.push("a", "b", at=10)
    world.now += DAY * 2
    await prune(world)
    assert (await world.push("a", "b", at=10)).decision is Decision.SUPERSEDED


async def test_what_a_rule_planned_last_is_never_forgotten(world: World) -> None:
    await world.push("b", "c", rules=(DOCS,), changed=("docs/x",), at=10)
    await world.push("c", "d", rules=(DOCS,), changed=("src/y",), at=20)
    world.now += DAY * 400
    await prune(world)
    late = await world.push("a", "b", rules=(DOCS,), changed=("docs/x",), at=5)
    assert late.builds[0].goal.kind is GoalKind.CANCEL


async def test_a_stray_that_has_ended_is_forgotten(world: World) -> None:
    await world.build("a", "b")
    claim = await world.claim()
    running = Stray("q-1", BuildId("b"), ("main",), "building", START)
    await world.store.save_strays(claim, [running, Stray("q-2", BuildId("b"), (), "complete", START, True, START)])
    world.now += DAY * 2
    await prune(world)
    await world.store.release(claim, world.now)
    assert (await world.claim()).strays == (running,)


async def test_much_is_forgotten_in_several_goes(world: World) -> None:
    for number in range(501):
        await world.record(a_push("a", "b", f"refs/heads/{number}"))
    claim = await world.claim()
    await world.save(claim, *(ended_as(build, BuildPhase.FAILED, world.now) for build in claim.builds))
    await told(world)
    world.now += DAY * 2
    assert (await prune(world), await prune(world), await prune(world)) == (500, 1, 0)
