"""The migrations make exactly the tables that the code speaks of, and a new database is as if they had made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, select, text

from buildbot.store.database import HEAD, MIGRATIONS
from buildbot.store.new_schema import create_schema
from buildbot.store.sql_store import SqlStore
from buildbot.store.tables import compatibility, metadata


@pytest.fixture
def migrated(empty_url: str) -> Iterator[Engine]:
    """A database that the migrations have made, one after the other."""
    engine = create_engine(empty_url)
    _upgrade(engine, "head")
    yield engine
    engine.dispose()


def test_the_migrations_make_what_the_tables_say(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_new_database_is_what_the_migrations_make(empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # which Python's driver does late, and never for a table
        create_schema(connection, HEAD)
        fresh = _schema(connection)
        connection.rollback()
    _upgrade(engine, "head")
    with engine.connect() as connection:
        migrated = _schema(connection)
    engine.dispose()
    assert fresh == migrated
    assert fresh["told"]


TOLD_BY_POSTGRESQL = (
    "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname !~ '^pg_'",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
)
TOLD_BY_SQLITE = ("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type <> 'table'",)


def _schema(connection: Connection) -> dict[str, object]:
    """All that there is in a database, but for the order of columns, which nothing relies on."""
    found, told = inspect(connection), TOLD_BY_SQLITE if connection.dialect.name == "sqlite" else TOLD_BY_POSTGRESQL
    tables = found.get_table_names()
    return {
        "columns": {name: _whole(found.get_columns(name)) for name in tables},
        "keys": {name: found.get_pk_constraint(name) for name in tables},
        "unique": {name: _whole(found.get_unique_constraints(name)) for name in tables},
        "rows": {name: _rows(connection, f'SELECT * FROM "{name}"') for name in tables},  # noqa: S608  our own names
        "told": [row for question in told for row in _rows(connection, question)],
    }


def _whole(of: Sequence[object]) -> list[str]:
    return sorted(map(repr, of))


def _rows(connection: Connection, question: str) -> list[str]:
    return _whole(connection.execute(text(question)).all())


def test_every_index_covers_the_columns_that_the_tables_say(migrated: Engine) -> None:
    found = inspect(migrated)
    for table in metadata.sorted_tables:
        made = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
        said = {index.name: [column.name for column in index.columns] for index in table.indexes}
        assert said.items() <= made.items()


def test_only_unfinished_builds_are_in_the_indexes_of_the_unfinished(migrated: Engine) -> None:
    indexes = {index["name"]: index for index in inspect(migrated).get_indexes("builds")}
    for name in ("builds_unfinished", "builds_unfinished_of_ref"):
        where = str(indexes[name]["dialect_options"][f"{migrated.dialect.name}_where"])
        assert where.strip("()") == "finished_at IS NULL"


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]


def test_migrations_are_ordered_as_their_numbers() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)


def test_every_migration_leaves_an_older_release_what_it_reads_and_writes_or_says_so(tmp_path: Path) -> None:
    engine, config = create_engine(f"sqlite:///{tmp_path}/steps.db"), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    before: Columns = {}
    for revision in revisions:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        after = _columns(engine)
        with engine.connect() as connection:
            says_so = "compatibility" in before and connection.scalar(select(compatibility.c.oldest)) == revision
        assert says_so or _breaks(before, after) == [], revision
        before = after
    engine.dispose()


Columns = dict[str, dict[str, tuple[str, bool]]]


def _columns(engine: Engine) -> Columns:
    """Of every table each column: its type, and whether a row can be written without naming it."""
    found = inspect(engine)
    return {
        table: {
            column["name"]: (str(column["type"]), bool(column["nullable"] or column["default"] is not None))
            for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }


def _breaks(before: Columns, after: Columns) -> list[str]:
    kept = [f"{table}.{name}" for table, columns in before.items() for name in columns]
    broken = [one for one in kept if _of(one, before) != _of(one, after)]
    added = [f"{table}.{name}" for table in before for name in after.get(table, {}) if name not in before[table]]
    return broken + [one for one in added if not (_of(one, after) or ("", False))[1]]


def _of(column: str, columns: Columns) -> tuple[str, bool] | None:
    table, _, name = column.partition(".")
    return columns.get(table, {}).get(name)


def test_a_migration_that_takes_something_away_or_wants_more_is_noticed() -> None:
    before: Columns = {"builds": {"id": ("TEXT", False), "note": ("TEXT", True)}}
    assert _breaks(before, {"builds": {"id": ("TEXT", False)}}) == ["builds.note"]
    assert _breaks(before, {"builds": before["builds"] | {"new": ("TEXT", False)}}) == ["builds.new"]
    assert _breaks(before, {"builds": before["builds"] | {"new": ("TEXT", True)}, "more": {}}) == []


def test_builds_of_an_earlier_release_are_found_by_their_delivery(empty_url: str) -> None:
    engine = create_engine(empty_url)
    _upgrade(engine, "0005")
    old = {
        **dict.fromkeys(("id", "forge", "repository_id", "source", "ref", "rule", "registry", "repository"), "x"),
        **dict.fromkeys(("request", "goal_kind", "goal_detail", "phase", "seen"), "x"),
        "seq": 1,
        "position": 1.0,
        "created_at": "2026-01-01 00:00:00",
        "about": '{"delivery": "d-1"}',
    }
    with engine.begin() as connection:
        names = ", ".join(old)
        connection.execute(text(f"INSERT INTO builds ({names}) VALUES (:{', :'.join(old)})"), old)  # noqa: S608
    _upgrade(engine, "head")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT delivery FROM builds")).scalar() == "d-1"
    engine.dispose()


def test_a_database_of_an_earlier_release_is_brought_up_to_date(empty_url: str) -> None:
    engine = create_engine(empty_url)
    _upgrade(engine, "0003")
    SqlStore(empty_url).close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def _upgrade(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
