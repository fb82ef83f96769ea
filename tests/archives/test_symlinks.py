"""What goes through a symlink, and what only looks like it. More of it is in `test_assembly`."""

from __future__ import annotations

import pytest

from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import HostileArchive, TooLarge
from buildbot.archives.symlinks import Symlinks


def entry(kind: Kind, name: bytes, link_name: bytes = b"") -> Entry:
    return Entry(name, kind, 0o644, link_name=link_name)


def test_a_name_that_only_begins_like_a_symlinks_is_no_harm() -> None:
    symlinks = Symlinks()
    symlinks.admit(entry(Kind.SYMLINK, b"a/link", b"/etc"))
    for name in (b"a/linked", b"a/link-1/b", b"a", b"link/a", b"b/a/link/c"):
        symlinks.admit(entry(Kind.FILE, name))


def test_a_symlink_after_what_is_below_it_cannot_be_made_and_is_no_harm() -> None:
    symlinks = Symlinks()
    symlinks.admit(entry(Kind.FILE, b"a/b"))
    symlinks.admit(entry(Kind.SYMLINK, b"a", b"/etc"))
    with pytest.raises(HostileArchive, match="'a/c' goes through the symlink 'a'"):
        symlinks.admit(entry(Kind.FILE, b"a/c"))


def test_a_hard_link_to_a_file_is_no_symlink() -> None:
    symlinks = Symlinks()
    symlinks.admit(entry(Kind.SYMLINK, b"s", b"/etc"))
    symlinks.admit(entry(Kind.HARD_LINK, b"h", b"file"))
    symlinks.admit(entry(Kind.FILE, b"h"))


def test_symlinks_have_a_budget_and_the_same_one_again_costs_nothing() -> None:
    symlinks = Symlinks(largest_bytes=310)
    for name in (b"a", b"b", b"c", b"a", b"b", b"c"):
        symlinks.admit(entry(Kind.SYMLINK, name, b"x"))
    with pytest.raises(TooLarge, match="310 bytes of symlinks' names"):
        symlinks.admit(entry(Kind.SYMLINK, b"d", b"x"))
