"""Databases for the bot that is measured: an SQLite file of its own, or a PostgreSQL that runs for as long as needed.

The PostgreSQL is the tests' real one (`tests.postgres`), but on the disk and flushing as PostgreSQL does by itself:
like SQLite here, it answers a commit only once that would survive a power cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import SETTINGS, running_postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"
DURABLE = SETTINGS | {"fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "128MB"}


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database while the block lasts, on the disk that the folder is on."""
    if kind == SQLITE:
        yield f"sqlite:///{folder}/buildbot.db"
        return
    with running_postgres(folder.parent, DURABLE) as server, server.database() as url:
        yield url
