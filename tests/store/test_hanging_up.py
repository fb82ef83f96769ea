"""Hanging up on a database that does not answer: who waits is told, nobody else is, and nobody connects again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from buildbot.store.hanging_up import Connections

FOREVER = text("SELECT pg_sleep(600)")


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """Something that connects to PostgreSQL, and does so only when asked."""
    made = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"), pool_size=2)
    yield made
    made.dispose()


def test_who_waits_for_too_long_is_told_that_the_connection_is_lost(engine: Engine) -> None:
    connections = Connections(engine, patience_seconds=0.1)
    connections.watch()
    with pytest.raises(OperationalError) as lost, engine.connect() as connection:
        connection.execute(FOREVER)
    connections.close()
    assert lost.value.connection_invalidated


def test_who_waited_before_the_watch_began_is_told_too(engine: Engine) -> None:
    connections = Connections(engine, patience_seconds=0.1)
    with engine.connect() as connection, ThreadPoolExecutor(1) as waiting:
        asked = waiting.submit(connection.execute, FOREVER)
        connections.watch()
        lost = asked.exception()
    connections.close()
    assert isinstance(lost, OperationalError)
    assert lost.connection_invalidated


def test_then_nobody_connects_again(engine: Engine) -> None:
    connections = Connections(engine, patience_seconds=0.1)
    connections.watch()
    with pytest.raises(OperationalError), engine.connect() as connection:
        connection.execute(FOREVER)
    with pytest.raises(OperationalError, match="the bot is stopping, and the database did not answer"):
        engine.connect()
    connections.close()


def test_a_database_that_answers_is_left_alone(engine: Engine) -> None:
    connections = Connections(engine, patience_seconds=60)
    connections.watch()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    connections.close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_to_close_what_was_never_watched_is_nothing(engine: Engine) -> None:
    Connections(engine).close()
