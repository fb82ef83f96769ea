"""SQLite as the store wants it: what was committed survives a power cut, readers never wait, one writer at a time.

WAL, so that readers never wait for the writer, with `synchronous=FULL`, so that what was answered 2xx survives a power
cut; write transactions take their lock at once (`BEGIN IMMEDIATE`), since one that reads first and then writes can fail
for no fault of its own.

WAL is written down in the file, so only a new one has to be turned to it. SQLite's patience (`timeout`) does not cover
that: of several processes that open a new file together, all but one are told at once that it is locked. Waiting for
the one is done here.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

BUSY_SECONDS = 4.0
LOOK_SECONDS = 0.01
LOG_PAGES = 4000
"""16 MB of log before it is copied into the file: pages that one batch after the other changes are then copied once,
which saves a tenth of the time that writing takes on a busy bot."""

_PRIMARY_CODE = 0xFF  # SQLite says in the higher bits which kind of busy it was


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
        use_wal(connection)
        cursor = connection.cursor()
        for pragma in ("synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={LOG_PAGES}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def use_wal(connection: sqlite3.Connection) -> None:
    """Turn the database to WAL if it is not yet; waits for whoever is at it as long as the connection would for a lock.

    Raises sqlite3.OperationalError.
    """
    deadline = time.monotonic() + _told(connection, "PRAGMA busy_timeout") / 1000
    while _told(connection, "PRAGMA journal_mode") != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= deadline:
                raise
        time.sleep(LOOK_SECONDS)


def _told(connection: sqlite3.Connection, question: str) -> Any:
    return connection.execute(question).fetchone()[0]
