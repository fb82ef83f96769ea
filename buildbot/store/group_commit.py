"""One writer, many writes in one transaction: what makes full durability fast.

A commit with `synchronous=FULL` costs a flush to disk, whatever it holds. So writes queue up while a commit is under
way and the next one takes them all: nobody waits longer than two commits, and a burst of pushes costs a handful of
flushes instead of one each. Every write has a savepoint of its own, so one that fails takes nobody down with it; an
answer is given only after the commit that holds it.

Where the database may be away for a moment (a server that was restarted), a batch whose connection turned out to be
dead before its commit was sent is run once more on a new one: nothing of it was recorded. A commit whose answer was
lost is another matter: nobody knows, so it is not run again, and everybody in the batch learns that (CommitLost).

A thread with SQLAlchemy's plain connections, not an async driver: measured twice as fast, and half the code.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

Result = TypeVar("Result")
MOST_WRITES = 64

_Work = Callable[[Connection], Any]
_Job = tuple[_Work, "Future[Any]"]
_Attempt = tuple[Any, Exception | None]


class WriterClosed(Exception):
    """The writer has stopped: nothing of this write was recorded."""


class CommitLost(Exception):
    """The connection was lost while a commit was under way: it may have been done or not. `str()` is the database's
    word."""


class GroupCommit:
    """The writing side of a database: `write` runs a function in the next transaction and returns after its commit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a transaction; returns once it is committed. Raises what `work` or the commit raised, and
        CommitLost.

        `work` may be run twice, when the first time came to nothing; it changes nothing but the database. Cancelling
        the caller does not undo a write that has begun. After `close` it raises WriterClosed.
        """
        done: Future[Result] = Future()
        with self._closing:
            if self._is_closed:
                raise WriterClosed("the database has been closed")
            self._jobs.put((work, done))
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, is_last = self._more(first)
            self._commit([job for job in batch if job[1].set_running_or_notify_cancel()])
            if is_last:
                return

    def _more(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        while len(batch) < MOST_WRITES:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        if not batch:
            return
        try:
            attempts = self._in_one_transaction([work for work, _ in batch])
        except Exception as broken:  # noqa: BLE001  whatever broke the commit broke every write in it
            attempts = [(None, broken)] * len(batch)
        for (_, done), (result, failure) in zip(batch, attempts, strict=True):
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)

    def _in_one_transaction(self, works: list[_Work]) -> list[_Attempt]:
        try:
            return self._committed(works)
        except DBAPIError as broken:
            if not broken.connection_invalidated:
                raise
        return self._committed(works)

    def _committed(self, works: list[_Work]) -> list[_Attempt]:
        is_committing = False
        try:
            with self._engine.begin() as connection:
                attempts = [_attempt(connection, work) for work in works]
                is_committing = True
        except DBAPIError as broken:
            if is_committing and broken.connection_invalidated:
                raise CommitLost(str(broken.orig)) from broken
            raise
        return attempts


def _attempt(connection: Connection, work: _Work) -> _Attempt:
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
    except Exception as error:
        if connection.invalidated:
            raise  # the transaction is gone with its connection, and everybody's write with it
        # A full disk may make SQLite roll back the whole transaction and with it this savepoint: then rolling back to
        # it raises, which breaks the batch. Going on would commit the writes that follow one by one, unanswered.
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return result, None
