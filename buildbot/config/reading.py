"""From a file to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buildbot.config import conflicts, forges, rules, shape, tables
from buildbot.config.files import Files
from buildbot.config.locate import positions
from buildbot.config.mistakes import BadConfig, Mistake, Position, Report
from buildbot.config.model import Config, ForgeKind, RegistryKind
from buildbot.config.secrets import Secrets
from buildbot.config.shaping import unknown_key

LARGEST_FILE = 1024 * 1024
_WHERE = re.compile(r" \((?:at line (\d+), column (\d+)|at end of document)\)$")
_SYNTAX = (
    (re.compile("Cannot overwrite a value"), "a key is set here a second time; keep one of the two"),
    (re.compile("Cannot declare .* twice"), "this table is already there; put its keys together, or name it otherwise"),
    (re.compile("Invalid value"), 'a value cannot be read; texts stand in quotes, as in key = "value"'),
    (re.compile(r"Unescaped '\\'"), "a backslash stands alone; write \\\\, or put the text in single quotes"),
)


def load(path: Path, environ: Mapping[str, str], *, secrets: bool = True, files: Files | None = None) -> Config:
    """Read a configuration file. Raises BadConfig with every mistake in it, also when it cannot be read at all.

    `secrets` False neither fetches nor misses secrets: enough for whoever only maps pushes or reads the store (whose
    URL is then "", with a warning, where it is kept in a variable that is not set). `files` remembers what was read.
    """
    files = files or Files()
    text, base = _text(path, files), path.absolute().parent
    return read(text, environ, file=str(path), base=base, secrets=secrets, files=files)


def read(
    text: str,
    environ: Mapping[str, str],
    *,
    file: str = "config.toml",
    base: Path = Path(),
    secrets: bool = True,
    files: Files | None = None,
) -> Config:
    """The same from text; `base` is the folder that relative paths start from."""
    document = _parsed(text, file)
    report = Report(file, document, positions(text))
    _check_top(report, document)
    fetching = Secrets(environ, base, report, files or Files(), wanted=secrets)
    server, store = tables.server(report, document), tables.store(report, document, fetching)
    read_forges = forges.forges(report, document, fetching)
    registries = tables.registries(report, document, fetching)
    read_rules = rules.rules(report, document)
    conflicts.check(report, read_rules)
    if report.mistakes or server is None or store is None:
        raise BadConfig(report.mistakes)
    return Config(file, server, store, read_forges, registries, tuple(read_rules.values()), report.warnings)


def _text(path: Path, files: Files) -> str:
    try:
        content = files.read(path, LARGEST_FILE)
    except OSError as error:
        raise _unreadable(str(path), f"cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise _unreadable(str(path), "cannot be read: that is no file's name") from None
    if len(content) > LARGEST_FILE:
        raise _unreadable(str(path), "is larger than 1 MiB; that is no configuration")
    return _decoded(content, str(path))


def _decoded(content: bytes, file: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(file, "is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        position = (before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        raise _unreadable(file, "is not UTF-8 here; save it as UTF-8", position) from None


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unreadable(file, "nests lists or tables too deeply to be read") from None
    except ValueError as error:
        what, position = _syntax(str(error), text)
        raise _unreadable(file, what, position) from None


def _syntax(message: str, text: str) -> tuple[str, Position]:
    where = _WHERE.search(message)
    position = (0, 0)
    if where:
        position = (int(where[1]), int(where[2])) if where[1] else (text.count("\n") + 1, 0)
    message = _WHERE.sub("", message)
    plain = next((words for found, words in _SYNTAX if found.match(message)), None)
    return plain or f"is not TOML: {message}", position


def _unreadable(file: str, what: str, position: Position = (0, 0)) -> BadConfig:
    return BadConfig([Mistake(file, *position, "", what)])


def _check_top(report: Report, document: Mapping[str, Any]) -> None:
    for key in document:
        if key in shape.Document.model_fields:
            continue
        for table, kinds in (("forges", tuple(ForgeKind)), ("registries", tuple(RegistryKind))):
            if key in kinds:
                report.mistake((key,), f"unknown table; write [{table}.{key}]")
                break
        else:
            report.mistake((key,), unknown_key(report, key, shape.Document))
