"""Which directories of a source are empty."""

from __future__ import annotations

import pytest

from buildbot.archives.empty import MOST_KEPT, EmptyDirectories
from buildbot.archives.entry import Entry, Kind


def empty(*names: str) -> list[str]:
    """Those among entries, of which the ones that end with a slash are directories."""
    seen = EmptyDirectories()
    for name in names:
        kind = Kind.DIRECTORY if name.endswith("/") else Kind.FILE
        seen.see(Entry(name.rstrip("/").encode(), kind, 0o755))
    return [path.decode() for path in seen.end()]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((), []),
        (("a/",), ["a"]),
        (("a/", "a/b"), []),
        (("a/", "a/b/", "a/b/c", "d/"), ["d"]),
        (("a/", "a/b/", "c"), ["a/b"]),
        (("a/", "ab"), ["a"]),
        (("a/", "b/", "c/", "c/d"), ["a", "b"]),
        (("a", "b"), []),
    ],
)
def test_a_directory_is_empty_where_nothing_of_it_follows(names: tuple[str, ...], found: list[str]) -> None:
    assert empty(*names) == found


def test_so_many_are_kept_and_no_more() -> None:
    assert len(empty(*[f"{number}/" for number in range(1000)])) == MOST_KEPT
