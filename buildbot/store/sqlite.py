"""SQLite as the store wants it: what was committed survives a power cut, readers never wait, one writer at a time.

WAL, so that readers never wait for the writer, with `synchronous=FULL`, so that what was answered 2xx survives a power
cut; write transactions take their lock at once (`BEGIN IMMEDIATE`), since one that reads first and then writes can fail
for no fault of its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

BUSY_SECONDS = 4


def open_engines(url: URL) -> tuple[Engine, Engine]:
    """(for writing, for reading). Nothing is connected yet."""
    return _engine(url, "BEGIN IMMEDIATE"), _engine(url, "BEGIN")


def _engine(url: URL, begin: str) -> Engine:
    patience = {} if "timeout" in url.query else {"timeout": BUSY_SECONDS}
    engine = create_engine(url, connect_args={**patience, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # pysqlite's own transactions begin late and break savepoints; SQLAlchemy's documentation has this recipe.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
