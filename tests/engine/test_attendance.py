"""Being there: budgets are divided among those who are, as they come and go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from buildbot.engine.attendance import PATIENCE, Attendance
from buildbot.engine.pacing import Budget, Clock, Share
from buildbot.store.sql_store import SqlStore
from tests.store.world import START

pytestmark = pytest.mark.anyio


@dataclass
class Instance:
    """One of several on one database, with a clock that stands still unless told."""

    store: SqlStore
    name: str
    share: Share = field(default_factory=Share)
    seconds: float = 0.0

    @property
    def attendance(self) -> Attendance:
        return Attendance(self.store, self.name, self.share, self.clock)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: START + timedelta(seconds=self.seconds), lambda: self.seconds)


@pytest.fixture
def instances(store_url: str) -> Iterator[tuple[Instance, Instance]]:
    """Two, each with a store of its own."""
    with SqlStore(store_url) as one, SqlStore(store_url) as two:
        yield Instance(one, "one"), Instance(two, "two")


async def test_two_take_half_of_every_budget_and_the_one_that_is_left_takes_all(
    instances: tuple[Instance, Instance],
) -> None:
    one, two = instances
    async with one.attendance.running():
        assert one.share.instances == 1
        async with two.attendance.running():
            await one.attendance.beat()
            assert (one.share.instances, two.share.instances) == (2, 2)
        await one.attendance.beat()
        assert one.share.instances == 1


async def test_one_that_dies_is_not_counted_for_long(instances: tuple[Instance, Instance]) -> None:
    one, two = instances
    await two.attendance.beat()
    await one.attendance.beat()
    assert one.share.instances == 2
    one.seconds = PATIENCE.total_seconds() + 1
    await one.attendance.beat()
    assert one.share.instances == 1


async def test_while_the_database_is_away_the_share_stays(instances: tuple[Instance, Instance]) -> None:
    one, two = instances
    await two.attendance.beat()
    await one.attendance.beat()
    one.store.close()
    await one.attendance.beat()
    assert one.share.instances == 2


async def test_n_instances_together_call_as_often_as_one_would() -> None:
    for count in (1, 2, 5):
        calls = sum(_calls_in_a_minute(count) for _ in range(count))
        assert 300 <= calls <= 300 + 25


def _calls_in_a_minute(count: int) -> int:
    seconds = 0.0
    budget = Budget(5, 25, Clock(monotonic=lambda: seconds), Share(count))
    calls = 0
    while seconds < 60:
        wait = budget.take()
        calls += wait == 0.0
        seconds += wait + 1e-9 if wait else 0.0
    return calls
