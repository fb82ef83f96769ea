"""Reading fields out of decoded JSON that somebody else wrote, with errors that name the field by its dotted path.

A forge's payload has a hundred fields of which the bot wants fifteen, some of them optional in old versions; so they
are read one by one where they are used, and "repository.full_name is missing" points at the payload as the forge's own
page of deliveries shows it. Why not a pydantic model: its errors speak of our model's types, and what is decided here
(which odd text may pass, what null means) would be spread over validators.

JSON can carry text that no database and no UTF-8 encoder takes: lone surrogates (`"\\ud800"`) and NUL. Free text (a
commit message, a person's name) gets U+FFFD in their place; a name that something is looked up by is refused with
them, since a replaced name would be another name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from buildbot.ports import BadPayload

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NEVER_IN_A_NAME = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_TYPES = {str: "text", int: "an integer", bool: "true or false", dict: "an object", list: "a list"}
_Kind = TypeVar("_Kind", str, int, bool, dict[str, object], list[object])


def storable(text: str) -> str:
    """The text with U+FFFD for every NUL and lone surrogate, so that any database and encoder takes it."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def is_clean(text: str) -> bool:
    """Whether the text is free of control characters and lone surrogates."""
    return _NEVER_IN_A_NAME.search(text) is None


def shown(text: str, limit: int = 80) -> str:
    """Hostile text as it may stand in a message: quoted, ASCII, short."""
    return ascii(text if len(text) <= limit else text[:limit] + "…")


class Fields:
    """One JSON object and its place in the whole. Every method raises BadPayload naming the field."""

    __slots__ = ("_data", "_path")

    def __init__(self, data: Mapping[str, object], path: str = "") -> None:
        self._data = data
        self._path = path

    def mistake(self, key: str, problem: str) -> BadPayload:
        """The error that says what is wrong with a field, for the caller to raise."""
        return BadPayload(f"{self._path}{key} {problem}")

    def number(self, key: str) -> int:
        """A required integer (true and false are none, nor is 1.0)."""
        return self._required(key, self.maybe_number(key))

    def flag(self, key: str) -> bool:
        """A required true or false."""
        return self._required(key, self.maybe_flag(key))

    def name(self, key: str) -> str:
        """A required text that is not empty and that something is looked up by: no control characters."""
        return self._required(key, self.maybe_name(key))

    def within(self, key: str) -> Fields:
        """A required object."""
        return self._required(key, self.maybe_within(key))

    def maybe_number(self, key: str) -> int | None:
        """An integer; None where it is absent or null."""
        return self._maybe(key, int)

    def maybe_flag(self, key: str) -> bool | None:
        """True or false; None where it is absent or null."""
        return self._maybe(key, bool)

    def maybe_name(self, key: str) -> str | None:
        """A text as `name` takes it; None where it is absent or null."""
        found = self._maybe(key, str)
        if found is None:
            return None
        if not found:
            raise self.mistake(key, "is empty")
        if not is_clean(found):
            raise self.mistake(key, "has control characters or half a character in it")
        return found

    def maybe_text(self, key: str) -> str | None:
        """Free text made storable; None where it is absent or null."""
        found = self._maybe(key, str)
        return None if found is None else storable(found)

    def maybe_raw(self, key: str) -> str | None:
        """Text exactly as sent, whatever is in it; None where it is absent or null."""
        return self._maybe(key, str)

    def maybe_within(self, key: str) -> Fields | None:
        """An object; None where it is absent or null."""
        found = self._maybe(key, dict)
        return None if found is None else Fields(found, f"{self._path}{key}.")

    def maybe_each(self, key: str) -> list[Fields] | None:
        """A list of objects; None where it is absent or null."""
        found = self._maybe(key, list)
        if found is None:
            return None
        return [self._member(key, index, member) for index, member in enumerate(found)]

    def maybe_raws(self, key: str) -> list[str] | None:
        """A list of texts exactly as sent; None where it is absent or null."""
        found = self._maybe(key, list)
        if found is None:
            return None
        texts = [member for member in found if isinstance(member, str)]
        if len(texts) != len(found):
            raise self.mistake(key, "is not a list of texts")
        return texts

    def _member(self, key: str, index: int, member: object) -> Fields:
        if not isinstance(member, dict):
            raise self.mistake(f"{key}.{index}", f"is not {_TYPES[dict]}")
        return Fields(member, f"{self._path}{key}.{index}.")

    def _required(self, key: str, found: _Found | None) -> _Found:
        if found is None:
            raise self.mistake(key, "is null" if key in self._data else "is missing")
        return found

    def _maybe(self, key: str, kind: type[_Kind]) -> _Kind | None:
        found = self._data.get(key)
        if found is None:
            return None
        if isinstance(found, kind) and type(found) is kind:  # True is an int, but not to JSON
            return found
        raise self.mistake(key, f"is not {_TYPES[kind]}")


_Found = TypeVar("_Found")
