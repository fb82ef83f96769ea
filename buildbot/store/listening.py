"""News from PostgreSQL: every instance hears within milliseconds that another, or a command, has recorded something.

A connection of its own that waits, on the loop and not in a thread, since it can be given up at once. It is no more
than a hint to look at the rows: the loops look every half second anyway, so a message that is lost delays and loses
nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from buildbot.ports import StoreUnavailable
from buildbot.store.database import first_line
from buildbot.store.postgres import connect_arguments

CHANNEL = "buildbot"


async def listen(engine: Engine, on_news: Callable[[], None]) -> None:
    """Call `on_news` once when listening has begun, since there may have been news before, and then for each piece.

    Ends when cancelled; where the database is SQLite at once, since it tells nobody. Raises StoreUnavailable when the
    connection cannot be had or is lost.
    """
    if engine.dialect.driver != "psycopg":
        return
    import psycopg

    _, arguments = engine.dialect.create_connect_args(engine.url)
    wanted = {**arguments, **connect_arguments(engine.url), "autocommit": True}
    try:
        async with await psycopg.AsyncConnection.connect(**wanted) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            on_news()
            async for _ in connection.notifies():
                on_news()
    except psycopg.Error as lost:
        raise StoreUnavailable(f"the database tells nothing: {first_line(str(lost))}") from lost
    raise StoreUnavailable("the database tells nothing any more")
