"""Who is there: each instance counts those that were seen lately."""

from __future__ import annotations

from datetime import timedelta

import pytest

from buildbot.store.sql_store import SqlStore
from tests.store.world import START

pytestmark = pytest.mark.anyio

PATIENCE = timedelta(seconds=10)
SECOND = timedelta(seconds=1)


async def test_each_counts_all_that_were_seen_lately(store: SqlStore) -> None:
    assert await store.attend("one", START, PATIENCE) == 1
    assert await store.attend("two", START, PATIENCE) == 2
    assert await store.attend("one", START + PATIENCE, PATIENCE) == 2
    assert await store.attend("one", START + PATIENCE + SECOND, PATIENCE) == 1


async def test_one_that_was_forgotten_is_counted_again_when_it_is_back(store: SqlStore) -> None:
    await store.attend("one", START, PATIENCE)
    await store.attend("two", START + 2 * PATIENCE, PATIENCE)
    assert await store.attend("one", START + 2 * PATIENCE, PATIENCE) == 2


async def test_one_that_leaves_is_not_counted_any_more(store: SqlStore) -> None:
    await store.attend("one", START, PATIENCE)
    await store.leave("one")
    await store.leave("never-there")
    assert await store.attend("two", START, PATIENCE) == 1
