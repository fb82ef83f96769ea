"""One entry of a source archive: what is left of a tar header once every dialect of it has been read.

Names stay bytes. A path in a repository has no encoding, and a name that went through `str` comes back changed as soon
as somebody's locale has a say. Owners are not here: see `tar_writing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of entries that a source tree can have."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARD_LINK = "hard link"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory or link: path, permission bits, bytes of content, seconds since 1970, and where a link points.

    `mtime` is exact rather than a float: pax counts in nanoseconds, which a float cannot hold.
    """

    name: bytes
    kind: Kind
    mode: int
    size: int = 0
    mtime: Decimal = Decimal(0)
    link_name: bytes = b""
