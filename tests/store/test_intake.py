"""A delivery becomes rows: what is planned, superseded, cancelled, repeated, and what nothing of it suppresses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import create_engine, select

from buildbot.domain.build import Build, BuildPhase, CancelReason, Goal, GoalKind
from buildbot.domain.decision import Decision
from buildbot.domain.push import Ignored
from buildbot.domain.rule import Supersede
from buildbot.store.tables import deliveries
from tests.store.world import API, DOCS, LEASE, START, World, a_push, a_recording, sha

pytestmark = pytest.mark.anyio


async def test_a_push_becomes_a_build_that_can_be_read_back_whole(world: World) -> None:
    push = replace(a_push("a", "b"), message="Mend it 🦀 \ufffd", pusher="ada", compare_url="https://forge/compare")
    recorded = await world.record(push, guid="first")
    (build,) = recorded.builds
    assert (recorded.decision, recorded.reason) == (Decision.PLANNED, "1 build planned")
    assert recorded.rules == (("api", "planned"),)
    assert await world.reread(build) == build
    assert (build.commit, build.message, build.pusher, build.delivery) == (sha("b"), push.message, "ada", "first")
    assert build.request.image_tags == ("main", "sha-bbbbbbb")


async def test_the_repository_of_a_new_build_is_due_at_once(world: World) -> None:
    build = await world.build("a", "b")
    claim = await world.claim()
    assert (claim.registry, claim.repository, claim.builds) == ("quay", "acme/api", (build,))


async def test_a_new_build_tells_its_birth(world: World) -> None:
    build = await world.build("a", "b")
    (step,) = (await world.store.story(build.id)).steps
    assert (step.at, step.what) == (START, "planned: acme/api:main, sha-bbbbbbb")


async def test_what_asks_for_nothing_is_recorded_with_its_reason(world: World) -> None:
    ping = a_recording(Ignored("a ping"), "ping")
    recorded = await world.store.record(ping)
    assert (recorded.decision, recorded.reason, recorded.builds) == (Decision.IGNORED, "a ping", ())
    again = await world.store.record(ping)
    assert again.decision is Decision.REPEATED
    assert again.reason == "this delivery was recorded already at 2026-03-01 12:00:00 UTC: a ping"


async def test_a_delivery_that_moves_no_ref_is_ignored(world: World) -> None:
    assert (await world.record()).reason == "the delivery names no ref that moved"


async def test_the_same_delivery_again_makes_nothing_new(world: World) -> None:
    await world.record(a_push("a", "b"), guid="one")
    again = await world.record(a_push("a", "b"), guid="one")
    assert (again.decision, again.builds) == (Decision.REPEATED, ())
    assert len(await world.builds()) == 1


async def test_repetitions_of_a_delivery_are_counted(world: World, store_url: str) -> None:
    for _ in range(3):
        await world.record(a_push("a", "b"), guid="one")
    engine = create_engine(store_url)
    with engine.connect() as connection:
        assert connection.execute(select(deliveries.c.guid, deliveries.c.repeats)).all() == [("one", 2)]
    engine.dispose()


async def test_two_forges_may_use_one_delivery_id(world: World) -> None:
    await world.record(a_push("a", "b"), guid="one")
    other = replace(API, forge="forgejo")
    push = a_push("a", "b", source=replace(a_push("a", "b").source, forge="forgejo"))
    recorded = await world.store.record(replace(a_recording((push,), "one", (other,)), forge="forgejo"))
    assert recorded.decision is Decision.PLANNED


async def test_the_same_move_under_another_delivery_id_makes_nothing_new(world: World) -> None:
    await world.push("a", "b")
    again = await world.push("a", "b")
    assert (again.decision, again.reason) == (Decision.REPEATED, "this push to main is known already")
    assert len(await world.builds()) == 1


async def test_there_and_back_and_there_again_are_three_pushes(world: World) -> None:
    decisions = [(await world.push(*move)).decision for move in ("ab", "ba", "ab")]
    assert decisions == [Decision.PLANNED] * 3
    newest, *older = await world.builds()
    assert newest.goal == Goal()
    assert [build.goal.reason for build in older] == [CancelReason.SUPERSEDED] * 2


async def test_a_newer_push_supersedes_the_build_of_the_older(world: World) -> None:
    old = await world.build("a", "b")
    recorded = await world.push("b", "c")
    assert recorded.reason == "1 build planned; 1 older build superseded"
    assert (await world.reread(old)).goal == Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "ccccccc")


async def test_builds_are_ordered_as_they_were_recorded(world: World) -> None:
    builds = [await world.build(*move) for move in ("ab", "bc", "cd")]
    assert [build.seq for build in builds] == sorted({build.seq for build in builds})
    assert [build.position for build in builds] == [1.0, 2.0, 3.0]


async def test_another_ref_and_another_source_are_left_alone(world: World) -> None:
    other_ref = await world.build("a", "b", ref="refs/heads/dev")
    renamed = replace(a_push("a", "b").source, repository_id="2")
    (other_source,) = (await world.record(a_push("a", "b", source=renamed))).builds
    await world.push("a", "b")
    await world.push("b", "c")
    assert [(await world.reread(build)).goal for build in (other_ref, other_source)] == [Goal(), Goal()]


async def test_a_push_supersedes_only_under_the_rules_it_builds_for(world: World) -> None:
    rules = (API, DOCS)
    code, docs = (await world.push("a", "b", rules=rules, changed=("docs/x", "src/y"))).builds
    recorded = await world.push("b", "c", rules=rules, changed=("src/y",))
    assert dict(recorded.rules)["docs"] == "none of the 1 changed paths matches docs/**"
    assert (await world.reread(code)).goal.kind is GoalKind.CANCEL
    assert (await world.reread(docs)).goal == Goal()


async def test_a_push_that_arrives_late_is_superseded_at_birth(world: World) -> None:
    newer = await world.build("b", "c")
    late = await world.push("a", "b")
    assert (late.decision, late.reason) == (Decision.SUPERSEDED, "arrived late: superseded by ccccccc")
    assert late.rules == (("api", "not built: superseded by ccccccc"),)
    assert late.builds[0].goal == Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "ccccccc")
    assert (await world.reread(newer)).goal == Goal()
    (step,) = (await world.store.story(late.builds[0].id)).steps
    assert step.what == "arrived after a newer push, superseded by ccccccc"


async def test_the_forges_clock_places_a_late_push(world: World) -> None:
    await world.push("a", "b", at=10)
    await world.push("b", "c", at=30)
    late = await world.push("x", "y", at=20)
    assert late.decision is Decision.SUPERSEDED
    assert late.builds[0].position == 1.5


async def test_a_late_push_is_built_where_its_successor_was_not(world: World) -> None:
    rules = (API, DOCS)
    await world.push("a", "b", rules=rules, changed=("docs/x",), at=10)
    await world.push("c", "d", rules=(API,), at=30)
    late = await world.push("b", "c", rules=rules, changed=("docs/x",), at=20)
    assert late.decision is Decision.PLANNED
    assert [(build.request.rule, build.goal.kind) for build in late.builds] == [
        ("api", GoalKind.CANCEL),
        ("docs", GoalKind.BUILD),
    ]


async def test_a_late_push_under_keep_leaves_out_the_tags_that_are_claimed(world: World) -> None:
    keep = (replace(API, supersede=Supersede.KEEP),)
    await world.push("b", "c", rules=keep)
    late = await world.push("a", "b", rules=keep)
    (build,) = late.builds
    assert (build.goal, build.request.image_tags) == (Goal(), ("sha-bbbbbbb",))
    assert late.reason == "1 build planned; main left to ccccccc"


async def test_a_late_push_does_not_become_the_last_plan(world: World) -> None:
    keep = (replace(API, supersede=Supersede.KEEP),)
    await world.push("c", "d", rules=keep)
    await world.push("b", "c", rules=keep)
    (latest,) = (await world.push("a", "b", rules=keep)).builds
    assert latest.request.image_tags == ("sha-bbbbbbb",)


async def test_under_queued_an_older_build_is_only_dropped_while_it_waits(world: World) -> None:
    queued = (replace(API, supersede=Supersede.QUEUED),)
    (old,) = (await world.push("a", "b", rules=queued)).builds
    await world.push("b", "c", rules=queued)
    assert (await world.reread(old)).goal.kind is GoalKind.CANCEL_QUEUED


async def test_deleting_a_ref_cancels_what_runs_for_it_under_every_rule(world: World) -> None:
    rules = (replace(API, supersede=Supersede.KEEP), DOCS)
    built = (await world.push("a", "b", rules=rules)).builds
    deleted = await world.push("b", None, rules=rules)
    assert (deleted.decision, deleted.reason) == (Decision.CANCELLED, "branch main was deleted; 2 builds cancelled")
    assert [build.id for build in deleted.builds] == [build.id for build in built]
    goal = Goal(GoalKind.CANCEL, CancelReason.DELETED, "branch main")
    assert [build.goal for build in deleted.builds] == [goal, goal]


async def test_what_is_cancelled_is_looked_at_at_once(world: World) -> None:
    await world.build("a", "b")
    await world.store.release(await world.claim(), None)
    await world.push("b", None)
    assert [build.goal.reason for build in (await world.claim()).builds] == [CancelReason.DELETED]


async def test_what_is_superseded_in_another_repository_is_looked_at_at_once(world: World) -> None:
    await world.build("a", "b")
    await world.store.release(await world.claim(), None)
    await world.push("b", "c", rules=(replace(API, repository="acme/moved"),))
    claims = await world.store.claim_repositories("one", world.now, LEASE, 5)
    assert {claim.repository for claim in claims} == {"acme/api", "acme/moved"}


async def test_deleting_a_ref_stops_what_waited_to_be_dropped(world: World) -> None:
    queued = (replace(API, supersede=Supersede.QUEUED),)
    (old,) = (await world.push("a", "b", rules=queued)).builds
    await world.push("b", "c", rules=queued)
    await world.push("c", None, rules=queued)
    assert (await world.reread(old)).goal.reason is CancelReason.DELETED


async def test_what_is_cancelled_already_is_not_cancelled_again(world: World) -> None:
    old = await world.build("a", "b")
    await world.push("b", "c")
    deleted = await world.push("c", None)
    assert old.id not in {build.id for build in deleted.builds}
    assert (await world.reread(old)).goal.reason is CancelReason.SUPERSEDED


async def test_a_late_deletion_cancels_nothing(world: World) -> None:
    await world.push("a", "b", at=10)
    again = (await world.push(None, "c", at=30)).builds[0]
    deleted = await world.push("b", None, at=20)
    assert deleted.decision is Decision.IGNORED
    assert (await world.reread(again)).goal == Goal()


async def test_a_push_that_arrives_after_its_deletion_is_not_built(world: World) -> None:
    await world.push("b", None, at=20)
    late = await world.push("a", "b", at=10)
    assert (late.decision, late.reason) == (Decision.SUPERSEDED, "arrived late: branch main was deleted")
    (step,) = (await world.store.story(late.builds[0].id)).steps
    assert step.what == "arrived after branch main was deleted"


async def test_a_gap_in_the_history_builds_whatever_the_paths(world: World) -> None:
    await world.push("a", "b", rules=(DOCS,), changed=("docs/x",))
    skipped = await world.push("b", "c", rules=(DOCS,), changed=("src/y",))
    after_a_gap = await world.push("d", "e", rules=(DOCS,), changed=("src/y",))
    assert (skipped.decision, after_a_gap.decision) == (Decision.IGNORED, Decision.PLANNED)
    assert "pushes before this one never arrived" in after_a_gap.reason


# ── undecided ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def undecided(world: World, before: str, after: str) -> Build:
    """A push that does not show all that changed, and the build that it may need."""
    (build,) = (await world.push(before, after, rules=(DOCS,))).builds
    assert build.seen.phase is BuildPhase.COMPARING
    return build


async def test_a_build_that_may_not_be_wanted_replaces_nothing_and_has_no_status(world: World) -> None:
    (older,) = (await world.push("a", "b", rules=(DOCS,), changed=("docs/x",))).builds
    newer = await undecided(world, "b", "c")
    assert (await world.reread(older)).goal == Goal()
    assert (await world.store.story(newer.id)).status is None
    assert "planned if it concerns docs" in (await world.store.story(newer.id)).steps[0].what


async def test_once_it_is_wanted_it_replaces_what_is_older_and_has_its_status(world: World) -> None:
    (older,) = (await world.push("a", "b", rules=(DOCS,), changed=("docs/x",))).builds
    newer = await undecided(world, "b", "c")
    await world.admit(newer)
    assert (await world.reread(older)).goal == Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "ccccccc")
    report = (await world.store.story(newer.id)).status
    assert report is not None
    assert not report.wanted.state.is_final
    assert await world.is_due(), "the older one is to be cancelled at once"


async def test_a_push_that_arrives_late_is_superseded_at_birth_by_one_that_was_found_to_be_wanted(world: World) -> None:
    await world.push("a", "b", rules=(DOCS,), at=10, changed=("docs/x",))
    (newer,) = (await world.push("c", "d", rules=(DOCS,), at=30)).builds
    assert newer.seen.phase is BuildPhase.COMPARING
    (before,) = (await world.push("b", "e", rules=(DOCS,), at=15, changed=("docs/x",))).builds
    await world.admit(newer)
    late = await world.push("b", "c", rules=(DOCS,), at=20, changed=("docs/x",))
    assert (await world.reread(before)).goal.reason is CancelReason.SUPERSEDED
    assert late.decision is Decision.SUPERSEDED


async def test_one_delivery_may_move_several_refs(world: World) -> None:
    await world.build("a", "b", ref="refs/heads/dev")
    recorded = await world.record(a_push("b", None, "refs/heads/dev"), a_push("a", "b"))
    assert recorded.decision is Decision.PLANNED
    assert recorded.reason == "branch dev was deleted; 1 build cancelled; 1 build planned"
    assert len(recorded.builds) == 2


async def test_a_verdict_that_fails_leaves_no_trace(world: World) -> None:
    def fails(*_: object) -> object:
        raise RuntimeError("a rule that cannot be judged")

    broken = replace(a_recording((a_push("a", "b"),), "one"), judge=fails)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await world.store.record(broken)
    assert (await world.record(a_push("a", "b"), guid="one")).decision is Decision.PLANNED


async def test_a_status_that_cannot_be_worded_leaves_no_trace(world: World) -> None:
    def fails(build: Build) -> object:
        raise RuntimeError(f"{build.id} has no words")

    broken = replace(a_recording((a_push("a", "b"),), "one"), wording=fails)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await world.store.record(broken)
    assert not await world.is_due()
    assert await world.builds() == ()
    assert (await world.record(a_push("a", "b"), guid="one")).decision is Decision.PLANNED


async def test_hundreds_of_unfinished_builds_of_a_ref_are_all_superseded(world: World) -> None:
    keep, cancel = (replace(API, supersede=Supersede.KEEP),), (API,)
    moves = pairwise(f"{number:040x}" for number in range(152))
    *older, last = [replace(a_push("a", "b"), before=one, after=other, commit=other) for one, other in moves]
    for push in older:
        await world.record(push, rules=keep)
    recorded = await world.record(last, rules=cancel)
    assert recorded.reason == "1 build planned; 150 older builds superseded"
    assert sum(build.goal.kind is GoalKind.CANCEL for build in await world.builds()) == 150
