"""Another process on the same database, as the command line is beside `serve`. Run by the tests with the URL.

Records as many pushes as it is told, each to a branch of its own, and prints how each was decided.
"""

from __future__ import annotations

import asyncio
import sys

from buildbot.store.sql_store import SqlStore
from tests.store.world import a_push, a_recording


async def main(url: str, name: str, pushes: int) -> None:
    """Push, one after the other."""
    with SqlStore(url) as store:
        for number in range(pushes):
            push = a_push("a", "b", f"refs/heads/{name}-{number}")
            recorded = await store.record(a_recording((push,), f"{name}-{number}"))
            sys.stdout.write(f"{recorded.decision}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
