"""One writer, many writes in one transaction: what makes full durability fast.

A commit with `synchronous=FULL` costs a flush to disk, whatever it holds. So writes queue up while a commit is under
way and the next one takes them all: nobody waits longer than two commits, and a burst of pushes costs a handful of
flushes instead of one each. Writes of one kind that can be done with the same statements go `together`, first of all;
every other write has a savepoint of its own. One that fails takes nobody down with it: of those done together each is
then tried alone. An answer is given only after the commit that holds it.

Where the database may be away for a moment (a server that was restarted), a batch whose connection turned out to be
dead before its commit was sent is run once more on a new one: nothing of it was recorded. A commit whose answer was
lost is another matter: nobody knows, so it is not run again, and everybody in the batch learns that (CommitLost).

A thread with SQLAlchemy's plain connections, not an async driver: measured twice as fast, and half the code.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_WRITES = 64
SEVERAL, LINGER_SECONDS = 4, 0.0005
"""Where so many have come together more are on their way: to wait this long for each saves whole transactions (a tenth
of the processor time of a busy bot)."""

_Together = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class WriterClosed(Exception):
    """The writer has stopped: nothing of this write was recorded."""


class CommitLost(Exception):
    """The connection was lost while a commit was under way: it may have been done or not. `str()` is the database's
    word."""


@dataclass(slots=True, eq=False)
class _Job:
    """One write: `work` done with its item and those of others. `failure` is why it came to nothing."""

    work: _Together
    item: Any
    is_alone: bool
    result: Any = None
    failure: Exception | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    done: asyncio.Future[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.done = self.loop.create_future()


class GroupCommit:
    """The writing side of a database: a write is done in the next transaction and returns after its commit."""

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

        def alone(connection: Connection, _: Sequence[None]) -> list[Result]:
            return [work(connection)]

        result: Result = await self._done(_Job(alone, None, is_alone=True))
        return result

    async def write_together(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item
    ) -> Result:
        """As `write`, for work that is done for any number of items at once: with those of everybody who asks for the
        same `work` meanwhile. It gives a result for each, in their order; if it raises, each is tried alone."""
        result: Result = await self._done(_Job(work, item, is_alone=False))
        return result

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                self._jobs.put(None)
        self._thread.join()

    async def _done(self, job: _Job) -> Any:
        with self._closing:
            if self._is_closed:
                raise WriterClosed("the database has been closed")
            self._jobs.put(job)
        return await job.done

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, is_last = self._more(first)
            self._commit([job for job in batch if not job.done.cancelled()])
            if is_last:
                return

    def _more(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        while len(batch) < MOST_WRITES:
            try:
                job = self._jobs.get(timeout=LINGER_SECONDS if len(batch) >= SEVERAL else 0)
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        try:
            if batch:
                self._in_one_transaction(batch)
        except Exception as broken:  # noqa: BLE001  whatever broke the commit broke every write in it
            for job in batch:
                job.failure = broken
        for loop in {job.loop for job in batch}:
            with contextlib.suppress(RuntimeError):  # it has ended, and with it whoever waited
                loop.call_soon_threadsafe(_tell, [job for job in batch if job.loop is loop])

    def _in_one_transaction(self, batch: list[_Job]) -> None:
        try:
            return self._committed(batch)
        except DBAPIError as broken:
            if not broken.connection_invalidated:
                raise
        return self._committed(batch)

    def _committed(self, batch: list[_Job]) -> None:
        is_committing = False
        try:
            with self._engine.begin() as connection:
                for work in dict.fromkeys(job.work for job in batch if not job.is_alone):
                    _do_together(connection, [job for job in batch if job.work is work])
                for job in batch:
                    if job.is_alone:
                        _try(connection, [job])
                is_committing = True
        except DBAPIError as broken:
            if is_committing and broken.connection_invalidated:
                raise CommitLost(str(broken.orig)) from broken
            raise


def _do_together(connection: Connection, jobs: list[_Job]) -> None:
    _try(connection, jobs)
    if len(jobs) > 1 and jobs[0].failure is not None:
        for job in jobs:
            _try(connection, [job])


def _try(connection: Connection, jobs: list[_Job]) -> None:
    savepoint = connection.begin_nested()
    try:
        results = jobs[0].work(connection, [job.item for job in jobs])
    except Exception as error:
        if connection.invalidated:
            raise  # the transaction is gone with its connection, and everybody's write with it
        # A full disk may make SQLite roll back the whole transaction and with it this savepoint: then rolling back to
        # it raises, which breaks the batch. Going on would commit the writes that follow one by one, unanswered.
        savepoint.rollback()
        for job in jobs:
            job.result, job.failure = None, error
        return
    savepoint.commit()
    for job, result in zip(jobs, results, strict=True):
        job.result, job.failure = result, None


def _tell(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.done.done():
            continue  # whoever waited has given up
        if job.failure is None:
            job.done.set_result(job.result)
        else:
            job.done.set_exception(job.failure)
