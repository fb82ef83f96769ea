"""Looking into the simulation's database past the store: straight, since a thread's answer takes longer than all the
rest of a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg


class Peek(Protocol):
    """A question with `?` for its values, one value as the answer; times are aware."""

    def __call__(self, question: str, *values: Any) -> Any:
        """Ask."""


@contextmanager
def peeking(url: str) -> Iterator[Peek]:
    """Look into the database of a store while the block lasts."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            yield lambda question, *values: _read(file.execute(question, [_written(one) for one in values]).fetchone())
    else:
        with psycopg.connect(url, autocommit=True) as server:
            yield lambda question, *values: _first(server.execute(question.replace("?", "%s").encode(), values))


def _first(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def _read(row: Any) -> Any:
    (value,) = row
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


def _written(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value
