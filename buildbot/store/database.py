"""Opening the database: which one it is, whether it can be used, and the schema brought up to date.

How each is set up is told in `sqlite` and in `postgres`; whoever uses the engines need not know which it is.

Whatever keeps the database from being used is a BadDatabase whose text says what to do; it never repeats the URL, which
may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from buildbot.store import postgres, sqlite
from buildbot.store.new_schema import create_schema
from buildbot.store.statements import ping
from buildbot.store.tables import compatibility

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0007"
KINDS = "sqlite:///buildbot.db or postgresql://user@host/name"


class BadDatabase(Exception):
    """The database cannot be used; `str()` says what to do."""


class DatabaseAway(BadDatabase):
    """The database's server cannot be reached: it may be soon, without anybody's doing."""


def open_database(url: str) -> tuple[Engine, Engine]:
    """(for writing, for reading), over a database whose schema is current. Raises BadDatabase."""
    parsed = _parsed(url)
    writing, reading = _engines(parsed)
    try:
        with _in_words(parsed):
            migrate(writing)
            _prove_writable(writing)
    except BaseException:
        writing.dispose()
        reading.dispose()
        raise
    return writing, reading


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; costs two queries when it is already. Raises BadDatabase.

    Under the writer's lock, so of several instances that start together one does it and the others find it done. A
    schema that a newer release has made is used as it is where that release says that this one can.
    """
    with engine.connect() as connection:
        if _is_usable(connection):
            return
    with engine.begin() as connection:
        if not _is_usable(connection):
            _bring_up(connection)


def _is_usable(connection: Connection) -> bool:
    current = _revision(connection)
    if current is None or current < HEAD:
        return False
    if current > HEAD and (oldest := _oldest(connection) or current) > HEAD:
        raise BadDatabase(
            f"the database was made by a newer release (schema {current}, which releases from schema {oldest} on can "
            f"use; this release knows {HEAD}): install a newer release, or restore an older database"
        )
    return True


def _bring_up(connection: Connection) -> None:
    current = _revision(connection)
    if current is None:
        create_schema(connection, HEAD)
    else:
        _upgrade(connection, current)


def _upgrade(connection: Connection, current: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index on a large table takes its time
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise BadDatabase(f"the database has a schema {current} that no release made: restore another one") from None


def in_short(error: SQLAlchemyError) -> str:
    """What the database said, in one line without the statement and its values."""
    return first_line(str(getattr(error, "orig", None) or error)) or type(error).__name__


def first_line(told: str) -> str:
    """The first of several lines in which a database explains itself."""
    return told.partition("\n")[0].strip()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadDatabase(f"store.url cannot be read as a URL: write {KINDS}") from None
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return parsed if "+" in parsed.drivername else parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise BadDatabase(
            f"store.url names {kind!r}, and the bot keeps its data in SQLite or PostgreSQL: write {KINDS}"
        )
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise BadDatabase(f"store.url names the driver {parsed.drivername!r}: write sqlite:/// for a file")
    if parsed.database in {None, "", ":memory:"}:
        raise BadDatabase("store.url keeps nothing after a restart: name a file, as in sqlite:///buildbot.db")
    return parsed


def _engines(url: URL) -> tuple[Engine, Engine]:
    if url.get_backend_name() == "sqlite":
        _require_folder(url)
        return sqlite.open_engines(url)
    try:
        return postgres.open_engines(url)
    except ImportError as missing:
        package = missing.name or url.get_driver_name()
        wanted = "'quay-buildbot[postgres]'" if package == "psycopg" else package
        raise BadDatabase(
            f"PostgreSQL needs the Python package {package}, which is not installed: pip install {wanted}"
        ) from None
    except NoSuchModuleError:
        raise BadDatabase(f"store.url names the driver {url.drivername!r}, which nobody knows: write {KINDS}") from None


def _require_folder(url: URL) -> None:
    folder = Path(url.database or "").resolve().parent
    if not str(url.database).startswith("file:") and not folder.is_dir():
        raise BadDatabase(f"the folder {folder} for the database does not exist: make it, or change store.url")


def _prove_writable(engine: Engine) -> None:
    # SQLite begins a transaction on a file that it may only read without a word, and fails at the first write.
    with engine.begin() as connection:
        ping(connection)


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the database {url.database}"
    return f"the database {url.database} at {url.host or 'localhost'}"


@contextmanager
def _in_words(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        is_server = url.get_backend_name() != "sqlite"
        if is_server and isinstance(error, OperationalError) and error.statement is None:  # it was not even connected
            raise DatabaseAway(f"{_place(url)} cannot be reached: {in_short(error)}") from error
        raise BadDatabase(f"{_place(url)} cannot be used: {in_short(error)}; mend it, or change store.url") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _oldest(connection: Connection) -> str | None:
    if not inspect(connection).has_table(compatibility.name):
        return None
    return connection.execute(select(compatibility.c.oldest)).scalar()
