"""The migrations make exactly the tables that the code speaks of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from buildbot.store.database import HEAD, MIGRATIONS
from buildbot.store.sql_store import SqlStore
from buildbot.store.tables import metadata


@pytest.fixture
def migrated(store_url: str) -> Iterator[Engine]:
    """A database that the migrations have made."""
    SqlStore(store_url).close()
    engine = create_engine(store_url)
    yield engine
    engine.dispose()


def test_the_migrations_make_what_the_tables_say(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


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
