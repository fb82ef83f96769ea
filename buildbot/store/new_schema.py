"""The schema of a database that has none: made at once from `tables`, instead of by every migration in turn.

It is what the migrations make (a test compares the two on both databases, down to triggers and first rows), written
down a second time for what it saves. Alembic is the largest of the libraries that a start can do without: 9 MiB that a
process would keep for as long as it runs, and half its processor time until it is ready, for tables that are empty.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, insert

from buildbot.store.statements import ORDER
from buildbot.store.tables import compatibility, counters, metadata

OLDEST = "0003"
"""The oldest schema whose release can work on these tables."""

TELL = """
CREATE FUNCTION buildbot_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('buildbot', TG_TABLE_NAME);
    RETURN NULL;
END $$
"""
NEWS = {
    "claims_are_new": "AFTER INSERT ON claims FOR EACH ROW",
    "claims_are_woken": "AFTER UPDATE OF wakes ON claims FOR EACH ROW WHEN (NEW.wakes <> OLD.wakes)",
    "statuses_are_new": "AFTER INSERT ON commit_statuses FOR EACH ROW",
    "statuses_are_wanted": "AFTER UPDATE OF version ON commit_statuses FOR EACH ROW WHEN "
    "(NEW.version <> OLD.version AND NEW.due IS NOT NULL AND NEW.due IS DISTINCT FROM OLD.due)",
}
"""Which changes PostgreSQL tells all instances of; `v0003_instances` says why it is triggers that do."""

_revision = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_revision.primary_key.name = "alembic_version_pkc"


def create_schema(connection: Connection, revision: str) -> None:
    """Make every table with the rows that it begins with, marked as what `revision` would have made.

    A table of the same name that is there already is an error, and the transaction's end: it is another program's.
    """
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(counters).values(name=ORDER, value=0))
    connection.execute(insert(compatibility).values(oldest=OLDEST))
    if connection.dialect.name == "postgresql":
        _tell_of_news(connection)
    _revision.create(connection)
    connection.execute(insert(_revision).values(version_num=revision))


def _tell_of_news(connection: Connection) -> None:
    connection.exec_driver_sql(TELL)
    for name, when in NEWS.items():
        connection.exec_driver_sql(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION buildbot_tell()")
