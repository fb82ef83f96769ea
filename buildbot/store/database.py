"""Opening the database: engines with the right settings, and the schema brought up to date.

SQLite: WAL, so that readers never wait for the writer, with `synchronous=FULL`, so that what was answered 2xx
survives a power cut; write transactions take their lock at once (`BEGIN IMMEDIATE`), since one that reads first and
then writes can fail for no fault of its own. Nothing outside this file knows which database it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url, text

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
BUSY_SECONDS = 10


class BadDatabase(Exception):
    """The database cannot be used; `str()` says what to do."""


def open_engines(url: str) -> tuple[Engine, Engine]:
    """(for writing, for reading), over a database whose schema is current. Raises BadDatabase."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _writer_of_sqlite(parsed), _sqlite(parsed, "BEGIN")
    engine = create_engine(parsed)
    return engine, engine


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; costs one query when it is already. Raises BadDatabase."""
    current = _revision(engine)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise BadDatabase(
            f"the database was made by a newer release (schema {current}, this release knows {HEAD}): "
            "install that release, or restore an older database"
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _writer_of_sqlite(url: URL) -> Engine:
    engine = _sqlite(url, "BEGIN IMMEDIATE")
    folder = Path(url.database or "").resolve().parent
    if url.database and not folder.is_dir():
        raise BadDatabase(f"the folder {folder} for the database does not exist: make it, or change store.url")
    return engine


def _sqlite(url: URL, begin: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

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
