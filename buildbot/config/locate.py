"""Where each key and each list entry of a TOML document stands. The standard parser does not tell.

The text has been parsed before, so this reads only what gives values their place: headers, keys, commas, brackets.
It runs over tokens with a stack of its own and does not recurse, whatever the text nests.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildbot.config.mistakes import Place, Position

_TOKEN = re.compile(
    r"""
    (?P<blank> [ \t\r]+ | \#[^\n]* )
  | (?P<text> \"{3} (?: \\[\s\S] | (?!\"{3})[^\\] )* \"{3,5} | '{3} (?: (?!'{3})[\s\S] )* '{3,5}
            | " (?: \\. | [^"\\\n] )* " | '[^'\n]*' )
  | (?P<mark> [\[\]{}=,.\n] )
  | (?P<bare> [^\s\[\]{}=,."'\#]+ )
  | (?P<other> [\s\S] )
    """,
    re.VERBOSE,
)


def positions(text: str) -> Mapping[Place, Position]:
    """The line and column of every table, key and list entry of a valid TOML text."""
    text = text.replace("\r\n", "\n")
    reader = _Reader()
    for piece in _TOKEN.finditer(text):
        if piece.lastgroup != "blank":
            reader.take(piece[0], piece.start(), is_double=text.startswith("[[", piece.start()))
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    return {place: _position(lines, offset) for place, offset in reader.offsets.items()}


def _position(lines: list[int], offset: int) -> Position:
    line = bisect_right(lines, offset)
    return line, offset - lines[line - 1] + 1


@dataclass(slots=True)
class _Open:
    """A table, inline table or list that is being read. `entry` is the entry's number in a list, -1 in tables."""

    place: Place
    entry: int = -1
    is_inline: bool = True
    in_value: bool = False
    key: list[str] = field(default_factory=list)
    key_offset: int = 0


class _Reader:
    def __init__(self) -> None:
        self.offsets: dict[Place, int] = {}
        self._last_entry: dict[Place, int] = {}
        self._open = [_Open((), is_inline=False)]
        self._header: _Open | None = None

    def take(self, piece: str, offset: int, *, is_double: bool) -> None:
        if self._header is not None:
            self._take_header(piece)
        elif self._open[-1].entry >= 0:
            self._take_in_list(self._open[-1], piece, offset)
        elif self._open[-1].in_value:
            self._take_in_value(self._open[-1], piece)
        elif piece == "[" and not self._open[-1].key:
            self._header = _Open((), entry=1 if is_double else 0, key_offset=offset)
        else:
            self._take_in_key(self._open[-1], piece, offset)

    def _take_header(self, piece: str) -> None:
        header = self._header
        if header is None:
            return
        if piece == "\n":
            self._open_table(header.key, header.key_offset, is_list=header.entry == 1)
            self._header = None
        elif piece not in "[].":
            header.key.append(_name(piece))

    def _open_table(self, keys: list[str], offset: int, *, is_list: bool) -> None:
        place: Place = ()
        for depth, key in enumerate(keys, start=1):
            place = (*place, key)
            self.offsets.setdefault(place, offset)
            if is_list and depth == len(keys):
                self._last_entry[place] = self._last_entry.get(place, -1) + 1
            if place in self._last_entry:
                place = (*place, self._last_entry[place])
                self.offsets.setdefault(place, offset)
        self._open = [_Open(place, is_inline=False)]

    def _take_in_key(self, table: _Open, piece: str, offset: int) -> None:
        if piece == "=":
            place = table.place
            for key in table.key:
                place = (*place, key)
                self.offsets.setdefault(place, table.key_offset)
            table.in_value = True
        elif piece == "}":
            self._open.pop()
        elif piece in {"\n", ","}:
            table.key = []
        elif piece != ".":
            table.key_offset = table.key_offset if table.key else offset
            table.key.append(_name(piece))

    def _take_in_value(self, table: _Open, piece: str) -> None:
        if piece in {"[", "{"}:
            self._open.append(_Open((*table.place, *table.key), entry=0 if piece == "[" else -1))
        elif piece == "}":
            self._open.pop()
        elif piece == ("," if table.is_inline else "\n"):
            table.in_value, table.key = False, []

    def _take_in_list(self, entries: _Open, piece: str, offset: int) -> None:
        if piece == "]":
            self._open.pop()
        elif piece == ",":
            entries.entry += 1
        elif piece != "\n":
            place = (*entries.place, entries.entry)
            self.offsets.setdefault(place, offset)
            if piece in {"[", "{"}:
                self._open.append(_Open(place, entry=0 if piece == "[" else -1))


def _name(piece: str) -> str:
    return str(tomllib.loads(f"key = {piece}")["key"]) if piece[0] in "\"'" else piece
