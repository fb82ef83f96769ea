"""PostgreSQL as the store wants it: one writer at a time over all instances, and nobody who can hold the others up.

**One writer.** Every write transaction begins by taking one advisory lock, which its end gives back, however it ends.
So all instances together have one writer at a time, exactly as SQLite has, and what the code reasons there holds here:
what a transaction has read does not move until it commits, places in the order of builds are given in the order of
commits, two instances never wait for each other's rows in opposite orders. Row locks alone would give none of this
(a push locks the order, then a repository's claim; a claiming loop locks claims, then asks for order), and SERIALIZABLE
would give it by failing transactions that then have to be run again. It is cheap because writes come in batches
(`group_commit`): one lock for up to 64 writes, and nothing that waits for the outside is ever done under it.

READ COMMITTED for writing is part of this: each statement then sees what was committed before it, and so all that the
holder before did. Under REPEATABLE READ the statement that waits for the lock would itself fix the view, and what it
waited for would be missing from it. Reading is REPEATABLE READ, read only: several questions get one view.

**Nobody holds the others up.** A frozen instance (a paused machine, a cut network) may have the lock. Its session ends
by the server's own clock after five idle seconds, or when its TCP does not answer for as long; whoever waits for the
lock waits a little longer than that and then has it. Both ends ask for keepalives, so that a connection to a server
that vanished is noticed as soon.

A pooler in front must keep a session's settings and its LISTEN: PgBouncer in session mode, not in transaction mode.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

WRITER_LOCK = int.from_bytes(b"buildbot", "big")
"""Advisory locks are numbers, each database has its own: whoever looks into pg_locks finds this one by its letters."""

IDLE_SECONDS = 5
WAIT_SECONDS = 8
"""For the writer's lock: longer than a frozen holder can have it, shorter than forges wait for an answer (10 s)."""

STATEMENT_SECONDS = 20
CONNECT_SECONDS = 5
KEEPALIVE_SECONDS, KEEPALIVE_EVERY, KEEPALIVES = 3, 1, 2
READING_CONNECTIONS = 4

_SETTINGS = {
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    "lock_timeout": f"{WAIT_SECONDS}s",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "tcp_keepalives_idle": KEEPALIVE_SECONDS,
    "tcp_keepalives_interval": KEEPALIVE_EVERY,
    "tcp_keepalives_count": KEEPALIVES,
    "tcp_user_timeout": f"{IDLE_SECONDS}s",
}
_CONNECTING = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": KEEPALIVE_SECONDS,
    "keepalives_interval": KEEPALIVE_EVERY,
    "keepalives_count": KEEPALIVES,
    "tcp_user_timeout": IDLE_SECONDS * 1000,
    "application_name": "quay-buildbot",
}


def open_engines(url: URL) -> tuple[Engine, Engine]:
    """(for writing, for reading), over at most five connections together. Nothing is connected yet.

    Raises ImportError without the driver, NoSuchModuleError where the URL names one that nobody knows.
    """
    arguments = connect_arguments(url)
    # The writer runs a batch again whose connection turns out to be dead; a reader asks first whether it is.
    writing = create_engine(url, connect_args=arguments, pool_size=1, max_overflow=0)
    reading = create_engine(
        url,
        connect_args=arguments,
        pool_size=READING_CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )

    @event.listens_for(writing, "begin")
    def be_the_only_writer(connection: Any) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    return writing, reading


def connect_arguments(url: URL) -> dict[str, Any]:
    """What every connection is opened with. What the URL says about itself (`?connect_timeout=…`) counts more."""
    said = {name: value for name, value in url.query.items() if name in _CONNECTING}
    ours = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    return _CONNECTING | said | {"options": f"{ours} {url.query.get('options', '')}".strip()}
