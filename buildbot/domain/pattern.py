"""Patterns over ref names, paths and repository names: the one small language that rules are written in.

`*` stands for anything within a path segment, `**` for anything at all (`docs/**` is everything below docs, `**/x` is
also `x` itself), `?` for one character, `[abc]`, `[a-z]` and `[!abc]` for one of a set; none of `*`, `?` and sets takes
a slash. Everything else is literal and case counts. In a list the last pattern that matches decides and `!` makes it
a no; a list of nothing but `!` patterns means everything but those, since nobody writes one to match nothing.

Why not regular expressions: names come from whoever may push, and a backtracking matcher can be kept busy for years by
one long name. Here every position in the pattern is one bit and each character of the text is read once (the
bit-parallel NFA known as shift-and), so a match costs the text's length, whatever the text. The same automaton answers
whether two lists have a name in common, which is how the configuration finds rules that get in each other's way.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

NEGATION = "!"
SEARCH_LIMIT = 2000
NEVER_IN_A_NAME = frozenset(" ~^:?*[\\\x7f") | {chr(code) for code in range(32)}


_SOMETHING_INSIDE = "\N{HORIZONTAL ELLIPSIS}"


class Undecided(Exception):
    """Whether two lists have a name in common would take too long to find out."""


def matches(patterns: Sequence[str], text: str) -> bool:
    """Whether a list of patterns admits the text. An empty list admits nothing."""
    index = deciding(patterns, text)
    if index is None:
        return _admits_by_default(patterns)
    return not patterns[index].startswith(NEGATION)


def touches(patterns: Sequence[str], path: str, *, may_be_submodule: bool = False) -> bool:
    """Whether a changed path concerns the patterns. Of a submodule only its own path is told, not what changed in it:
    what is about anything inside is then concerned too."""
    if matches(patterns, path):
        return True
    is_named = any(pattern.startswith(f"{path}/") for pattern in patterns)
    return may_be_submodule and (is_named or matches(patterns, f"{path}/{_SOMETHING_INSIDE}"))


def deciding(patterns: Sequence[str], text: str) -> int | None:
    """The index of the pattern that decides about the text, the last that matches; None if none does."""
    for index in range(len(patterns) - 1, -1, -1):
        if _is_matched(patterns[index].removeprefix(NEGATION), text):
            return index
    return None


def check(pattern: str) -> str | None:
    """What is wrong with a pattern, in words, or None."""
    body = pattern.removeprefix(NEGATION)
    if not body:
        return "is empty"
    if "***" in body:
        return "has three stars in a row; * stays within a path segment, ** crosses"
    try:
        tuple(_tokens(body))
    except ValueError as error:
        return str(error)
    return None


def is_literal(pattern: str) -> bool:
    """Whether the pattern stands for exactly one text, itself."""
    return not pattern.startswith(NEGATION) and not set("*?[") & set(pattern)


@lru_cache(maxsize=4096)
def common(first: tuple[str, ...], second: tuple[str, ...]) -> str | None:
    """A shortest name that both lists admit, None if there is provably none. Raises Undecided when it takes too long.

    Only names that a ref or repository can have: no empty segment, none of the characters that git refuses.
    """
    both = _Both(first, second)
    start = both.start()
    paths, queue = {(start, "/"): ""}, deque([(start, "/")])
    while queue:
        states, previous = queue.popleft()
        name = paths[states, previous]
        if previous != "/" and both.admits(states):
            return name
        for character in both.alphabet:
            following = (both.step(states, character), "/" if character == "/" else "")
            if (character == "/" and previous == "/") or following in paths:
                continue
            paths[following] = name + character
            queue.append(following)
        if len(paths) > SEARCH_LIMIT:
            raise Undecided
    return None


def _admits_by_default(patterns: Sequence[str]) -> bool:
    return bool(patterns) and all(pattern.startswith(NEGATION) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class _Set:
    """One character of `[…]`, as ranges; `?` is the set that leaves nothing out."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def has(self, character: str) -> bool:
        return character != "/" and self.negated != any(low <= character <= high for low, high in self.ranges)


_ANY_ONE = _Set((), negated=True)
_STAR, _DEEP, _DEEP_FOLDER = "*", "**", "**/"


def _tokens(body: str) -> Iterator[str | _Set]:
    """The pattern's parts: literal characters, sets, and the three kinds of stars. Raises ValueError in words."""
    position = 0
    while position < len(body):
        if body.startswith(_DEEP_FOLDER, position) and (position == 0 or body[position - 1] == "/"):
            part = _DEEP_FOLDER
        elif body.startswith(_DEEP, position):
            part = _DEEP
        elif body[position] == "[":
            end = _set_end(body, position)
            yield _read_set(body[position + 1 : end])
            position = end + 1
            continue
        else:
            part = body[position]
        position += len(part)
        yield _ANY_ONE if part == "?" else part


def _set_end(body: str, start: int) -> int:
    end = body.find("]", start + 1)
    if end < 0:
        raise ValueError("has a [ without its ]")
    return end


def _read_set(inside: str) -> _Set:
    members = inside.removeprefix("!")
    if not members or "/" in members:
        raise ValueError(f"has [{inside}], which can match nothing")
    ranges, position = [], 0
    while position < len(members):
        low = high = members[position]
        if members[position + 1 : position + 2] == "-" and position + 2 < len(members):
            high = members[position + 2]
            position += 2
        if low > high:
            raise ValueError(f"has the range {low}-{high}, which runs backwards")
        ranges.append((low, high))
        position += 1
    return _Set(tuple(ranges), negated=inside.startswith("!"))


class _Automaton:
    """One pattern: bit i of a state set means that the first i tokens are done.

    A star stays on its bit while it takes characters and may be left at any time. `**/` is entered and left for free
    or takes characters until a slash; once it took one it is left only by a slash, so it never ends inside a segment.
    """

    def __init__(self, body: str) -> None:
        tokens = tuple(_tokens(body))
        self._done = 1 << len(tokens)
        self._literals: dict[str, int] = {}
        self._sets: list[tuple[int, _Set]] = []
        self._stays_in_segment = self._stays = self._folders = 0
        for index, token in enumerate(tokens):
            self._add(1 << index, token)
        self._skippable = self._stays_in_segment | self._stays
        self._stars = self._skippable & ~self._folders
        self.start = self._skip(1)

    def _add(self, bit: int, token: str | _Set) -> None:
        if isinstance(token, _Set):
            self._sets.append((bit, token))
        elif token == _STAR:
            self._stays_in_segment |= bit
        elif token == _DEEP:
            self._stays |= bit
        elif token == _DEEP_FOLDER:
            self._stays |= bit
            self._folders |= bit
        else:
            self._literals[token] = self._literals.get(token, 0) | bit

    def matches(self, text: str) -> bool:
        states = self.start
        for character in text:
            states = self.step(states, character)
            if not states:
                return False
        return self.accepts(states)

    def accepts(self, states: int) -> bool:
        return bool(states & self._done)

    def step(self, states: int, character: str) -> int:
        stayed = states & (self._stays if character == "/" else self._skippable)
        moved = (states & self._takers(character)) << 1
        return self._skip(moved | (stayed & self._stars)) | stayed

    def _takers(self, character: str) -> int:
        takers = self._literals.get(character, 0)
        if character == "/":
            return takers | self._folders
        for bit, members in self._sets:
            if members.has(character):
                takers |= bit
        return takers

    def _skip(self, states: int) -> int:
        while skipped := ((states & self._skippable) << 1) & ~states:
            states |= skipped
        return states

    def borders(self) -> set[int]:
        """Where behaviour changes: every character between two borders is taken like the one on the lower border."""
        borders = {ord(literal) + more for literal in self._literals for more in (0, 1)}
        for low, high in (bounds for _, members in self._sets for bounds in members.ranges):
            borders |= {ord(low), ord(high) + 1}
        return borders


def _is_matched(body: str, text: str) -> bool:
    # Most patterns are a name and nothing else or stand for everything, and a configuration may have thousands.
    if _is_literal(body):
        return body == text
    return body == _DEEP or _automaton(body).matches(text)


_is_literal = cache(is_literal)


@cache
def _automaton(body: str) -> _Automaton:
    return _Automaton(body)


class _Both:
    """Two lists of patterns read side by side, one state set for each pattern."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._lists = (first, second)
        self._automata = [_automaton(pattern.removeprefix(NEGATION)) for pattern in (*first, *second)]
        borders = {ord("/"), *(border for automaton in self._automata for border in automaton.borders())}
        telling = {_in_a_name(border) for border in borders | {0, ord("x")}}
        self.alphabet = sorted(filter(None, telling), key=lambda character: (character != "x", character))

    def start(self) -> tuple[int, ...]:
        return tuple(automaton.start for automaton in self._automata)

    def step(self, states: tuple[int, ...], character: str) -> tuple[int, ...]:
        return tuple(automaton.step(state, character) for automaton, state in zip(self._automata, states, strict=True))

    def admits(self, states: tuple[int, ...]) -> bool:
        accepted = [automaton.accepts(state) for automaton, state in zip(self._automata, states, strict=True)]
        first, second = self._lists
        return _admitted(first, accepted[: len(first)]) and _admitted(second, accepted[len(first) :])


def _in_a_name(border: int) -> str | None:
    codes = range(border, sys.maxunicode + 1)
    return next((chr(code) for code in codes if chr(code) not in NEVER_IN_A_NAME), None)


def _admitted(patterns: Sequence[str], accepted: Sequence[bool]) -> bool:
    for pattern, matched in zip(reversed(patterns), reversed(accepted), strict=True):
        if matched:
            return not pattern.startswith(NEGATION)
    return _admits_by_default(patterns)
