"""Several instances: who is there, since which release the tables can be used, and news for all of them.

`compatibility` holds the oldest schema whose release can still work on these tables. A migration that only adds leaves
it alone, so that older instances go on beside newer ones; one that takes something away sets it to its own revision.

PostgreSQL tells all instances when one records something to be done. The telling is done by triggers and not by the
code that writes: so no writer can forget it, an older release that still runs beside a newer one does it too, and it
goes out with the commit that it tells of. They look at the columns that say "something was recorded" (`wakes`,
`version` together with a new `due`), not at `due` alone, which every look at a repository moves on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from buildbot.store.tables import UtcTime

revision = "0003"
down_revision = "0002"

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


def upgrade() -> None:
    """Make the table, and the triggers where there is somebody to tell."""
    op.create_table(
        "instances",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    compatibility = op.create_table("compatibility", sa.Column("oldest", sa.Text(), nullable=False))
    op.bulk_insert(compatibility, [{"oldest": revision}])
    if op.get_context().dialect.name == "postgresql":
        op.execute(TELL)
        for name, when in NEWS.items():
            op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION buildbot_tell()")
