"""From tables as they are written to what pydantic makes of them, with every mistake of shape in a person's words.

A key with a mistake is noted and taken out, and the table is read without it, so that everything else in it is
checked in the same run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from buildbot.config import shape, values
from buildbot.config.mistakes import Place, Report, did_you_mean, nearest

T = TypeVar("T", bound=shape.Table)

_EXPECTED = {
    "string_type": "text in quotes",
    "list_type": "a list",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}
_TABLES: Mapping[str, type[shape.Table]] = {
    "server": shape.ServerTable,
    "store": shape.StoreTable,
    "forges": shape.ForgeTable,
    "registries": shape.RegistryTable,
    "rules": shape.RuleTable,
}


@dataclass(frozen=True, slots=True)
class Shaped(Generic[T]):
    """A table as far as it can be read. `wrong`: the keys with mistakes, which have their defaults in `table`."""

    table: T
    wrong: frozenset[str]
    given: frozenset[str]
    raw: Mapping[str, Any]
    wrong_places: frozenset[Place]

    def entries(self, key: str) -> list[tuple[int, str]]:
        """The entries of a list that are right, with their numbers in the file; the default's if it is not given."""
        if key not in self.wrong:
            return list(enumerate(getattr(self.table, key)))
        raw = self.raw.get(key)
        if not isinstance(raw, list) or (key,) in self.wrong_places:
            return []
        return [(number, entry) for number, entry in enumerate(raw) if (key, number) not in self.wrong_places]


def shaped(report: Report, model: type[T], raw: object, place: Place) -> Shaped[T] | None:
    """The table, with every mistake of shape noted; None if it is no table at all."""
    if not isinstance(raw, dict):
        report.mistake(place, f"must be a table, written {_title(place)}")
        return None
    wrong = set(_missing(report, model, raw, place))
    wrong_places: set[Place] = set()
    try:
        table = model.model_validate(raw)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            report.mistake((*place, *details["loc"]), _words(report, details, model))
            wrong.add(str(details["loc"][0]))
            wrong_places.add(details["loc"])
        table = model.model_validate({key: value for key, value in raw.items() if key not in wrong})
    return Shaped(table, frozenset(wrong), frozenset(raw) - wrong, raw, frozenset(wrong_places))


def each_shaped(
    report: Report, document: Mapping[str, Any], name: str, model: type[T], example: str
) -> Iterator[tuple[str, Shaped[T]]]:
    """The tables below `[name.…]` by their keys, as far as they can be read; `example` is how one is written."""
    tables = document.get(name, {})
    if not isinstance(tables, dict):
        report.mistake((name,), f"must be tables, each with a key of its own: {example}")
        return
    if not tables:
        report.mistake((name,), f"there is none; write at least {example}")
    for key, raw in tables.items():
        if not values.KEY.fullmatch(key):
            report.mistake((name, key), "is no key to name it by; use up to 63 letters, digits, dashes and underscores")
        elif (read := shaped(report, model, raw, (name, key))) is not None:
            yield key, read


def _missing(report: Report, model: type[T], raw: Mapping[str, object], place: Place) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if is_required(field) and name not in raw:
            report.mistake(place, f"{name} is missing; write {_example(name, field)}")
            yield name


def is_required(field: FieldInfo) -> bool:
    """Whether a key must be there."""
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get(shape.REQUIRED))


def _words(report: Report, details: ErrorDetails, model: type[T]) -> str:
    name, *inner = details["loc"]
    if details["type"] == "extra_forbidden":
        return unknown_key(report, str(name), model)
    if details["type"] == "value_error":
        return str(details.get("ctx", {}).get("error", details["msg"]))
    field = model.model_fields[str(name)]
    expected = _EXPECTED.get(details["type"])
    if expected is None:
        return f"{details['msg']}; write {_example(str(name), field)}"
    if details["type"] == "list_type":
        expected = "a list of texts" if get_origin(field.annotation) is list else expected
    return f"must be {expected}" if inner else f"must be {expected}, as in {_example(str(name), field)}"


def _example(name: str, field: FieldInfo) -> str:
    return f"{name} = {json.dumps((field.examples or [''])[0])}"


def unknown_key(report: Report, name: str, model: type[shape.Table]) -> str:
    """What to say about a key that no table of this kind has: what was meant, or where it belongs."""
    here = model.model_fields
    for table, other in _TABLES.items():
        if name in other.model_fields and not nearest(name, here):
            return f"unknown key here; it belongs to {_title_of(table, report.keys(table))}"
    return f"unknown key{did_you_mean(name, here)}"


def _title_of(table: str, keys: tuple[str, ...]) -> str:
    if table == "rules":
        return "[[rules]]"
    if table in {"forges", "registries"}:
        return f"[{table}.{keys[0] if len(keys) == 1 else 'KEY'}]"
    return f"[{table}]"


def _title(place: Place) -> str:
    names = [str(part) for part in place if not isinstance(part, int)]
    return f"[[{'.'.join(names)}]]" if place and place[0] == "rules" else f"[{'.'.join(names)}]"
