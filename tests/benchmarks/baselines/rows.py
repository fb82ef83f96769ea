"""Baseline (b): (a), and one SQLite row for each delivery, durable before the answer.

As durable as the bot's own writes (WAL, `synchronous=FULL`), and in group commit, since nobody who measures would
flush for each: one thread takes whatever has queued up and commits it at once. The row says that the delivery came; it
does not hold its body, which makes this baseline faster than one that could do anything with it later.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.benchmarks.baselines.bare import is_signed, ready, serve

MOST_ROWS = 256
Row = tuple[str, str, float, int]
_Job = tuple[Row, "asyncio.Future[None]"]


class RowWriter:
    """Writes rows in a thread; `write` returns once its row is on the disk."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    async def write(self, row: Row) -> None:
        """Write one row."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put((row, done))
        await done

    def _run(self) -> None:
        connection = sqlite3.connect(self._database, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE deliveries (guid TEXT PRIMARY KEY, event TEXT NOT NULL, received REAL NOT NULL, size INTEGER)"
        )
        while True:
            batch = self._batch()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?)", [row for row, _ in batch])
            connection.execute("COMMIT")
            batch[0][1].get_loop().call_soon_threadsafe(_tell, [done for _, done in batch])

    def _batch(self) -> list[_Job]:
        batch = [self._jobs.get()]
        while len(batch) < MOST_ROWS:
            try:
                batch.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return batch


def _tell(waiting: list[asyncio.Future[None]]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)


def application(database: str) -> Starlette:
    """The application."""
    writer = RowWriter(database)

    async def receive(request: Request) -> Response:
        body = await request.body()
        if not is_signed(request, body):
            return JSONResponse({"error": "wrong signature"}, 401)
        guid = request.headers["x-github-delivery"]
        await writer.write((guid, request.headers["x-github-event"], time.time(), len(body)))
        return JSONResponse({"delivery": guid}, 202)

    return Starlette(routes=[Route("/ready", ready), Route("/webhook", receive, methods=["POST"])])


def main() -> None:
    """`python -m tests.benchmarks.baselines.rows PORT DATABASE`"""
    serve(application(sys.argv[2]), int(sys.argv[1]))


if __name__ == "__main__":
    main()
