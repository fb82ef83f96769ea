"""docs/performance.md: each benchmark's tables stand between a pair of markers of its own, the rest is written by hand.

So one benchmark can be measured anew without touching what the others found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import SQLITE
from tests.benchmarks.table import Table

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "performance.md"


def write(tables: Mapping[str, Sequence[Table]], machine: str, scale: Scale, document: Path = DOCUMENT) -> None:
    """Put tables, and what they were measured on, where they belong. Raises ValueError for a missing marker."""
    text = document.read_text()
    for name, found in tables.items():
        mark = name if scale.store == SQLITE else f"{name} {scale.store}"
        text = replaced(text, mark, "\n".join([machine, "", *(table.markdown() for table in found)]))
    document.write_text(text)


def replaced(text: str, mark: str, content: str) -> str:
    """The text with other content between the markers. Raises ValueError when they are not there."""
    begin, end = f"<!-- bench: {mark} -->", f"<!-- end: {mark} -->"
    between = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not between.search(text):
        raise ValueError(f"there is no place for {mark}: write {begin} and {end} on lines of their own")
    return between.sub(lambda found: f"{found[1]}\n{content}\n{found[2]}", text)
