"""What a `.gitmodules` declares, read as git reads it (config.c, submodule-config.c), not as an INI file.

Python's configparser would take most of these files and read some of them wrongly: git has quotes and escapes in the
middle of a value, comments behind one, lines that go on after a backslash, and names of sections with anything in them.
What git refuses is refused here too, with its line, since a submodule that is overlooked would be missing from an image
without anybody noticing.

A submodule whose `update` is `none` git leaves out of a clone with its submodules; such a one is told as left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", "\\": "\\", '"': '"'}
_BYTE_ORDER_MARK = "\ufeff"
_SECTION = "submodule."
_SPACE = " \t\n\r"  # what git takes for it
_NO_STEPS = frozenset({"", ".", "..", ".git"})


class BadGitmodules(Exception):
    """The file cannot be read; `str()` says what is wrong with it, and where."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A submodule as it is declared: its path from the repository's root, and its URL as written, "" where none is.

    `is_left_out`: the repository says itself that it is not to be checked out.
    """

    path: str
    url: str
    is_left_out: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One `key = value`. `section` and `key` are in lower case, but for the quoted part of a section's name."""

    section: str
    key: str
    value: str | None
    line: int


def declared(content: bytes) -> tuple[Declared, ...]:
    """The submodules that a `.gitmodules` declares, each path once: what comes later counts. Raises BadGitmodules."""
    by_name: dict[str, dict[str, str]] = {}
    for setting in settings(content):
        if setting.section.startswith(_SECTION):
            by_name.setdefault(setting.section, {})[setting.key] = _text(setting)
    found = {_path(told["path"]): told for told in by_name.values() if "path" in told}
    return tuple(Declared(path, told.get("url", ""), told.get("update") == "none") for path, told in found.items())


def settings(content: bytes) -> Iterator[Setting]:
    """Every setting of a file in git's configuration syntax, in its order. Raises BadGitmodules."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadGitmodules(".gitmodules is not UTF-8") from None
    yield from _Reading(text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n")).settings()


def _text(setting: Setting) -> str:
    if setting.key in {"path", "url"} and setting.value is None:
        raise BadGitmodules(f".gitmodules, line {setting.line}: {setting.key} has no value")
    return setting.value or ""


def _path(written: str) -> str:
    path = written.removesuffix("/")
    parts = path.lower().split("/")
    if not path.isprintable() or not _NO_STEPS.isdisjoint(parts):
        raise BadGitmodules(f".gitmodules has {written!a} for a path, which is none inside the repository")
    return path


class _Reading:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._section = ""

    def settings(self) -> Iterator[Setting]:
        while self._at < len(self._text):
            char = self._next()
            if char in "#;":
                self._skip_line()
            elif char == "[":
                self._section = self._read_section()
            elif char.isascii() and char.isalpha():
                yield self._read_setting(char.lower())
            elif char not in _SPACE:
                raise self._mistake(f"{char!a} begins nothing")

    def _next(self) -> str:
        # The end of the file ends a line too.
        char = self._text[self._at] if self._at < len(self._text) else "\n"
        self._at += 1
        self._line += char == "\n"
        return char

    def _skip_line(self) -> None:
        while self._next() != "\n":
            pass

    def _read_section(self) -> str:
        name = ""
        while (char := self._next()) != "]":
            if char in " \t":
                return f"{name}.{self._read_subsection()}"
            if not (char.isascii() and (char.isalnum() or char in "-.")):
                raise self._mistake("the name of a section is not closed, or has to be in quotes")
            name += char.lower()
        return name

    def _read_subsection(self) -> str:
        while (char := self._next()) in " \t":
            pass
        if char != '"':
            raise self._mistake("the second part of a section's name is not in quotes")
        name = ""
        while (char := self._next()) != '"':
            char = self._next() if char == "\\" else char
            if char == "\n":
                raise self._mistake("the name of a section is not closed")
            name += char
        if self._next() != "]":
            raise self._mistake("something stands behind the name of a section")
        return name

    def _read_setting(self, key: str) -> Setting:
        line = self._line
        while (char := self._next()).isascii() and (char.isalnum() or char == "-"):
            key += char.lower()
        while char in " \t":
            char = self._next()
        if char not in "=\n":
            raise self._mistake(f"{key} lacks its =")
        return Setting(self._section, key, self._read_value() if char == "=" else None, line)

    def _read_value(self) -> str:
        value, kept, is_quoted = "", 0, False
        while (char := self._next()) != "\n" or is_quoted:
            if char == "\n":
                raise self._mistake("a quote is not closed")
            if not is_quoted and char in "#;":
                self._skip_line()
                break
            if char == '"':
                is_quoted = not is_quoted
            elif char == "\\":
                value += self._read_escape()
            else:
                value += char if value or is_quoted or char not in _SPACE else ""
                if char in _SPACE and not is_quoted:
                    continue
            kept = len(value)
        return value[:kept]

    def _read_escape(self) -> str:
        char = self._next()
        if char == "\n":
            return ""
        if char not in _ESCAPES:
            raise self._mistake(f"\\{char} is no escape" if char.isprintable() else "a backslash escapes nothing")
        return _ESCAPES[char]

    def _mistake(self, what: str) -> BadGitmodules:
        at_line = self._line - (self._at > 0 and self._text[self._at - 1 : self._at] in {"\n", ""})
        return BadGitmodules(f".gitmodules, line {at_line}: {what}")
