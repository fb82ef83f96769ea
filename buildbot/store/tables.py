"""The tables, once, for SQLite and PostgreSQL alike. `migrations/` makes them; a test holds the two together.

Times are aware UTC. What only one piece of code reads whole (a request, what was seen) is JSON in a text column; what
is searched, ordered or written by two writers is a column of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite keeps it as sortable text without a zone, PostgreSQL as timestamptz."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: SQLite's type knows no zones."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone is nobody's time: the store keeps aware times only")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database, aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

compatibility = Table("compatibility", metadata, Column("oldest", Text, nullable=False))

instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seen_at", UtcTime, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("forge", Text, nullable=False),
    Column("guid", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("pushes", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("repeats", Integer, nullable=False, default=0),
    UniqueConstraint("forge", "guid", name="deliveries_once"),
    Index("deliveries_by_age", "received_at"),
)

moves = Table(
    "moves",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("forge", Text, nullable=False),
    Column("repository_id", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("position", Double, nullable=False),
    Column("before_sha", Text),
    Column("after_sha", Text),
    Column("pushed_at", UtcTime),
    Column("recorded_at", UtcTime, nullable=False),
    Column("replaced_at", UtcTime),
    Column("is_swept", Integer),
    Index("moves_of_ref", "forge", "repository_id", "ref", "position"),
    Index("moves_by_end", "replaced_at"),
    Index("moves_by_push_time", "forge", "repository_id", "ref", "pushed_at"),
)

plans = Table(
    "plans",
    metadata,
    Column("forge", Text, primary_key=True),
    Column("repository_id", Text, primary_key=True),
    Column("ref", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("position", Double, nullable=False),
    Column("commit_sha", Text),
    Column("image_tags", Text, nullable=False),
)

builds = Table(
    "builds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("forge", Text, nullable=False),
    Column("repository_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("commit_sha", Text),
    Column("rule", Text, nullable=False),
    Column("registry", Text, nullable=False),
    Column("repository", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("position", Double, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("goal_kind", Text, nullable=False),
    Column("goal_reason", Text),
    Column("goal_detail", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("quay_id", Text),
    Column("seen", Text, nullable=False),
    Column("finished_at", UtcTime),
    Column("line", Text),
    Column("delivery", Text),
)
_unfinished = builds.c.finished_at.is_(None)
Index(
    "builds_unfinished",
    builds.c.registry,
    builds.c.repository,
    builds.c.seq,
    sqlite_where=_unfinished,
    postgresql_where=_unfinished,
)
Index(
    "builds_unfinished_of_ref",
    builds.c.forge,
    builds.c.repository_id,
    builds.c.ref,
    builds.c.goal_kind,
    sqlite_where=_unfinished,
    postgresql_where=_unfinished,
)
_in_line = builds.c.line.is_not(None)
Index(
    "builds_in_line",
    builds.c.registry,
    builds.c.repository,
    builds.c.seq,
    sqlite_where=_in_line,
    postgresql_where=_in_line,
)
Index("builds_by_end", builds.c.finished_at)
Index("builds_of_delivery", builds.c.forge, builds.c.delivery)
Index("builds_of_repository", builds.c.registry, builds.c.repository, builds.c.seq)

steps = Table(
    "steps",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("build", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("what", Text, nullable=False),
    Index("steps_of_build", "build", "id"),
)

claims = Table(
    "claims",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("repository", Text, primary_key=True),
    Column("owner", Text),
    Column("token", BigInteger, nullable=False, default=0),
    Column("leased_until", UtcTime),
    Column("due", UtcTime),
    Column("wakes", BigInteger, nullable=False, default=0),
    Column("typical_seconds", Double),
    Column("served", UtcTime),
    Index("claims_by_due", "due"),
)

full_queues = Table(
    "full_queues",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("because", Text, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("failures", Integer, nullable=False),
)

strays = Table(
    "strays",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("repository", Text, primary_key=True),
    Column("quay_id", Text, primary_key=True),
    Column("build", Text, nullable=False),
    Column("image_tags", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("is_cancelled", Integer, nullable=False, default=0),
    Column("found_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
)

commit_statuses = Table(
    "commit_statuses",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("forge", Text, nullable=False),
    Column("repository_id", Text, nullable=False),
    Column("sha", Text, nullable=False),
    Column("context_key", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("owner_seq", BigInteger, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("is_final", Integer, nullable=False),
    Column("version", BigInteger, nullable=False, default=0),
    Column("wanted_at", UtcTime, nullable=False),
    Column("posted", Text),
    Column("due", UtcTime),
    Column("failures", Integer, nullable=False, default=0),
    Column("failing_since", UtcTime),
    Column("stopped", Text),
    Column("delayed", Text),
    Column("leased_until", UtcTime),
    Column("token", BigInteger, nullable=False, default=0),
    UniqueConstraint("forge", "repository_id", "sha", "context_key", name="commit_statuses_once"),
    Index("commit_statuses_by_due", "due"),
    Index("commit_statuses_of_build", "owner"),
)

rounds = Table(
    "rounds",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("token", BigInteger, nullable=False, default=0),
    Column("leased_until", UtcTime),
    Column("due", UtcTime),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("looked", Integer, nullable=False, default=0),
    Column("found", BigInteger, nullable=False, default=0),
    Column("found_at", UtcTime),
    Column("found_what", Text, nullable=False, default=""),
)

watched = Table(
    "watched",
    metadata,
    Column("round_name", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("looked_at", UtcTime, nullable=False),
    Column("due", UtcTime, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("trouble", Text, nullable=False, default=""),
    Column("state", Text, nullable=False),
)
