"""A configuration reaches instances one after the other: who has the old one ends nothing that a newer one planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from buildbot.domain.build import Build, BuildId
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.engine.build_loop import BuildLoop
from buildbot.engine.pacing import Clock
from buildbot.engine.setup import FOR_ANOTHER, SPREAD, Current, Setup
from buildbot.engine.status_loop import StatusLoop
from buildbot.engine.tools import Memory, Tools
from buildbot.ports import BuildChange, Claim, DueStatus, StatusProgress, Store
from tests.domain.builds import NOW, a_build

pytestmark = pytest.mark.anyio

SECOND, LEASE = timedelta(seconds=1), timedelta(seconds=10)


@dataclass
class Shelf:
    """A store with one thing that is due, and what became of it."""

    claims: list[Claim] = field(default_factory=list)
    due: list[DueStatus] = field(default_factory=list)
    ended: list[Build] = field(default_factory=list)
    released: list[datetime | None] = field(default_factory=list)
    progress: list[StatusProgress] = field(default_factory=list)
    on_done: Callable[[], None] = lambda: None

    async def claim_repositories(self, *_: Any) -> Sequence[Claim]:
        return [self.claims.pop()] if self.claims else []

    async def claim_statuses(self, *_: Any) -> Sequence[DueStatus]:
        return [self.due.pop()] if self.due else []

    async def save(self, _claim: Claim, changes: Sequence[BuildChange], _now: datetime) -> None:
        self.ended += [change.build for change in changes]

    async def release(self, _claim: Claim, due: datetime | None, _typical: timedelta | None = None) -> None:
        self.released.append(due)
        self.on_done()

    async def save_status(self, _status: DueStatus, progress: StatusProgress) -> None:
        self.progress.append(progress)
        self.on_done()

    async def give_up_claims(self, _owner: str) -> None:
        return


async def followed(created_at: datetime, now: datetime) -> Shelf:
    """What became of a build whose registry is not configured, by a configuration that was read at `NOW`."""
    build, shelf = replace(a_build(), created_at=created_at), Shelf()
    shelf.claims = [Claim(build.request.registry, build.request.repository, 1, 1, (build,))]
    tools = Tools(cast("Store", shelf), Clock(lambda: now), Memory())
    loop = BuildLoop("one", LEASE, Current(Setup(since=NOW)), tools, lambda: None)
    shelf.on_done = lambda: setattr(loop, "_is_stopping", True)
    await loop.run()
    await loop.stop()
    return shelf


async def test_a_build_planned_after_the_configuration_was_read_is_left_to_who_knows_more() -> None:
    now = NOW + 2 * SECOND
    shelf = await followed(NOW + SECOND, now)
    assert (shelf.ended, shelf.released) == ([], [now + FOR_ANOTHER])


@pytest.mark.parametrize(
    ("created_at", "now"),
    [(NOW - SECOND, NOW + SECOND), (NOW + SECOND, NOW + SECOND + SPREAD)],
    ids=["planned before it was read", "nobody came for it"],
)
async def test_any_other_build_of_an_unknown_registry_ends(created_at: datetime, now: datetime) -> None:
    shelf = await followed(created_at, now)
    (ended,) = shelf.ended
    assert ended.seen.because == f"the registry {ended.request.registry} is no longer configured"
    assert shelf.released == [None]


async def posted(wanted_at: datetime, now: datetime) -> StatusProgress:
    """What became of a status whose forge is not configured."""
    wanted = CommitStatus(StatusState.SUCCESS, "Built", None)
    status = DueStatus(
        1, 1, 1, "github", "acme/api", "b" * 40, "main", "c", BuildId("b1"), wanted, wanted_at, None, 0, None
    )
    shelf = Shelf(due=[status])
    loop = StatusLoop(cast("Store", shelf), Current(Setup(since=NOW)), Clock(lambda: now), LEASE)
    shelf.on_done = lambda: setattr(loop, "_is_stopping", True)
    await loop.run()
    await loop.stop()
    return shelf.progress[0]


async def test_a_status_for_a_forge_that_only_others_know_waits_for_them() -> None:
    now = NOW + 2 * SECOND
    assert await posted(NOW + SECOND, now) == StatusProgress(None, now + FOR_ANOTHER)


async def test_a_status_for_a_forge_that_is_gone_is_dropped() -> None:
    stopped = StatusProgress(None, stopped="the forge github is no longer configured")
    assert await posted(NOW - SECOND, NOW) == stopped
    assert await posted(NOW + SECOND, NOW + SECOND + SPREAD) == stopped
