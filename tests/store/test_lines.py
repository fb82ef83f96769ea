"""The line: caps that hold whoever asks, places given away once, the next one woken, a full queue tried by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from buildbot.domain.build import Build, BuildId, BuildPhase, CancelReason, Goal, GoalKind, WaitingLine
from buildbot.domain.lifecycle import InLine, QueueFull, RequestBuild, Scene, begin, end, evolve
from buildbot.domain.places import ANY_NUMBER, Caps
from buildbot.domain.rule import Rule
from buildbot.domain.status import status_of
from buildbot.ports import BuildChange, Claim
from tests.store.world import API, LEASE, World, seen_as

pytestmark = pytest.mark.anyio

ONE, QUEUE = Caps(1), WaitingLine.QUEUE
FULL = "Quay's queue is full (no)"


def rule(repository: str) -> Rule:
    return replace(API, name=repository.replace("/", "-"), repository=repository)


async def pushed(world: World, repository: str = "acme/api") -> Build:
    """A build of a repository, each of a ref of its own."""
    recorded = await world.push(None, "b", rules=(rule(repository),), ref=f"refs/heads/b{len(await world.builds())}")
    return recorded.builds[0]


async def claim_of(world: World, repository: str) -> Claim:
    """The claim on a repository, for which something has just been recorded; the others are as they were."""
    await pushed(world, repository)
    claims = await world.store.claim_repositories("one", world.now, LEASE, 99)
    for other in claims:
        if other.repository != repository:
            await world.store.release(other, world.now)
    return next(one for one in claims if one.repository == repository)


async def save(world: World, before: Build, after: Build, caps: Caps) -> Mapping[BuildId, InLine]:
    """Write down what became of a build, in a pass of its own that then waits for news."""
    claim = await claim_of(world, before.request.repository)
    change = BuildChange(after, status_of(after), is_news=True, was=before.seen.phase)
    places = await world.store.save(claim, [change], world.now, caps)
    await world.store.release(claim, None)
    return places


async def ask(world: World, *builds: Build, caps: Caps = ONE) -> Mapping[BuildId, InLine]:
    """Write down that these, of one repository, are about to be asked for."""
    claim = await claim_of(world, builds[0].request.repository)
    begun = [begin(build, RequestBuild(), world.now) for build in builds]
    changes = [BuildChange(one, status_of(one), is_news=True, was=BuildPhase.PLANNED) for one in begun]
    places = await world.store.save(claim, changes, world.now, caps)
    await world.store.release(claim, None)
    return places


async def moved(world: World, build: Build, phase: BuildPhase, caps: Caps = ONE) -> None:
    """What became of a build."""
    now = await world.reread(build)
    after = end(now, phase, "", world.now) if phase.is_final else seen_as(now, phase, quay_id=f"q-{build.id}")
    await save(world, now, after, caps)


async def refused(world: World, build: Build) -> Mapping[BuildId, InLine]:
    """Quay is asked for a build, and answers that its queue is full."""
    assert await ask(world, build, caps=ANY_NUMBER) == {}
    begun = await world.reread(build)
    return await save(world, begun, evolve(begun, RequestBuild(), QueueFull(FULL), Scene(world.now)), ANY_NUMBER)


async def due(world: World) -> list[str]:
    """The repositories that are due now; each waits for news from then on."""
    claims = await world.store.claim_repositories("looks", world.now, LEASE, 99)
    for claim in claims:
        await world.store.release(claim, None)
    return sorted(claim.repository for claim in claims)


# ── caps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_finds_no_place_is_not_written_and_learns_where_it_stands(world: World) -> None:
    first, second, third = [await pushed(world) for number in range(3)]
    places = await ask(world, first, second, third)
    assert places == {second.id: InLine(WaitingLine.PLACE, 1), third.id: InLine(WaitingLine.PLACE, 2)}
    assert [(await world.reread(one)).seen.phase for one in (first, second, third)] == [
        "requesting",
        "planned",
        "planned",
    ]


@pytest.mark.parametrize("phase", [BuildPhase.REQUESTING, BuildPhase.WAITING, BuildPhase.BUILDING])
async def test_a_build_keeps_its_place_until_it_has_ended(world: World, phase: BuildPhase) -> None:
    first, second = await pushed(world), await pushed(world, "acme/web")
    await ask(world, first)
    if phase is not BuildPhase.REQUESTING:
        await moved(world, first, phase)
    assert second.id in await ask(world, second)
    await moved(world, first, BuildPhase.CANCELLED)
    assert await ask(world, second) == {}


async def test_a_cap_counts_other_registries_builds_not_at_all(world: World) -> None:
    elsewhere = replace(rule("acme/api"), registry="other")
    (build,) = (await world.push(None, "b", rules=(elsewhere,))).builds
    (claim,) = await world.store.claim_repositories("one", world.now, LEASE, 99)
    begun = begin(build, RequestBuild(), world.now)
    await world.store.save(claim, [BuildChange(begun, status_of(begun), True, was=BuildPhase.PLANNED)], world.now, ONE)
    assert (await world.reread(build)).seen.phase is BuildPhase.REQUESTING
    assert await ask(world, await pushed(world, "acme/web")) == {}


async def test_a_cap_of_a_namespace_leaves_the_others_alone(world: World) -> None:
    caps = Caps(0, 1)
    assert await ask(world, await pushed(world, "acme/api"), caps=caps) == {}
    assert await ask(world, await pushed(world, "other/api"), caps=caps) == {}
    late = await pushed(world, "acme/web")
    assert await ask(world, late, caps=caps) == {late.id: InLine(WaitingLine.PLACE, 1)}


async def test_without_caps_nobody_stands_in_line(world: World) -> None:
    builds = [await pushed(world) for number in range(5)]
    assert await ask(world, *builds, caps=ANY_NUMBER) == {}


# ── whose turn ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_when_a_build_ends_only_the_next_in_line_is_woken(world: World) -> None:
    first, second, third = [await pushed(world, name) for name in ("acme/a", "acme/b", "acme/c")]
    for build in (first, second, third):
        await ask(world, build)
    assert await due(world) == []
    await moved(world, first, BuildPhase.SUCCEEDED)
    assert await due(world) == ["acme/b"]


async def test_a_place_is_kept_for_whoever_is_next_however_early_another_comes(world: World) -> None:
    first, second = await pushed(world, "acme/a"), await pushed(world, "acme/b")
    await ask(world, first)
    await ask(world, second)
    await moved(world, first, BuildPhase.SUCCEEDED)
    newcomer = await pushed(world, "acme/c")
    assert (await ask(world, newcomer))[newcomer.id].place == 1
    assert await ask(world, second) == {}


async def test_a_repository_with_many_pushes_does_not_keep_another_waiting(world: World) -> None:
    many = [await pushed(world, "acme/many") for number in range(9)]
    await ask(world, *many)
    single = await pushed(world, "acme/single")
    assert (await ask(world, single))[single.id].place == 1


async def test_after_it_was_served_a_repository_comes_after_the_others(world: World) -> None:
    first, again, other = await pushed(world, "acme/a"), await pushed(world, "acme/a"), await pushed(world, "acme/b")
    await ask(world, first)
    world.now += timedelta(seconds=1)
    await ask(world, again)
    await ask(world, other)
    await moved(world, first, BuildPhase.SUCCEEDED)
    assert await due(world) == ["acme/b"]


async def test_a_build_that_is_to_be_cancelled_stands_in_nobody_s_way(world: World) -> None:
    first, second, third = [await pushed(world, name) for name in ("acme/a", "acme/b", "acme/c")]
    for build in (first, second):
        await ask(world, build)
    await world.store.cancel(second.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), world.now)
    assert (await ask(world, third))[third.id].place == 1


async def test_when_the_first_in_line_is_dropped_the_next_is_woken_if_there_is_a_place(world: World) -> None:
    first, second, third = [await pushed(world, name) for name in ("acme/a", "acme/b", "acme/c")]
    for build in (first, second, third):
        await ask(world, build)
    await moved(world, first, BuildPhase.SUCCEEDED)
    assert await due(world) == ["acme/b"]
    await world.store.cancel(second.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), world.now)
    await moved(world, await world.reread(second), BuildPhase.CANCELLED)
    assert await due(world) == ["acme/c"]


# ── a full queue ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_meets_a_full_queue_is_the_first_in_line_and_asks_again_after_a_pause(world: World) -> None:
    build = await pushed(world)
    places = await refused(world, build)
    assert places == {build.id: InLine(QUEUE, 1, FULL, world.now + timedelta(seconds=1))}


async def test_the_pause_grows_with_every_refusal(world: World) -> None:
    build, pauses = await pushed(world), []
    for _ in range(8):
        given = (await refused(world, build))[build.id]
        assert given.until is not None
        pauses.append((given.until - world.now).total_seconds())
        world.now = given.until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_behind_a_full_queue_nobody_else_of_the_namespace_asks(world: World) -> None:
    first, second, elsewhere = [await pushed(world, name) for name in ("acme/a", "acme/b", "other/a")]
    await refused(world, first)
    assert await ask(world, second, caps=ANY_NUMBER) == {second.id: InLine(QUEUE, 2, FULL)}
    assert await ask(world, elsewhere, caps=ANY_NUMBER) == {}


async def test_when_the_pause_is_over_only_the_first_asks_and_when_it_is_taken_the_next(world: World) -> None:
    first, second, third = [await pushed(world, name) for name in ("acme/a", "acme/b", "acme/c")]
    await refused(world, first)
    for build in (second, third):
        await ask(world, build, caps=ANY_NUMBER)
    assert await due(world) == []
    world.now += timedelta(seconds=1)
    assert await ask(world, first, caps=ANY_NUMBER) == {}
    assert await due(world) == []
    await moved(world, first, BuildPhase.WAITING, ANY_NUMBER)
    assert await due(world) == ["acme/b"]
    assert await ask(world, second, caps=ANY_NUMBER) == {}
    assert third.id in await ask(world, third, caps=ANY_NUMBER)


async def test_when_a_build_of_the_namespace_ends_the_first_in_line_asks_at_once(world: World) -> None:
    running, first = await pushed(world, "acme/a"), await pushed(world, "acme/b")
    await ask(world, running, caps=ANY_NUMBER)
    await moved(world, running, BuildPhase.BUILDING, ANY_NUMBER)
    for _ in range(6):
        await refused(world, first)
        world.now += timedelta(minutes=1)
    await refused(world, first)
    assert await due(world) == []
    await moved(world, running, BuildPhase.SUCCEEDED, ANY_NUMBER)
    assert await due(world) == ["acme/b"]
    assert await ask(world, first, caps=ANY_NUMBER) == {}


async def test_who_is_first_by_turns_is_looked_at_when_the_pause_is_over(world: World) -> None:
    running, again, other = [await pushed(world, name) for name in ("acme/a", "acme/a", "acme/b")]
    await ask(world, running, caps=ANY_NUMBER)
    await moved(world, running, BuildPhase.BUILDING, ANY_NUMBER)
    await refused(world, again)
    world.now += timedelta(seconds=1)
    await ask(world, again, caps=ANY_NUMBER)
    assert await ask(world, other, caps=ANY_NUMBER) == {other.id: InLine(QUEUE, 1, FULL)}
    begun = await world.reread(again)
    await save(world, begun, evolve(begun, RequestBuild(), QueueFull(FULL), Scene(world.now)), ANY_NUMBER)
    assert await due(world) == []
    world.now += timedelta(seconds=2)
    assert await due(world) == ["acme/b"]


async def test_after_the_line_is_gone_everybody_asks_as_before(world: World) -> None:
    first = await pushed(world, "acme/a")
    await refused(world, first)
    world.now += timedelta(seconds=1)
    await ask(world, first, caps=ANY_NUMBER)
    await moved(world, first, BuildPhase.WAITING, ANY_NUMBER)
    builds = [await pushed(world, "acme/b") for number in range(3)]
    assert await ask(world, *builds, caps=ANY_NUMBER) == {}
