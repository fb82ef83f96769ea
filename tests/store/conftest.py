"""The databases that every test of the store runs on. A second one joins by its name in `DATABASES`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildbot.store.sql_store import SqlStore
from tests.store.world import World

DATABASES = ("sqlite",)


@pytest.fixture(params=DATABASES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(store_url: str) -> Iterator[SqlStore]:
    """A store on an empty database."""
    with SqlStore(store_url) as opened:
        yield opened


@pytest.fixture
def world(store: SqlStore) -> World:
    """A store with people who push and loops that save."""
    return World(store)
