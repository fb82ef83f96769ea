"""Pax records: what a tar header has no room for (POSIX.1-2001, pax, "Extended header file format").

Only what a source tree is made of is kept. Left out, and why that changes nothing: owners (see `tar_writing`), access
times, extended attributes and ACLs (`tar pzxf`, as the builder runs it, applies none without an option that asks for
them), and git's `comment`, the commit's id, since the bot knows which commit it asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildbot.archives.errors import HostileArchive, NotAnArchive

PATH, LINK_PATH, SIZE, MTIME = b"path", b"linkpath", b"size", b"mtime"
KEPT = frozenset({PATH, LINK_PATH, SIZE, MTIME})
SPARSE = (b"GNU.sparse.", b"SCHILY.realsize")
_LENGTH = re.compile(rb"([0-9]{1,10}) ")

Records = dict[bytes, bytes]


def read_records(body: bytes) -> Records:
    """The records of an extended header that matter; an empty value takes back what a global header said.

    Raises NotAnArchive for a body that is not made of records, HostileArchive for a sparse file's.
    """
    found: Records = {}
    at = 0
    while at < len(body):
        key, value, at = _record(body, at)
        if key.startswith(SPARSE):
            raise HostileArchive("it has a sparse file, which source archives have not")
        if key in KEPT:
            found[key] = value
    return found


def _record(body: bytes, at: int) -> tuple[bytes, bytes, int]:
    length = _LENGTH.match(body, at)
    end = at + int(length[1]) if length else 0
    if not length or end <= length.end() or end > len(body) or body[end - 1 : end] != b"\n":
        raise NotAnArchive("not an archive: a pax header in it is damaged")
    key, equals, value = body[length.end() : end - 1].partition(b"=")
    if not key or not equals:
        raise NotAnArchive("not an archive: a pax header in it is damaged")
    return key, value, end


def written_records(records: Mapping[bytes, bytes]) -> bytes:
    """The body of an extended header with these records, in their order."""
    return b"".join(_written(key, value) for key, value in records.items())


def _written(key: bytes, value: bytes) -> bytes:
    rest = b" %b=%b\n" % (key, value)
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:  # the length counts its own digits
        length = len(b"%d" % length) + len(rest)
    return b"%d%b" % (length, rest)
