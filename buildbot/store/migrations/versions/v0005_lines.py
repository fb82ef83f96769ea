"""Who stands in line for a place in flight, whose queues are full, and when a repository was served last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from buildbot.store.tables import UtcTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, empty: nobody stood in line before; and the table."""
    op.add_column("builds", sa.Column("line", sa.Text(), nullable=True))
    op.add_column("claims", sa.Column("served", UtcTime(), nullable=True))
    op.create_table(
        "full_queues",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("until", UtcTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "namespace"),
    )
    in_line = sa.text("line IS NOT NULL")
    op.create_index(
        "builds_in_line",
        "builds",
        ["registry", "repository", "seq"],
        sqlite_where=in_line,
        postgresql_where=in_line,
    )
