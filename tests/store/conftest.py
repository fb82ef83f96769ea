"""A store on each of the databases: what is asked of one is asked of all (`store_url` in tests/conftest.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from buildbot.store.sql_store import SqlStore
from tests.store.world import World


@pytest.fixture
def store(store_url: str) -> Iterator[SqlStore]:
    """A store on an empty database."""
    with SqlStore(store_url) as opened:
        yield opened


@pytest.fixture
def world(store: SqlStore) -> World:
    """A store with people who push and loops that save."""
    return World(store)
