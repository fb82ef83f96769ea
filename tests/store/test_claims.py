"""One instance at a time for one repository: leases, fencing, wakes that are never lost, columns that nobody shares."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from buildbot.domain.build import BuildId, BuildPhase, CancelReason, Goal, GoalKind
from buildbot.ports import ClaimLost, Stray
from buildbot.store import claims
from buildbot.store.sql_store import SqlStore
from buildbot.store.statuses import FIRST_WORD
from tests.store.due import next_due
from tests.store.world import API, LEASE, START, World, a_push, ended_as, seen_as, sha

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
OTHER = replace(API, name="other", repository="acme/other")
STRAY = Stray("q-9", BuildId("b"), ("main",), "waiting", START)


async def test_what_one_instance_holds_another_cannot_take(world: World) -> None:
    await world.build("a", "b")
    await world.claim("one")
    assert not await world.is_due("two")


async def test_nothing_is_claimed_before_it_is_due(world: World) -> None:
    await world.build("a", "b")
    await world.store.release(await world.claim(), START + SECOND)
    assert not await world.is_due()
    world.now += SECOND
    assert await world.is_due()


async def test_what_is_released_without_a_time_waits_for_news(world: World) -> None:
    await world.build("a", "b")
    await world.store.release(await world.claim(), None)
    world.now += timedelta(days=9)
    assert not await world.is_due()
    await world.push("b", "c")
    assert await world.is_due()


async def test_the_longest_due_goes_first_up_to_the_limit(world: World) -> None:
    await world.push("a", "b", rules=(API,))
    world.now += SECOND
    await world.push("a", "b", rules=(OTHER,), ref="refs/heads/dev")
    world.now += SECOND
    (first,) = await world.store.claim_repositories("one", world.now, LEASE, 1)
    (second,) = await world.store.claim_repositories("one", world.now, LEASE, 5)
    assert (first.repository, second.repository) == ("acme/api", "acme/other")


async def test_each_registry_has_room_of_its_own(world: World) -> None:
    for registry in ("a", "b", "gone"):
        for number in range(3):
            rule = replace(API, name=f"{registry}{number}", registry=registry, repository=f"acme/{number}")
            await world.push(None, "b", rules=(rule,), ref=f"refs/heads/{registry}{number}")
    taken = await world.store.claim_repositories("one", world.now, LEASE, 2, {"a": 0, "b": 1})
    assert sorted(claim.registry for claim in taken) == ["b", "gone", "gone"]


async def test_one_that_is_woken_again_and_again_keeps_its_turn(world: World) -> None:
    await world.push("a", "b", rules=(API,))
    world.now += SECOND
    await world.push("a", "b", rules=(OTHER,), ref="refs/heads/dev")
    world.now += SECOND
    await world.push("b", "c", rules=(API,))
    (first,) = await world.store.claim_repositories("one", world.now, LEASE, 1)
    assert first.repository == "acme/api"


async def test_one_that_is_woken_while_it_is_held_comes_after_those_that_waited(world: World) -> None:
    await world.push("a", "b", rules=(API,))
    claim = await world.claim()
    world.now += SECOND
    await world.push("b", "c", rules=(API,))
    await world.store.release(claim, None)
    again = await world.claim()
    world.now -= SECOND / 2
    await world.push("a", "b", rules=(OTHER,), ref="refs/heads/dev")
    world.now += SECOND / 2
    await world.push("c", "d", rules=(API,))
    await world.store.release(again, None)
    (first,) = await world.store.claim_repositories("one", world.now, LEASE, 1)
    assert first.repository == "acme/other"


async def test_a_claim_holds_all_unfinished_builds_of_its_repository_oldest_first(world: World) -> None:
    ended = await world.end(await world.build("a", "b"))
    rules = (API, OTHER)
    await world.push("b", "c", rules=rules)
    await world.push("c", "d", rules=rules)
    taken = await world.store.claim_repositories("one", world.now, LEASE, 5)
    held = {claim.repository: claim for claim in taken}
    assert [build.commit for build in held["acme/api"].builds] == [sha("c"), sha("d")]
    assert ended.id not in {build.id for claim in taken for build in claim.builds}
    assert {build.request.repository for build in held["acme/other"].builds} == {"acme/other"}


async def test_each_of_many_claims_holds_what_is_its_own(world: World) -> None:
    rules = [
        replace(API, name=f"{registry}-{number}", registry=registry, repository=f"acme/{number}")
        for registry in ("quay", "other")
        for number in range(3)
    ]
    await world.push("a", "b", rules=rules)
    await world.push("a", "c", rules=rules, ref="refs/heads/dev")
    for claim in await world.store.claim_repositories("one", world.now, LEASE, 10):
        await world.store.save_strays(claim, [replace(STRAY, quay_id=f"{claim.registry} {claim.repository}")])
        await world.store.release(claim, START)
    again = await world.store.claim_repositories("one", world.now, LEASE, 10)
    assert len({(claim.registry, claim.repository) for claim in again}) == 6
    for claim in again:
        assert {(one.request.registry, one.request.repository) for one in claim.builds} == {
            (claim.registry, claim.repository)
        }
        assert [build.commit for build in claim.builds] == [sha("b"), sha("c")]
        assert [stray.quay_id for stray in claim.strays] == [f"{claim.registry} {claim.repository}"]


def test_no_statement_reads_more_repositories_than_a_database_lets_it_name() -> None:
    due = [claims.Named(f"registry-{n % 2}", f"acme/{n}") for n in range(2 * claims.READ_AT_ONCE + 7)]
    portions = list(claims.in_portions(due))
    named = [claims.Named(one["of_registry"], name) for one in portions for name in one["of_repositories"]]
    assert sorted(named) == sorted(due)
    assert max(len(one["of_repositories"]) for one in portions) == claims.READ_AT_ONCE


async def test_sqlite_goes_through_what_is_due_and_not_through_all_that_it_knows(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as store:
        plans: list[str] = []

        @event.listens_for(store._writing, "before_cursor_execute")
        def explain(connection: Connection, _cursor: object, statement: str, values: Any, *_: object) -> None:
            if "ORDER BY claims.due" in statement:
                told = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values)
                plans.extend(row[3] for row in told)

        await store.claim_repositories("one", START, LEASE, 5, {"quay": 5})
    assert plans
    assert {plan.partition(" (")[0] for plan in plans} == {"SEARCH claims USING INDEX claims_by_due"}


async def test_a_lease_that_ran_out_is_taken_over(world: World) -> None:
    await world.build("a", "b")
    first = await world.claim("one")
    world.now += LEASE
    second = await world.claim("two")
    assert second.token > first.token
    assert second.is_taken_over


async def test_the_same_instance_again_takes_nothing_over(world: World) -> None:
    await world.build("a", "b")
    first = await world.claim("one")
    await world.store.release(first, START)
    again = await world.claim("one")
    assert (first.is_taken_over, again.is_taken_over) == (True, False)


async def test_a_claim_that_is_refreshed_has_what_came_in_meanwhile_and_is_taken_over_no_longer(world: World) -> None:
    first = await world.build("a", "b")
    held = await world.claim()
    await world.save(held, ended_as(first, BuildPhase.FAILED, world.now))
    await world.push("b", "c")
    fresh = await world.store.refresh(held)
    assert [build.commit for build in fresh.builds] == [sha("c")]
    assert (fresh.token, fresh.is_taken_over) == (held.token, False)


async def test_only_what_comes_in_after_a_claim_is_refreshed_keeps_it_due(world: World) -> None:
    await world.build("a", "b")
    held = await world.claim()
    await world.push("b", "c")
    fresh = await world.store.refresh(held)
    await world.store.release(fresh, START + timedelta(hours=1))
    assert not await world.is_due()
    await world.push("c", "d")
    assert await world.is_due()


async def test_a_stale_claim_is_not_refreshed(world: World) -> None:
    await world.build("a", "b")
    stale = await world.claim("one")
    world.now += LEASE
    await world.claim("two")
    with pytest.raises(ClaimLost, match="acme/api"):
        await world.store.refresh(stale)


async def test_a_stale_claim_saves_nothing(world: World) -> None:
    build = await world.build("a", "b")
    stale = await world.claim("one")
    world.now += LEASE
    await world.claim("two")
    with pytest.raises(ClaimLost, match="acme/api"):
        await world.save(stale, ended_as(build, BuildPhase.FAILED, world.now))
    with pytest.raises(ClaimLost):
        await world.store.save_strays(stale, [STRAY])
    story = await world.store.story(build.id)
    assert (story.build, len(story.steps)) == (build, 1)
    assert story.status is not None
    assert story.status.wanted.description.startswith("Asking Quay")


async def test_a_stale_claim_releases_nothing(world: World) -> None:
    await world.build("a", "b")
    stale = await world.claim("one")
    world.now += LEASE
    await world.claim("two")
    await world.store.release(stale, world.now, timedelta(minutes=5))
    assert not await world.is_due("three")


async def test_a_lease_may_run_out_unnoticed_while_nobody_else_comes(world: World) -> None:
    build = await world.build("a", "b")
    claim = await world.claim()
    world.now += LEASE * 5
    await world.save(claim, ended_as(build, BuildPhase.SUCCEEDED, world.now))
    assert (await world.reread(build)).is_final


async def test_news_while_it_is_held_keeps_it_due(world: World) -> None:
    await world.build("a", "b")
    claim = await world.claim()
    await world.push("b", "c")
    assert not await world.is_due()
    await world.store.release(claim, START + timedelta(hours=1))
    again = await world.claim()
    assert len(again.builds) == 2


async def test_a_person_s_cancel_while_it_is_held_keeps_it_due(world: World) -> None:
    build = await world.build("a", "b")
    claim = await world.claim()
    await world.store.cancel(build.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), world.now)
    await world.store.release(claim, None)
    assert (await world.claim()).builds[0].goal.detail == "ada"


async def test_a_renewed_lease_lasts_longer(world: World) -> None:
    await world.build("a", "b")
    claim = await world.claim("one")
    world.now += LEASE - SECOND
    await world.store.renew([claim], world.now, LEASE)
    world.now += LEASE - SECOND
    assert not await world.is_due("two")


async def test_each_of_many_leases_is_renewed(world: World) -> None:
    rules = [replace(API, name=f"{n}", repository=f"acme/{n}") for n in range(5)]
    await world.push("a", "b", rules=rules)
    taken = await world.store.claim_repositories("one", world.now, LEASE, 10)
    world.now += LEASE - SECOND
    await world.store.renew(taken[:3], world.now, LEASE)
    world.now += SECOND
    left = await world.store.claim_repositories("two", world.now, LEASE, 10)
    assert {one.repository for one in left} == {one.repository for one in taken[3:]}


async def test_renewing_revives_no_lease_that_ran_out_and_no_claim_given_back(world: World) -> None:
    await world.build("a", "b")
    first = await world.claim("one")
    world.now += LEASE
    await world.store.renew([first], world.now, LEASE)
    claim = await world.claim("two")
    await world.store.release(claim, world.now)
    await world.store.renew([first, claim], world.now, LEASE)
    assert await world.is_due("three")


async def test_a_claim_that_its_holder_does_not_know_of_is_not_renewed_with_the_others(world: World) -> None:
    await world.push("a", "b", rules=(API,))
    known = await world.claim("one")
    await world.push("a", "b", rules=(OTHER,), ref="refs/heads/dev")
    unknown = await world.claim("one")
    world.now += LEASE - SECOND
    await world.store.renew([known], world.now, LEASE)
    world.now += SECOND
    assert (await world.claim("two")).repository == unknown.repository


async def test_an_instance_that_stops_gives_back_only_its_own(world: World) -> None:
    await world.push("a", "b", rules=(API,))
    await world.claim("one")
    await world.push("a", "b", rules=(OTHER,), ref="refs/heads/dev")
    await world.claim("two")
    await world.store.give_up_claims("one")
    assert (await world.claim("three")).repository == "acme/api"


async def test_the_usual_build_time_is_remembered_and_not_forgotten(world: World) -> None:
    await world.build("a", "b")
    first = await world.claim()
    await world.store.release(first, START, timedelta(minutes=4))
    await world.store.release(await world.claim(), START)
    assert (first.typical, (await world.claim()).typical) == (None, timedelta(minutes=4))


async def test_what_was_seen_is_read_back_whole(world: World) -> None:
    build = await world.build("a", "b")
    seen = seen_as(build, BuildPhase.WAITING, quay_id="q-1", attempt=1, ran=timedelta(seconds=3), ended=("q-0",))
    claim = await world.claim()
    await world.save(claim, seen)
    assert await world.reread(build) == seen
    assert [step.what for step in (await world.store.story(build.id)).steps][-1] == "seen"


async def test_a_goal_set_while_the_holder_saves_what_it_saw_survives(world: World) -> None:
    build = await world.build("a", "b")
    claim = await world.claim()
    await world.push("b", "c")
    await world.save(claim, seen_as(build, BuildPhase.WAITING, quay_id="q-1"))
    now = await world.reread(build)
    assert (now.goal.kind, now.seen.quay_id) == (GoalKind.CANCEL, "q-1")


async def test_what_the_holder_saw_survives_a_goal_set_later(world: World) -> None:
    build = await world.build("a", "b")
    await world.save(await world.claim(), seen_as(build, BuildPhase.WAITING, quay_id="q-1"))
    cancelled = await world.store.cancel(build.id, Goal(GoalKind.CANCEL, CancelReason.PERSON, "ada"), world.now)
    assert cancelled.seen.quay_id == "q-1"
    assert await world.reread(build) == cancelled


async def test_a_learned_commit_is_saved_with_its_request_and_gets_its_status(world: World) -> None:
    push = replace(a_push("a", "b", "refs/tags/v1"), commit=None)
    (build,) = (await world.record(push)).builds
    assert (build.tag_object, build.commit) == (sha("b"), None)
    assert await world.due_statuses() == ()
    known = replace(build, commit=sha("c"), request=build.request.for_commit(sha("c")))
    await world.save(await world.claim(), known, learned_commit=True)
    assert await world.reread(build) == known
    status = await world.due_status()
    assert (status.sha, status.owner, status.context) == (sha("c"), build.id, "quay/api")


async def test_strays_come_with_the_claim_until_they_have_ended(world: World) -> None:
    await world.build("a", "b")
    claim = await world.claim()
    await world.store.save_strays(claim, [STRAY])
    await world.store.save_strays(claim, [replace(STRAY, phase="building", is_cancelled=True)])
    await world.store.release(claim, START)
    again = await world.claim()
    assert again.strays == (replace(STRAY, phase="building", is_cancelled=True),)
    await world.store.save_strays(again, [replace(again.strays[0], finished_at=START)])
    await world.store.release(again, START)
    assert (await world.claim()).strays == ()


async def test_every_build_that_a_row_followed_is_known(world: World) -> None:
    build, other = await world.build("a", "b"), await world.build("b", "c")
    await world.save(await world.claim(), seen_as(build, BuildPhase.WAITING, quay_id="q-2", ended=("q-1",)))
    followed = await world.store.followed([build.id, other.id, BuildId("unknown")])
    assert followed == {build.id: frozenset({"q-1", "q-2"}), other.id: frozenset()}


async def test_a_stray_that_is_over_is_known_with_its_build(world: World) -> None:
    build = await world.build("a", "b")
    claim = await world.claim()
    running, over = replace(STRAY, build=build.id), replace(STRAY, build=build.id, quay_id="q-over", finished_at=START)
    await world.store.save_strays(claim, [running, over])
    assert await world.store.followed([build.id]) == {build.id: frozenset({"q-over"})}


async def test_the_next_due_is_the_earliest_that_nobody_holds(world: World) -> None:
    assert await next_due(world.store, START) is None
    await world.build("a", "b")
    await world.due_status()
    claim = await world.claim()
    assert await next_due(world.store, START) is None
    await world.store.release(claim, START + SECOND)
    assert await next_due(world.store, START) == START + SECOND
    assert await next_due(world.store, START + FIRST_WORD + LEASE) == START + SECOND
