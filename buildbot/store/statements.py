"""The few statements that several transactions share, in the words of whichever database it is.

What runs for every push is built once, here or beside its function, with its values as parameters: building the same
statement anew each time cost SQLAlchemy more than SQLite took to run it (measured: twice the pushes a second).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, select
from sqlalchemy.dialects import postgresql, sqlite

from buildbot.store.bulk import Rows
from buildbot.store.tables import claims, counters

ORDER = "builds"
PINGS = "pings"

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_ORDER = select(counters.c.value).where(counters.c.name == ORDER)


class Upsert:
    """A statement that inserts a row, or updates the one with the same key; built once, run with the row's values.

    `changed` names the columns that an update takes over, `earliest` those of which it keeps the earlier time, `added`
    the counters that it raises by the row's value; `only_if` says of the row that was to be inserted when it may.
    Without any of them what stands there is left alone.
    """

    def __init__(
        self,
        table: Table,
        key: Sequence[str],
        changed: Sequence[str] = (),
        *,
        earliest: Sequence[str] = (),
        added: Sequence[str] = (),
        only_if: Callable[[Any], ColumnElement[bool]] | None = None,
    ) -> None:
        self._table, self._key, self._only_if = table, tuple(key), only_if
        self._changed, self._earliest, self._added = tuple(changed), tuple(earliest), tuple(added)
        self._statements = {name: self._built(dialect.insert(table)) for name, dialect in _DIALECTS.items()}
        self._rows = Rows(table, lambda dialect: self._statements[dialect.name])

    def __call__(self, connection: Connection, row: Mapping[str, Any]) -> bool:
        """Run it. Whether a row was written."""
        return connection.execute(self._statements[connection.dialect.name], dict(row)).rowcount > 0

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for rows with different keys, which all have the same columns."""
        self._rows(connection, rows)

    def _built(self, insert: Any) -> Any:
        stands, new = self._table.c, insert.excluded
        taken_over = {name: new[name] for name in self._changed}
        taken_over |= {name: stands[name] + new[name] for name in self._added}
        taken_over |= {name: case((stands[name] < new[name], stands[name]), else_=new[name]) for name in self._earliest}
        insert = insert.execution_options(preserve_rowcount=True)
        if not taken_over:
            return insert.on_conflict_do_nothing(index_elements=list(self._key))
        condition = self._only_if(new) if self._only_if else None
        return insert.on_conflict_do_update(index_elements=list(self._key), set_=taken_over, where=condition)


_ADD = Upsert(counters, ("name",), added=("value",))
WAKE = Upsert(claims, ("registry", "repository"), earliest=("due",), added=("wakes",))


def last_sequence(connection: Connection) -> int:
    """The last place in the order of builds that was given. There is one writer at a time: who asks may give the next
    ones, and says so with `give_sequence` before it commits."""
    return int(connection.execute(_ORDER).scalar() or 0)


def give_sequence(connection: Connection, number: int) -> None:
    """So many places in the order of builds have been given."""
    _ADD(connection, {"name": ORDER, "value": number})


def wake(connection: Connection, registry: str, repository: str, now: datetime) -> None:
    """Make a repository due now, whoever holds it. One that was due already keeps its turn."""
    WAKE(connection, wake_row(registry, repository, now))


def wake_row(registry: str, repository: str, due: datetime, times: int = 1) -> dict[str, Any]:
    """The row with which `WAKE` makes a repository due."""
    return {"registry": registry, "repository": repository, "due": due, "wakes": times, "token": 0}


def ping(connection: Connection) -> None:
    """Write something that is not there yet, so that a database that takes no writes cannot answer otherwise."""
    _ADD(connection, {"name": PINGS, "value": 1})
