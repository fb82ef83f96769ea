"""Who owns a commit status, what it should say, and what survives a call that is under way meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from buildbot.domain.build import BuildPhase
from buildbot.domain.decision import Decision
from buildbot.domain.status import StatusState
from buildbot.ports import DueStatus, StatusProgress, StatusReport, StatusTarget
from buildbot.store.statuses import FIRST_WORD
from tests.store.due import next_due
from tests.store.world import API, LEASE, START, World, a_push, ended_as, seen_as, sent

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


async def delivered(world: World, status: DueStatus) -> None:
    await world.store.save_status(status, StatusProgress(sent(status, world.now)))


async def report(world: World, status: DueStatus) -> StatusReport:
    found = (await world.store.story(status.owner)).status
    assert found is not None
    return found


async def test_a_planned_build_wants_its_pending_at_once(world: World) -> None:
    build = await world.build("a", "b")
    status = await world.due_status()
    assert (status.forge, status.full_name, status.sha) == ("github", "Acme/api", build.commit)
    assert (status.context, status.owner, status.wanted.state) == ("quay/api", build.id, StatusState.PENDING)
    assert (status.posted, status.failures) == (None, 0)
    assert status.wanted_at == START


async def test_a_status_is_leased_to_one_and_due_again_when_the_lease_ends(world: World) -> None:
    await world.build("a", "b")
    first = await world.due_status()
    assert await world.due_statuses() == ()
    world.now += LEASE
    assert (await world.due_status()).token > first.token


async def test_who_lost_the_lease_and_sent_nothing_changes_nothing(world: World) -> None:
    await world.build("a", "b")
    lost = await world.due_status()
    world.now += LEASE
    held = await world.due_status()
    await world.store.save_status(lost, StatusProgress(lost.posted, stopped="nonsense"))
    await delivered(world, held)
    assert await report(world, held) == StatusReport(held.context, held.sha, held.wanted, sent(held, world.now), None)
    assert await world.due_statuses() == ()


@pytest.mark.parametrize("is_lost_first", [True, False])
@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_pending_sent_without_the_lease_makes_the_end_be_said_again(
    world: World, *, is_lost_first: bool, is_answered: bool
) -> None:
    build = await world.build("a", "b")
    lost = await world.due_status()
    world.now += LEASE
    await world.end(build)
    held = await world.due_status()
    late = StatusProgress(sent(lost, world.now)) if is_answered else StatusProgress(None, failures=1)
    if is_lost_first:
        await world.store.save_status(lost, late)
        await delivered(world, held)
    else:
        await delivered(world, held)
        await world.store.save_status(lost, late)
    again = await world.due_status()
    assert (again.wanted.state, again.posted) == (StatusState.SUCCESS, late.posted)
    await delivered(world, again)
    assert (await report(world, again)).posted == sent(again, world.now)
    assert await world.due_statuses() == ()


async def test_a_lease_that_is_renewed_lasts_while_the_status_is_posted(world: World) -> None:
    await world.build("a", "b")
    status = await world.due_status()
    world.now += LEASE / 2
    await world.store.renew_statuses([status], world.now, LEASE)
    world.now += LEASE / 2
    assert await world.due_statuses() == ()
    await delivered(world, status)
    await world.store.renew_statuses([status], world.now, LEASE)
    build = (await world.builds())[0]
    await world.end(build)
    assert (await world.due_status()).wanted.state is StatusState.SUCCESS


async def test_who_lost_the_lease_renews_nothing(world: World) -> None:
    await world.build("a", "b")
    lost = await world.due_status()
    world.now += LEASE
    await world.due_status()
    await world.store.renew_statuses([lost], world.now + LEASE, LEASE)
    world.now += LEASE
    assert len(await world.due_statuses()) == 1


async def test_a_delivered_status_rests(world: World) -> None:
    await world.build("a", "b")
    await delivered(world, await world.due_status())
    world.now += timedelta(days=1)
    assert await world.due_statuses() == ()


async def test_a_status_may_be_put_off(world: World) -> None:
    await world.build("a", "b")
    status = await world.due_status()
    later = START + FIRST_WORD + SECOND
    progress = StatusProgress(None, later, failures=3, failing_since=START)
    await world.store.save_status(status, progress)
    assert await world.due_statuses() == ()
    world.now += SECOND
    again = await world.due_status()
    assert (again.failures, again.failing_since, again.posted) == (3, START, None)


async def test_finals_go_before_pendings_and_then_the_longest_due(world: World) -> None:
    builds = []
    for letter in "bcd":
        builds.append(await world.build("a", letter, ref=f"refs/heads/{letter}"))
        world.now += SECOND
    first, second, third = builds
    await world.save(await world.claim(), ended_as(third, BuildPhase.FAILED, world.now))
    assert [status.owner for status in await world.due_statuses()] == [third.id, first.id, second.id]


async def test_only_as_many_as_asked_for_are_taken(world: World) -> None:
    for letter in "bcd":
        await world.build("a", letter, ref=f"refs/heads/{letter}")
    assert len(await world.store.claim_statuses(START + FIRST_WORD, LEASE, 2)) == 2
    assert len(await world.store.claim_statuses(START + FIRST_WORD, LEASE, 2)) == 1


async def test_what_the_caller_has_in_hand_is_not_taken_again_even_when_its_lease_has_run_out(world: World) -> None:
    await world.build("a", "b")
    held, long_after = await world.due_status(), START + LEASE * 10
    assert await world.store.claim_statuses(long_after, LEASE, 2, [held.id]) == ()
    assert [again.id for again in await world.store.claim_statuses(long_after, LEASE, 2)] == [held.id]


async def test_news_is_due_at_once_and_other_changes_are_only_noted(world: World) -> None:
    build = await world.build("a", "b")
    first = await world.due_status()
    await delivered(world, first)
    claim = await world.claim()
    await world.save(claim, seen_as(build, BuildPhase.BUILDING), is_news=False)
    assert await world.due_statuses() == ()
    assert (await report(world, first)).wanted.description == "Building acme/api:main, sha-bbbbbbb"
    await world.save(claim, seen_as(build, BuildPhase.BUILDING, quay_phase="internalerror"))
    assert (await world.due_status()).wanted.stage == "retrying"


async def test_what_is_wanted_already_is_not_written_again_unless_it_is_news(world: World) -> None:
    build = await world.build("a", "b")
    first = await world.due_status()
    claim = await world.claim()
    world.now += SECOND
    await world.save(claim, build, is_news=False)
    await delivered(world, first)
    assert await world.due_statuses() == ()
    await world.save(claim, build)
    again = await world.due_status()
    assert (again.wanted, again.wanted_at) == (first.wanted, world.now)
    assert again.version == first.version + 1


async def test_a_newer_wish_stays_due_while_an_older_is_sent(world: World) -> None:
    build = await world.build("a", "b")
    in_flight = await world.due_status()
    await world.save(await world.claim(), ended_as(build, BuildPhase.SUCCEEDED, world.now))
    assert await world.due_statuses() == ()
    await delivered(world, in_flight)
    final = await world.due_status()
    assert (final.wanted.state, final.posted) == (StatusState.SUCCESS, sent(in_flight, world.now))
    assert final.version > in_flight.version
    await delivered(world, final)
    assert await world.due_statuses() == ()


async def test_a_wish_that_is_no_news_is_not_lost_to_a_post_in_flight(world: World) -> None:
    build = await world.build("a", "b")
    in_flight = await world.due_status()
    await world.save(await world.claim(), seen_as(build, BuildPhase.WAITING, ahead=2), is_news=False)
    await delivered(world, in_flight)
    again = await world.due_status()
    assert again.wanted.description == "Queued behind 2 builds of acme/api (main)"


async def test_the_build_planned_last_for_a_commit_owns_its_status(world: World) -> None:
    old = await world.build("a", "b")
    await delivered(world, await world.due_status())
    new = await world.build("a", "b", ref="refs/heads/release")
    status = await world.due_status()
    assert (status.owner, status.posted and status.posted.owner) == (new.id, old.id)
    await world.save(await world.claim(), ended_as(old, BuildPhase.FAILED, world.now))
    await delivered(world, status)
    assert await world.due_statuses() == ()
    assert (await world.store.story(old.id)).status is None


async def test_a_new_owner_takes_over_while_a_post_of_the_old_one_is_in_flight(world: World) -> None:
    await world.build("a", "b")
    in_flight = await world.due_status()
    new = await world.build("a", "b", ref="refs/heads/release")
    await world.store.save_status(in_flight, StatusProgress(sent(in_flight, START), stopped="refused"))
    status = await world.due_status()
    assert status.owner == new.id
    assert (await report(world, status)).stopped is None


async def test_contexts_are_one_whatever_their_case(world: World) -> None:
    rules = (
        replace(API, status_context="Quay/API"),
        replace(API, name="b", repository="b/b", status_context="quay/api"),
    )
    built = (await world.push("a", "b", rules=rules)).builds
    status = await world.due_status()
    assert (status.owner, status.context) == (built[-1].id, "quay/api")


async def test_different_contexts_commits_and_repositories_are_different_statuses(world: World) -> None:
    source = a_push("a", "b").source
    await world.record(a_push("a", "b"), rules=(API, replace(API, name="b", repository="b/b")))
    await world.record(a_push("b", "c"))
    await world.record(a_push("a", "b", source=replace(source, repository_id="2")))
    assert len(await world.due_statuses()) == 4


async def test_a_build_superseded_at_birth_owns_a_status_that_nobody_has(world: World) -> None:
    await world.push("b", "c")
    late = await world.push("a", "b")
    assert late.decision is Decision.SUPERSEDED
    assert late.builds[0].id in {status.owner for status in await world.due_statuses()}


async def test_a_build_superseded_at_birth_takes_no_status_from_another(world: World) -> None:
    first = await world.build("x", "b", ref="refs/heads/other")
    await world.push("b", "c")
    (late,) = (await world.push("a", "b")).builds
    owners = {status.sha: status.owner for status in await world.due_statuses()}
    assert owners[late.commit or ""] == first.id
    assert (await world.store.story(late.id)).status is None


async def test_a_status_that_was_given_up_stays_so_whatever_its_build_does(world: World) -> None:
    build = await world.build("a", "b")
    status = await world.due_status()
    await world.store.save_status(status, StatusProgress(None, stopped="no such commit"))
    await world.save(await world.claim(), ended_as(build, BuildPhase.SUCCEEDED, world.now))
    assert await world.due_statuses() == ()
    told = await report(world, status)
    assert (told.stopped, told.wanted.state) == ("no such commit", StatusState.SUCCESS)
    assert (await world.store.counts()).statuses == 0


async def test_a_wish_that_came_while_it_was_given_up_does_not_look_due(world: World) -> None:
    build = await world.build("a", "b")
    status = await world.due_status()
    claim = await world.claim()
    await world.save(claim, ended_as(build, BuildPhase.SUCCEEDED, world.now))
    await world.store.release(claim, None)
    await world.store.save_status(status, StatusProgress(None, stopped="no such commit"))
    assert await world.due_statuses() == ()
    assert await next_due(world.store, START + LEASE) is None


async def test_a_later_build_may_try_a_status_that_was_given_up(world: World) -> None:
    await world.build("a", "b")
    status = await world.due_status()
    await world.store.save_status(
        status, StatusProgress(None, failures=7, failing_since=START, stopped="no permission")
    )
    await world.build("a", "b", ref="refs/heads/again")
    again = await world.due_status()
    assert (again.failures, again.failing_since) == (0, None)


async def test_a_status_follows_its_repository_to_a_new_name(world: World) -> None:
    await world.build("a", "b")
    renamed = replace(a_push("a", "b").source, full_name="acme/renamed")
    await world.record(a_push("a", "b", "refs/heads/x", renamed), rules=(replace(API, source="acme/*"),))
    assert (await world.due_status()).full_name == "acme/renamed"


async def test_a_build_that_learns_its_commit_late_takes_no_status_from_one_planned_after_it(world: World) -> None:
    (tag,) = (await world.record(replace(a_push(None, "x", "refs/tags/v1"), commit=None))).builds
    branch = await world.build("a", "b")
    known = replace(tag, commit=branch.commit, request=tag.request.for_commit(branch.commit or ""))
    await world.save(await world.claim(), known, learned_commit=True)
    status = await world.due_status()
    assert (status.owner, status.wanted.description) == (branch.id, "Asking Quay to build acme/api:main, sha-bbbbbbb")


async def test_a_due_status_goes_to_the_ref_that_its_owner_was_built_for(world: World) -> None:
    build = await world.build("a", "b")
    status = await world.due_status()
    assert build.commit is not None
    assert status.target == StatusTarget("Acme/api", build.commit, build.ref, "quay/api")
