"""Which delivery a build came from, as a column: to find the builds of a delivery."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TOLD = {"sqlite": "json_extract(about, '$.delivery')", "postgresql": "about::json ->> 'delivery'"}


def upgrade() -> None:
    """Add the column, filled from where it stood among other things, and its index."""
    op.add_column("builds", sa.Column("delivery", sa.Text(), nullable=True))
    told = _TOLD[op.get_bind().dialect.name]
    op.execute(sa.text(f"UPDATE builds SET delivery = {told}"))  # noqa: S608  one of two texts
    op.create_index("builds_of_delivery", "builds", ["forge", "delivery"])
