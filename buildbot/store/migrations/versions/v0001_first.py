"""The first schema: deliveries, the moves of refs, builds, claims, strays, commit statuses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from buildbot.store.tables import UtcTime

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and the counter that orders builds."""
    op.create_table(
        "builds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("forge", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("commit_sha", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("position", sa.Double(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("goal_kind", sa.Text(), nullable=False),
        sa.Column("goal_reason", sa.Text(), nullable=True),
        sa.Column("goal_detail", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("quay_id", sa.Text(), nullable=True),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("seq"),
    )
    op.create_index("builds_by_end", "builds", ["finished_at"], unique=False)
    op.create_index("builds_of_repository", "builds", ["registry", "repository", "seq"], unique=False)
    op.create_index(
        "builds_unfinished",
        "builds",
        ["registry", "repository", "seq"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "builds_unfinished_of_ref",
        "builds",
        ["forge", "repository_id", "ref", "goal_kind"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "claims",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", UtcTime(), nullable=True),
        sa.Column("due", UtcTime(), nullable=True),
        sa.Column("wakes", sa.BigInteger(), nullable=False),
        sa.Column("typical_seconds", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("registry", "repository"),
    )
    op.create_index("claims_by_due", "claims", ["due"], unique=False)
    op.create_table(
        "commit_statuses",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("forge", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("context_key", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_seq", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("is_final", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("wanted_at", UtcTime(), nullable=False),
        sa.Column("posted", sa.Text(), nullable=True),
        sa.Column("due", UtcTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcTime(), nullable=True),
        sa.Column("stopped", sa.Text(), nullable=True),
        sa.Column("leased_until", UtcTime(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("forge", "repository_id", "sha", "context_key", name="commit_statuses_once"),
    )
    op.create_index("commit_statuses_by_due", "commit_statuses", ["due"], unique=False)
    op.create_index("commit_statuses_of_build", "commit_statuses", ["owner"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("forge", sa.Text(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("pushes", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("forge", "guid", name="deliveries_once"),
    )
    op.create_index("deliveries_by_age", "deliveries", ["received_at"], unique=False)
    op.create_table(
        "moves",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("forge", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("position", sa.Double(), nullable=False),
        sa.Column("before_sha", sa.Text(), nullable=True),
        sa.Column("after_sha", sa.Text(), nullable=True),
        sa.Column("pushed_at", UtcTime(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("replaced_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("moves_by_end", "moves", ["replaced_at"], unique=False)
    op.create_index("moves_of_ref", "moves", ["forge", "repository_id", "ref", "position"], unique=False)
    op.create_table(
        "plans",
        sa.Column("forge", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("position", sa.Double(), nullable=False),
        sa.Column("commit_sha", sa.Text(), nullable=True),
        sa.Column("image_tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("forge", "repository_id", "ref", "rule"),
    )
    op.create_table(
        "steps",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("build", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("steps_of_build", "steps", ["build", "id"], unique=False)
    op.create_table(
        "strays",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("quay_id", sa.Text(), nullable=False),
        sa.Column("build", sa.Text(), nullable=False),
        sa.Column("image_tags", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("is_cancelled", sa.Integer(), nullable=False),
        sa.Column("found_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("registry", "repository", "quay_id"),
    )

    counters = sa.table("counters", sa.column("name", sa.Text), sa.column("value", sa.BigInteger))
    op.bulk_insert(counters, [{"name": "builds", "value": 0}])
