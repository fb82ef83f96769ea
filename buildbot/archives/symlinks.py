"""Where symlinks are, so that nothing is unpacked through one.

`a -> /etc` followed by `a/passwd` writes to /etc with many a program, and so does putting a file or a directory at `a`
itself with some; a hard link to a symlink is one more symlink. Symlinks themselves may point anywhere: a repository may
have one to `/usr/share`, and it does no harm until something goes through it.

Only what came earlier counts: a symlink after the files below its path cannot be made any more. The paths of symlinks
are the one thing that has to be kept while an archive streams; they have a budget.
"""

from __future__ import annotations

from itertools import accumulate

from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import HostileArchive, shown
from buildbot.archives.limits import LARGEST_SYMLINK_MEMORY_BYTES, Allowance

OVERHEAD_BYTES = 100  # of a bytes object and its place in a set


class Symlinks:
    """The symlinks seen so far in everything that goes into one archive."""

    __slots__ = ("_memory", "_paths")

    def __init__(self, largest_bytes: int = LARGEST_SYMLINK_MEMORY_BYTES) -> None:
        self._paths: set[bytes] = set()
        self._memory = Allowance(largest_bytes, "bytes of symlinks' names")

    def admit(self, entry: Entry) -> None:
        """Raise HostileArchive if unpacking `entry` would go through a symlink; remember it if it is one itself."""
        is_symlink = entry.kind is Kind.SYMLINK
        if self._paths:
            self._refuse_below(entry.name, entry)
            if entry.name in self._paths and not is_symlink:
                raise HostileArchive(f"{shown(entry.name)} comes as a symlink first and as a {entry.kind} later")
        if entry.kind is Kind.HARD_LINK:
            self._refuse_below(entry.link_name, entry)
            is_symlink = entry.link_name in self._paths
        if is_symlink and entry.name not in self._paths:
            self._memory.take(len(entry.name) + OVERHEAD_BYTES)
            self._paths.add(entry.name)

    def _refuse_below(self, name: bytes, entry: Entry) -> None:
        above = name.split(b"/")[:-1]
        for ancestor in accumulate(above, lambda path, segment: path + b"/" + segment):
            if ancestor in self._paths:
                raise HostileArchive(f"{shown(entry.name)} goes through the symlink {shown(ancestor)}")
