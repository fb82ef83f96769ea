"""Keys that every instance shares (one signs the addresses of source archives), and why a status is delayed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table, whose keys are made when first needed, and the column."""
    op.add_column("commit_statuses", sa.Column("delayed", sa.Text(), nullable=True))
    op.create_table(
        "keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
