"""Rounds that look for pushes which never arrived: whose turn it is, what they watch, and which moves they found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from buildbot.store.tables import UtcTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the two tables and the column; a release that does not know them goes on beside it."""
    op.add_column("moves", sa.Column("is_swept", sa.Integer(), nullable=True))
    op.create_table(
        "rounds",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", UtcTime(), nullable=True),
        sa.Column("due", UtcTime(), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=True),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("looked", sa.Integer(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("found_at", UtcTime(), nullable=True),
        sa.Column("found_what", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "watched",
        sa.Column("round_name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("looked_at", UtcTime(), nullable=False),
        sa.Column("due", UtcTime(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("round_name", "subject"),
    )
