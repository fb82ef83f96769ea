"""Mistakes in the configuration, each with its place and a sentence that says what to do.

Checks never stop at the first one. They write into one `Report`, which knows where each key stands in the file, and
the reader raises everything at once: nobody should learn of five mistakes in five runs. A value is repeated in a
sentence only where it cannot be a secret.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Place = tuple[str | int, ...]
"""The way from the top of the document to a value, as in ("rules", 0, "branches", 1)."""

Position = tuple[int, int]
"""Line and column, both from 1; 0 where unknown."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_SHOWN_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. Line and column count from 1 and are 0 where unknown; `key` is "" for the file as a whole."""

    file: str
    line: int
    column: int
    key: str
    what: str

    def __str__(self) -> str:
        place = f":{self.line}" if self.line else ""
        if self.line and self.column and not self.key:
            place += f":{self.column}"
        return f"{self.file}{place}: {self.key}: {self.what}" if self.key else f"{self.file}{place}: {self.what}"


class BadConfig(Exception):
    """The configuration cannot be used; all its mistakes, in the file's order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class Report:
    """Everything found in one file so far."""

    def __init__(self, file: str, document: Mapping[str, Any], positions: Mapping[Place, Position]) -> None:
        self._file = file
        self._document = document
        self._positions = positions
        self._mistakes: list[Mistake] = []
        self._warnings: list[Mistake] = []

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        return _in_order(self._mistakes)

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        return _in_order(self._warnings)

    def mistake(self, place: Place, what: str) -> None:
        """Note what is wrong at a place; the line is that of the nearest table that is there."""
        self._mistakes.append(self._at(place, what))

    def warn(self, place: Place, what: str) -> None:
        """Note what works but should not stay so."""
        self._warnings.append(self._at(place, what))

    def keys(self, table: str) -> tuple[str, ...]:
        """The keys below a top-level table, right or wrong: what a reference may name."""
        tables = self._document.get(table)
        return tuple(tables) if isinstance(tables, dict) else ()

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest table around it; 0 if unknown."""
        return self._position(place)[0]

    def _at(self, place: Place, what: str) -> Mistake:
        line, column = self._position(place)
        return Mistake(self._file, line, column, self._label(place), what)

    def _position(self, place: Place) -> Position:
        around = (place[:length] for length in range(len(place), 0, -1))
        return next((self._positions[outer] for outer in around if outer in self._positions), (0, 0))

    def _label(self, place: Place) -> str:
        label = ""
        for depth, part in enumerate(place):
            if isinstance(part, int):
                name = self._rule_name(part) if depth == 1 and place[0] == "rules" else None
                label += f" {shown(name)}" if name else f"[{part}]"
            else:
                label += ("." if label else "") + (part if _BARE_KEY.fullmatch(part) else shown(part))
        return label

    def _rule_name(self, number: int) -> str | None:
        rules = self._document["rules"]
        rule = rules[number] if isinstance(rules, list) else None
        name = rule.get("name") if isinstance(rule, dict) else None
        return name if isinstance(name, str) else None


def _in_order(mistakes: list[Mistake]) -> tuple[Mistake, ...]:
    return tuple(sorted(dict.fromkeys(mistakes), key=lambda mistake: (mistake.line, mistake.column)))


def shown(text: str) -> str:
    """The text in quotes, on one line and not too long, whatever characters it holds."""
    shortened = text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"
    quoted = json.dumps(shortened, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in quoted)


def nearest(word: str, known: Collection[str]) -> str | None:
    """What of the known words was probably meant."""
    by_key = {_key(name): name for name in sorted(known)}
    found = difflib.get_close_matches(_key(word[:_SHOWN_LENGTH]), by_key, n=1, cutoff=0.65)
    return by_key[found[0]] if found else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of a sentence about an unknown word: a suggestion, or else all there is to choose from."""
    if meant := nearest(word, known):
        return f"; did you mean {meant}?"
    return f"; there is {listed(known)}" if known else ""


def listed(words: Collection[str]) -> str:
    """The words as a person lists them: "a, b and c"."""
    *others, last = sorted(words)
    return f"{', '.join(others)} and {last}" if others else last


def _key(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")
