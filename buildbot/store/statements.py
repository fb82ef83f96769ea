"""The few statements that several transactions share, in the words of whichever database it is.

What intake runs for every push is built once, here or beside its function, with its values as parameters: building the
same statement anew each time cost SQLAlchemy more than SQLite took to run it (measured: twice the pushes a second).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, update
from sqlalchemy.dialects import postgresql, sqlite

from buildbot.store.tables import claims, counters

ORDER = "builds"
PINGS = "pings"

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_ONLY_ORDER = counters.c.name == ORDER
_RAISE_ORDER = update(counters).where(_ONLY_ORDER).values(value=counters.c.value + 1).returning(counters.c.value)


class Upsert:
    """A statement that inserts a row, or updates the one with the same key; built once, run with the row's values.

    `changed` names the columns that an update takes over, `earliest` those of which it keeps the earlier time;
    `only_if` says of the row that was to be inserted when it may; `raising` are values for an update alone, such as a
    counter one higher.
    """

    def __init__(
        self,
        table: Table,
        key: Sequence[str],
        changed: Sequence[str],
        *,
        earliest: Sequence[str] = (),
        only_if: Callable[[Any], ColumnElement[bool]] | None = None,
        raising: Mapping[str, Any] | None = None,
    ) -> None:
        self._table, self._earliest = table, tuple(earliest)
        self._statements = {
            name: self._built(dialect.insert(table), key, changed, only_if, raising or {})
            for name, dialect in _DIALECTS.items()
        }

    def __call__(self, connection: Connection, row: Mapping[str, Any]) -> bool:
        """Run it. Whether a row was written."""
        return connection.execute(self._statements[connection.dialect.name], dict(row)).rowcount > 0

    def _built(
        self,
        insert: Any,
        key: Sequence[str],
        changed: Sequence[str],
        only_if: Callable[[Any], ColumnElement[bool]] | None,
        raising: Mapping[str, Any],
    ) -> Any:
        taken_over = {name: insert.excluded[name] for name in changed} | dict(raising)
        for name in self._earliest:
            stands, new = self._table.c[name], insert.excluded[name]
            taken_over[name] = case((stands < new, stands), else_=new)
        condition = only_if(insert.excluded) if only_if else None
        statement = insert.on_conflict_do_update(index_elements=list(key), set_=taken_over, where=condition)
        return statement.execution_options(preserve_rowcount=True)


_WAKE = Upsert(claims, ("registry", "repository"), (), earliest=("due",), raising={"wakes": claims.c.wakes + 1})
_PING = Upsert(counters, ("name",), (), raising={"value": counters.c.value + 1})


def next_sequence(connection: Connection) -> int:
    """The next place in the order of builds. There is one writer at a time: the order of places is that of commits."""
    return int(connection.execute(_RAISE_ORDER).scalar_one())


def wake(connection: Connection, registry: str, repository: str, now: datetime) -> None:
    """Make a repository due now, whoever holds it. One that was due already keeps its turn."""
    _WAKE(connection, {"registry": registry, "repository": repository, "due": now, "wakes": 1, "token": 0})


def ping(connection: Connection) -> None:
    """Write something that is not there yet, so that a database that takes no writes cannot answer otherwise."""
    _PING(connection, {"name": PINGS, "value": 1})
