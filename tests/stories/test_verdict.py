"""The verdict notices each promise that is broken: without this, a soak that counts no defect would say nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from buildbot.sandbox.github import Push
from buildbot.sandbox.quay_builds import Pushed
from buildbot.sandbox.quay_courses import COURSES
from tests.stories.verdict import Told, evidence, judge, owed
from tests.stories.world import REPOSITORY, World, until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)]

Sabotage = Callable[[World, list[Told]], object]


async def built(world: World) -> Told:
    """A push to main that was built."""
    push = await world.github.commit_and_push(REPOSITORY)
    await world.final_status(push.sha)
    return told(push)


def told(push: Push) -> Told:
    """A push that the rule `api` has to build."""
    return Told(push, {one.guid for one in push.deliveries}, frozenset({"api"}))


def write(world: World, statement: str) -> None:
    with world.held_store() as other:
        other.execute(text(statement))


def forget_deliveries(world: World, _pushes: list[Told]) -> None:
    write(world, "DELETE FROM deliveries")


def forget_builds(world: World, _pushes: list[Told]) -> None:
    write(world, "DELETE FROM builds WHERE seq = (SELECT max(seq) FROM builds)")


def plan_twice(_world: World, pushes: list[Told]) -> None:
    pushes[0].guids |= pushes[1].guids
    pushes[1].guids = {"another"}


def build_twice(world: World, _pushes: list[Told]) -> None:
    first = world.quay.builds[0]
    again = world.quay._builds.add(
        replace(first.request, archive_url=f"{first.archive_url}1"), lambda _: COURSES["success"]
    )
    again.stored_phase = "complete"


def fail_at_quay(world: World, _pushes: list[Told]) -> None:
    world.quay.builds[0].stored_phase = "error"


def supersede_the_newest(world: World, _pushes: list[Told]) -> None:
    newest = "seq = (SELECT max(seq) FROM builds)"
    write(world, f"UPDATE builds SET goal_kind = 'cancel', goal_reason = 'superseded' WHERE {newest}")  # noqa: S608


def cancel_without_deletion(world: World, _pushes: list[Told]) -> None:
    write(world, "UPDATE builds SET goal_kind = 'cancel', goal_reason = 'deleted'")


def show_otherwise(world: World, pushes: list[Told]) -> None:
    repository, shown = world.github.repository(REPOSITORY), world.statuses(pushes[0].push.sha)
    repository.statuses.append(replace(shown[-1], state="pending"))


def take_the_tag_back(world: World, _pushes: list[Told]) -> None:
    first = world.quay.builds[0]
    world.quay._builds.pushed.append(Pushed(REPOSITORY, "main", first.id, first.archive_url))


@pytest.mark.parametrize(
    ("sabotage", "words"),
    [
        (forget_deliveries, "lost: delivery"),
        (forget_builds, "lost: build"),
        (forget_builds, "was never planned for api"),
        (forget_builds, "wrong: nobody knows build"),
        (plan_twice, "duplicate: push 0 has 2 builds under api"),
        (plan_twice, "lost: push 1 to refs/heads/main was never recorded"),
        (build_twice, "could run 2 times at Quay"),
        (fail_at_quay, "and Quay says error"),
        (supersede_the_newest, "was superseded, and nothing newer"),
        (cancel_without_deletion, "was not deleted after it"),
        (show_otherwise, "wrong: "),
        (take_the_tag_back, "stale: acme/api:main holds"),
    ],
)
async def test_a_broken_promise_is_noticed(world: World, sabotage: Sabotage, words: str) -> None:
    async with world.bot():
        pushes = [await built(world), await built(world)]
        await until(lambda: not owed(world))
    with world.open_store() as store:
        assert judge(await evidence(world, pushes, store)) == []
    sabotage(world, pushes)
    with world.open_store() as store:
        defects = [str(defect) for defect in judge(await evidence(world, pushes, store))]
    assert any(words in defect for defect in defects), defects
