"""Many rows in one statement: what lets a whole batch of deliveries cost a dozen statements and not a dozen each.

Two shapes are needed. `Rows` writes any number of rows of a table; `OfKeys` reads what belongs to any number of keys.
Each is one statement text for every size that is a power of two, so that the drivers, which keep prepared statements
by their text, soon know them all. Why not the drivers' own `executemany`: SQLite's takes Python's interpreter lock
again after every row, and on a busy bot waits for it each time; a statement of many rows takes it once.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Select, Table, TableClause, TypeDecorator, table
from sqlalchemy import column as named

MOST_AT_ONCE = 64
Item = TypeVar("Item")


_Coder = Callable[[Any], Any]


class Rows:
    """An INSERT of any number of rows of one table, which all have the columns of the first that was ever written.

    `built` gives another statement for a dialect than a plain one: it may say what happens on a conflict, with no
    values in it but those of the row that was to be inserted. Two rows of one call must not conflict with each other.
    """

    def __init__(self, into: Table, built: Callable[[Dialect], Any] | None = None) -> None:
        self._into = into
        self._built = built or (lambda _: into.insert())
        self._columns: tuple[str, ...] = ()
        self._texts: dict[str, tuple[str, str, str]] = {}
        self._encoders: dict[str, tuple[tuple[int, _Coder], ...]] = {}

    def __call__(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write them."""
        dialect = connection.dialect
        if rows and not self._columns:
            self._columns = tuple(name for name in self._into.c.keys() if name in rows[0])  # noqa: SIM118
        for chunk in _chunks(rows):
            values = self._values(chunk, dialect)
            connection.exec_driver_sql(self._text(len(chunk), dialect), values)

    def _text(self, number: int, dialect: Dialect) -> str:
        if dialect.name not in self._texts:
            self._texts[dialect.name] = self._pieces(dialect)
        before, group, after = self._texts[dialect.name]
        return f"{before}{', '.join([group] * number)}{after}"

    def _pieces(self, dialect: Dialect) -> tuple[str, str, str]:
        style = "qmark" if dialect.name == "sqlite" else "format"
        positional: Dialect = type(dialect)(paramstyle=style)  # type: ignore[call-arg]  # every DefaultDialect has it
        compiled = self._built(dialect).inline().compile(dialect=positional, column_keys=self._columns)
        if tuple(compiled.positiontup or ()) != self._columns:
            raise ValueError(f"not a statement of {self._columns} alone: {compiled}")
        before, _, rest = str(compiled).partition(" VALUES ")
        group, conflict, after = rest.partition(" ON CONFLICT")
        return f"{before} VALUES ", group, f"{conflict}{after}"

    def _values(self, rows: Sequence[Mapping[str, Any]], dialect: Dialect) -> tuple[Any, ...]:
        values = [row[name] for row in rows for name in self._columns]
        width = len(self._columns)
        known: dict[Any, Any] = {}
        for at, encode in self._encoders_of(dialect):
            for index in range(at, len(values), width):
                value = values[index]
                if value is not None:
                    if value not in known:  # a batch has few different times
                        known[value] = encode(value)
                    values[index] = known[value]
        return tuple(values)

    def _encoders_of(self, dialect: Dialect) -> tuple[tuple[int, _Coder], ...]:
        if dialect.name not in self._encoders:
            found = ((at, _encoder(self._into.c[name].type, dialect)) for at, name in enumerate(self._columns))
            self._encoders[dialect.name] = tuple((at, encode) for at, encode in found if encode is not None)
        return self._encoders[dialect.name]


def keys(*columns: str) -> TableClause:
    """The keys that a statement is asked about, as a table of these columns to join with."""
    return table("wanted", *(named(name) for name in columns))


class OfKeys:
    """A SELECT of what belongs to any of some keys, which are texts: joined with `wanted`, made by `keys`, and with no
    values of its own."""

    def __init__(self, wanted: TableClause, select: Select[Any]) -> None:
        self._wanted = wanted
        self._select = select
        self._texts: dict[str, str] = {}
        self._decoders: dict[str, tuple[_Coder | None, ...]] = {}
        self._row: Any = namedtuple("_row", select.selected_columns.keys())  # type: ignore[misc]  # noqa: PYI024

    def __call__(self, connection: Connection, wanted: Iterable[tuple[str, ...]]) -> Iterator[Any]:
        """The rows, with their columns by name; in the statement's order as long as there are no more than
        `MOST_AT_ONCE` keys."""
        decoders = self._decoders_of(connection.dialect)
        for chunk in _chunks(list(wanted)):
            values = tuple(value for key in chunk for value in key)
            for row in connection.exec_driver_sql(self._text(len(chunk), connection.dialect), values):
                pairs = zip(decoders, row, strict=True)
                yield self._row._make(value if decode is None else decode(value) for decode, value in pairs)

    def _text(self, number: int, dialect: Dialect) -> str:
        if dialect.name not in self._texts:
            self._texts[dialect.name] = str(
                self._select.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
            )
        names = [column.name for column in self._wanted.columns]
        mark = "?" if dialect.name == "sqlite" else "%s"
        group = f"({', '.join([mark] * len(names))})"
        rows = ", ".join([group] * number)
        return f"WITH {self._wanted.name}({', '.join(names)}) AS (VALUES {rows}) {self._texts[dialect.name]}"

    def _decoders_of(self, dialect: Dialect) -> tuple[_Coder | None, ...]:
        if dialect.name not in self._decoders:
            columns = self._select.selected_columns
            self._decoders[dialect.name] = tuple(_decoder(column.type, dialect) for column in columns)
        return self._decoders[dialect.name]


def _encoder(kind: Any, dialect: Dialect) -> _Coder | None:
    # All other types are what the drivers take and give by themselves.
    return kind.dialect_impl(dialect).bind_processor(dialect) if isinstance(kind, TypeDecorator) else None


def _decoder(kind: Any, dialect: Dialect) -> _Coder | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None) if isinstance(kind, TypeDecorator) else None


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    start, size = 0, MOST_AT_ONCE
    while start < len(items):
        while size > len(items) - start:
            size //= 2
        yield items[start : start + size]
        start += size
