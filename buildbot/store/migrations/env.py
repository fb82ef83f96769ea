"""Alembic's entry: runs the migrations over the connection that `database.migrate` opened."""

from __future__ import annotations

from alembic import context

from buildbot.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
