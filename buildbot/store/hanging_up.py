"""Hanging up on a database that does not answer, so that the bot can stop without it.

A frozen server (a paused machine, a disk that hangs) keeps its connections open, and whoever has asked it something
waits for as long as it stands still: a thread in the middle of a driver's call cannot be told to give up. But its
connection can be cut from outside, which the driver then reports as lost, in that thread: so every wait ends as an
outage does, nobody is left behind, and nothing is dropped that the database has taken.

Only while stopping: before that, waiting for the database is what keeps a delivery from being lost.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import structlog
from sqlalchemy import Engine, event

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 4.0
"""For a transaction while the bot stops; with what else stopping waits for, it ends within ten seconds."""

LOOK_SECONDS = 0.2


class Connections:
    """What engines have connected, to be cut once one of them waits too long. Watched from `watch` until `close`.

    SQLite is left out: it is never away, and who waits for its lock is told so by itself after as long.
    """

    def __init__(self, *engines: Engine, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._known: dict[object, Any] = {}
        self._busy: dict[object, float] = {}
        self._changing = threading.Lock()
        self._is_cut = False
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="store-watch", daemon=True)
        for engine in (one for one in engines if one.dialect.name != "sqlite"):
            event.listen(engine, "do_connect", self._admit)
            event.listen(engine, "connect", self._note)
            event.listen(engine, "checkout", self._begin)
            event.listen(engine, "checkin", self._end)

    def watch(self) -> None:
        """From now on hang up on a database as soon as a transaction has lasted too long, and connect to it no more."""
        if not self._watching.ident:
            self._watching.start()

    def close(self) -> None:
        """Watch no longer."""
        self._ended.set()
        if self._watching.ident:
            self._watching.join()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            with self._changing:
                waiting = sum(time.monotonic() - since > self._patience for since in self._busy.values())
            if waiting:
                self._cut(waiting)
                return

    def _cut(self, waiting: int) -> None:
        log.error(
            "stopping without the database",
            transactions=waiting,
            because=f"it has not answered for {self._patience:g} seconds; whether it has taken what it was asked last "
            "is seen at the next start, and leases end by themselves",
        )
        with self._changing:
            self._is_cut = True
            known = list(self._known.values())
        for connection in known:
            _hang_up(connection)

    def _admit(self, dialect: Any, *_: object) -> None:
        if self._is_cut:
            raise dialect.loaded_dbapi.OperationalError("the bot is stopping, and the database did not answer")

    def _note(self, connection: Any, record: object) -> None:
        with self._changing:
            self._known[record] = connection

    def _begin(self, connection: Any, record: object, _proxy: object) -> None:
        with self._changing:
            self._known[record] = connection
            self._busy[record] = time.monotonic()

    def _end(self, _connection: Any, record: object) -> None:
        with self._changing:
            self._busy.pop(record, None)


def _hang_up(connection: Any) -> None:
    # By a second descriptor: to close the driver's own would leave the thread that waits on it waiting. Whatever goes
    # wrong, the connection has been closed meanwhile.
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
