"""The newest push time of a ref by an index: what tells at once that a push follows everything that is known."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the index."""
    op.create_index("moves_by_push_time", "moves", ["forge", "repository_id", "ref", "pushed_at"])
