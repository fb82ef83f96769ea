"""Where entries go: a top directory found, said, or contradicted."""

from __future__ import annotations

import pytest

from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import NotAnArchive, WrongTopDirectory
from buildbot.archives.rerooting import SourceRoot


def entry(name: str) -> Entry:
    kind = Kind.DIRECTORY if name.endswith("/") else Kind.FILE
    return Entry(name.encode(), kind, 0o644)


def moved(root: SourceRoot, *names: str) -> list[str]:
    found = (root.moved(entry(name)) for name in names)
    return [one.name.decode() for one in found if one]


@pytest.mark.parametrize(
    ("has_top", "names", "expected"),
    [
        (None, ["r-1/", "r-1/a", "r-1/d/", "r-1/d/b"], ["a", "d", "d/b"]),
        (None, ["r-1/a", "r-1/d/b"], ["a", "d/b"]),
        (None, ["a", "d/", "d/b"], ["a", "d", "d/b"]),
        (None, ["./", "./d/", "./d/b"], ["d", "d/b"]),
        (True, ["r-1/", "r-1/a"], ["a"]),
        (True, ["./", "./r-1/", "./r-1//a"], ["a"]),
        (True, ["r-1/r-1/", "r-1/r-1/r-1"], ["r-1", "r-1/r-1"]),
        (False, ["d/", "d/b", "e/c"], ["d", "d/b", "e/c"]),
    ],
)
def test_a_top_directory_is_taken_off(has_top: bool | None, names: list[str], expected: list[str]) -> None:
    assert moved(SourceRoot(has_top_directory=has_top), *names) == expected


@pytest.mark.parametrize("has_top", [None, True])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["docs/", "docs/a", "Dockerfile"], "no top directory, since 'Dockerfile' is at its root"),
        (["docs/", "docs/a", "src/"], "both 'docs' and 'src'"),
        (["docs/a", "src/b"], "both 'docs' and 'src'"),
        (["r/", "r"], "no top directory, since 'r'"),
    ],
)
def test_what_contradicts_a_top_directory_is_refused(has_top: bool | None, names: list[str], words: str) -> None:
    with pytest.raises(WrongTopDirectory, match=words):
        moved(SourceRoot(has_top_directory=has_top), *names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["docs/", "docs/a", "b"], ["docs", "docs/a", "b"]),
        (["docs/a", "docs/b"], ["docs/a", "docs/b"]),
        (["api/", "api/docs/", "api/docs/a"], ["docs", "docs/a"]),
        (["a", "docs/b"], ["a", "docs/b"]),
    ],
)
def test_what_is_known_to_be_at_the_root_is_no_top_directory(names: list[str], expected: list[str]) -> None:
    assert moved(SourceRoot(own_names=frozenset({b"docs", b"b"})), *names) == expected


def test_a_file_at_the_root_is_no_top_directory() -> None:
    with pytest.raises(WrongTopDirectory):
        moved(SourceRoot(has_top_directory=True), "a")


def test_the_root_itself_is_an_entry_only_below_another_root() -> None:
    assert moved(SourceRoot(), "r/") == []
    assert moved(SourceRoot("vendor/lib"), "r/", "r/a") == ["vendor/lib", "vendor/lib/a"]
    assert SourceRoot("vendor//lib/").path == b"vendor/lib"


def test_a_file_cannot_be_the_root() -> None:
    with pytest.raises(NotAnArchive, match="a file without a name"):
        SourceRoot("vendor").moved(Entry(b".", Kind.FILE, 0o644))


def test_a_symlinks_target_is_left_alone_and_a_hard_links_moves() -> None:
    root = SourceRoot("v", has_top_directory=True)
    links = [Entry(b"r/a", kind, 0o644, link_name=b"r/b") for kind in (Kind.SYMLINK, Kind.HARD_LINK)]
    assert [one.link_name for one in map(root.moved, links) if one] == [b"r/b", b"v/b"]


def test_a_path_that_is_not_utf_8_is_the_bytes_it_was() -> None:
    assert SourceRoot("\udcff/ü").path == b"\xff/\xc3\xbc"
