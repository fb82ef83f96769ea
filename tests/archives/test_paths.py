"""Paths in archives, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.archives.errors import ArchiveError, HostileArchive, NotAnArchive, TooLarge
from buildbot.archives.paths import check_target, segments


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a", (b"a",)),
        (b"a/b/", (b"a", b"b")),
        (b"./a//b/./c", (b"a", b"b", b"c")),
        (b".", ()),
        (b"./", ()),
        (b"...", (b"...",)),
        (b"a/..b", (b"a", b"..b")),
        (b"a\\..\\b", (b"a\\..\\b",)),
        (b"\xff\xfe", (b"\xff\xfe",)),
        (b"x/" * 256, (b"x",) * 256),
    ],
)
def test_a_path_is_its_segments(name: bytes, expected: tuple[bytes, ...]) -> None:
    assert segments(name) == expected


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (b"/", HostileArchive),
        (b"//a", HostileArchive),
        (b"..", HostileArchive),
        (b"a/..", HostileArchive),
        (b"a/../a", HostileArchive),
        (b"a\0b", HostileArchive),
        (b"", NotAnArchive),
        (b"x/" * 257, TooLarge),
        (b"x" * 4097, TooLarge),
    ],
)
def test_a_path_that_must_not_be_is_refused(name: bytes, error: type[ArchiveError]) -> None:
    with pytest.raises(error):
        segments(name)


@given(st.lists(st.sampled_from([b"a", b"b", b".", b"", b"..", b"..."]), max_size=6).map(b"/".join))
def test_taking_apart_what_was_taken_apart_changes_nothing(name: bytes) -> None:
    try:
        path = segments(name)
    except ArchiveError:
        return
    assert not path or segments(b"/".join(path)) == path


def test_a_symlink_may_point_anywhere_but_not_nowhere() -> None:
    check_target(b"/etc/../etc/passwd", b"a")
    for target, error in ((b"", NotAnArchive), (b"a\0", HostileArchive), (b"a" * 4097, TooLarge)):
        with pytest.raises(error):
            check_target(target, b"a")
