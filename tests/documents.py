"""The project's documents, taken apart: code blocks, inline code, sections, tables and links, for the tests of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = tuple(sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")]))
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def named(file: Path) -> str:
    """The file as a person names it."""
    return str(file.relative_to(ROOT))


def blocks(file: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return [text for found, text in _BLOCK.findall(file.read_text()) if found == language]


def prose(file: Path) -> str:
    """The document without its code blocks."""
    return _BLOCK.sub("", file.read_text())


def inline_code(text: str) -> list[str]:
    """What stands in backticks."""
    return _INLINE.findall(text)


def links(file: Path) -> list[str]:
    """Where the links of a document lead."""
    return _LINK.findall(prose(file))


def anchors(file: Path) -> set[str]:
    """What a link may name after `#`: every heading, in lower case, spaces as dashes, without punctuation."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(prose(file))}


def section(file: Path, heading: str) -> str:
    """The text below a heading, up to the next one of any depth."""
    _, found, rest = prose(file).partition(f"# {heading}\n")
    assert found, f"{named(file)} has no section {heading}"
    return re.split(r"^#{1,6} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row in a text, without the heads."""
    lines = text.splitlines()
    for above, line in pairwise(lines):
        if line.startswith("|") and above.startswith("|") and not set(line) <= set("|-: "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
