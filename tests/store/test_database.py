"""Opening a database: every way in which it cannot be used is said in words, and none repeats a password."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from buildbot.store.database import HEAD, BadDatabase
from buildbot.store.sql_store import SqlStore
from tests.store.world import a_push, a_recording


def refusal(url: str) -> str:
    """Why a database is not opened."""
    with pytest.raises(BadDatabase) as bad:
        SqlStore(url)
    return str(bad.value)


def sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "cannot be read as a URL: write sqlite:///"),
        ("buildbot.db", "cannot be read as a URL"),
        ("postgresql://ada:secret@host:port/db", "cannot be read as a URL"),
        ("mysql://ada:secret@host/db", "names 'mysql', and the bot keeps its data in SQLite or PostgreSQL"),
        ("postgres://ada:secret@host/db", "names 'postgres', and"),
        ("sqlite+aiosqlite:///x.db", "names the driver 'sqlite+aiosqlite'"),
        ("postgresql+nonsense://ada:secret@host/db", "names the driver 'postgresql+nonsense', which nobody knows"),
        ("postgresql+pg8000://ada:secret@host/db", "needs the Python package pg8000, which is not installed"),
        ("sqlite://", "keeps nothing after a restart"),
        ("sqlite:///", "keeps nothing after a restart"),
        ("sqlite:///:memory:", "keeps nothing after a restart"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_words(url: str, words: str) -> None:
    said = refusal(url)
    assert words in said
    assert "secret" not in said


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    said = refusal(sqlite(tmp_path / "nowhere" / "store.db"))
    assert said == f"the folder {tmp_path}/nowhere for the database does not exist: make it, or change store.url"


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_text("dear diary, " * 1000)
    assert f"the database {file} cannot be used: file is not a database" in refusal(sqlite(file))
    assert file.read_text().startswith("dear diary")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "unable to open database file" in refusal(sqlite(tmp_path))


def test_a_file_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    SqlStore(sqlite(file)).close()
    assert "readonly database" in refusal(f"sqlite:///file:{file}?mode=ro&uri=true")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    SqlStore(sqlite(file)).close()
    file.chmod(0o400)
    assert "readonly database" in refusal(sqlite(file))


def test_a_database_that_somebody_holds_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    SqlStore(sqlite(file)).close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "database is locked" in refusal(f"{sqlite(file)}?timeout=0")
    other.close()


def test_another_program_s_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE deliveries (parcel TEXT)")
    other.commit()
    assert "table deliveries already exists" in refusal(sqlite(file))
    assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["deliveries"]
    other.close()


def test_a_newer_schema_that_this_release_cannot_use_is_refused_in_words(store_url: str) -> None:
    SqlStore(store_url).close()
    _stamp(store_url, "9999", oldest="9998")
    assert refusal(store_url) == (
        "the database was made by a newer release (schema 9999, which releases from schema 9998 on can use; "
        f"this release knows {HEAD}): install a newer release, or restore an older database"
    )


@pytest.mark.anyio
async def test_a_newer_schema_that_this_release_can_use_is_used_and_left_as_it_is(store_url: str) -> None:
    SqlStore(store_url).close()
    _stamp(store_url, "9999", oldest=HEAD)
    with SqlStore(store_url) as store, store._reading.connect() as connection:
        await store.record(a_recording((a_push("a", "b"),), "one"))
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_of_several_that_start_at_once_one_makes_the_tables(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as starting:
        for store in starting.map(SqlStore, [empty_url] * 4):
            store.close()


def test_a_schema_that_nobody_knows_is_refused_in_words(store_url: str) -> None:
    SqlStore(store_url).close()
    _stamp(store_url, "0000", oldest=HEAD)
    assert "schema 0000" in refusal(store_url)


def test_a_database_is_made_where_there_is_none_and_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        SqlStore(sqlite(tmp_path / "store.db")).close()
    assert (tmp_path / "store.db").exists()


def test_what_was_answered_survives_a_power_cut(tmp_path: Path) -> None:
    with SqlStore(sqlite(tmp_path / "store.db")) as store, store._writing.connect() as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]


def _stamp(url: str, version: str, oldest: str) -> None:
    with SqlStore(url) as store, store._writing.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        connection.execute(text("UPDATE compatibility SET oldest = :oldest"), {"oldest": oldest})
