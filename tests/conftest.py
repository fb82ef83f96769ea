"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import Postgres, running_postgres

# How long an example takes says more about the machine than about the code.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The product runs on asyncio alone, so its tests do too."""
    return "asyncio"


DATABASES = ("sqlite", "postgresql")
"""Tests of what is only true on one say so: `@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)`."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that runs; each worker of pytest has one of its own, if any of its tests asks for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=DATABASES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind: whoever asks for it runs on both."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/buildbot.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of each kind that has not even tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database("template0") as url:
        yield url


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL, for what is only true there."""
    with postgres.database() as url:
        yield url


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Binary values are named by their argument: an archive made for a test holds the time, and ids must not change."""
    return argname if isinstance(val, bytes) and not val.isascii() else None
