"""Turning a new file to WAL, which SQLite's own patience does not cover."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event, Timer

import pytest

from buildbot.store.sqlite import use_wal

OPENING = """
import sys
from buildbot.store.sql_store import SqlStore
sys.stdin.readline()
SqlStore(sys.argv[1]).close()
"""
PROCESSES = 4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where nothing is yet."""
    return tmp_path / "new.db"


@pytest.fixture
def writer(file: Path) -> Iterator[sqlite3.Connection]:
    """Another process that is at the new file, as one is that makes its tables."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_sqlite_itself_does_not_wait_for_whoever_is_at_a_new_file(file: Path, writer: sqlite3.Connection) -> None:
    assert writer.in_transaction
    with closing(sqlite3.connect(file, timeout=60)) as connection, pytest.raises(sqlite3.OperationalError) as busy:
        connection.execute("PRAGMA journal_mode=WAL")
    assert busy.value.sqlite_errorcode == sqlite3.SQLITE_BUSY


def test_who_opens_a_new_file_waits_for_whoever_is_at_it(file: Path, writer: sqlite3.Connection) -> None:
    is_done = Event()

    def finish() -> None:
        is_done.set()
        writer.execute("COMMIT")

    with closing(sqlite3.connect(file, timeout=60)) as connection:
        later = Timer(0.2, finish)
        later.start()
        use_wal(connection)
        later.join()
        assert is_done.is_set()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_it_waits_no_longer_than_the_connection_would(file: Path, writer: sqlite3.Connection) -> None:
    assert writer.in_transaction
    with closing(sqlite3.connect(file, timeout=0)) as connection, pytest.raises(sqlite3.OperationalError):
        use_wal(connection)


def test_what_is_no_matter_of_waiting_is_told_at_once(file: Path) -> None:
    file.write_bytes(b"no database " * 1000)
    with closing(sqlite3.connect(file, timeout=60)) as connection, pytest.raises(sqlite3.DatabaseError, match="not a"):
        use_wal(connection)


def test_processes_that_open_a_new_file_together_all_open_it(file: Path) -> None:
    command = [sys.executable, "-c", OPENING, f"sqlite:///{file}"]
    with ExitStack() as stack:
        opening = [stack.enter_context(_piped(command)) for _ in range(PROCESSES)]
        for process in opening:
            assert process.stdin is not None
            process.stdin.write("now\n")
            process.stdin.flush()
        assert [process.communicate(timeout=60)[1] for process in opening] == [""] * PROCESSES


def _piped(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
