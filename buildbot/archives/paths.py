"""Paths inside an archive, taken apart and judged before anything else is made of them.

A path is a tuple of segments without empty ones and `.`: two spellings of one path must not be two paths to the check
that keeps entries from going through a symlink. For what git writes, taking apart and joining changes nothing; bytes
within a segment never change.
"""

from __future__ import annotations

from buildbot.archives.errors import HostileArchive, NotAnArchive, TooLarge, shown
from buildbot.archives.limits import LARGEST_NAME_BYTES, MOST_SEGMENTS

Segments = tuple[bytes, ...]


def segments(name: bytes) -> Segments:
    """The segments of a relative path; `()` is the root itself.

    Raises HostileArchive for a path that is absolute, has a `..` or a NUL, NotAnArchive for an empty one and TooLarge
    for one longer or deeper than a file system would take.
    """
    _check_text(name)
    if name.startswith(b"/"):
        raise HostileArchive(f"{shown(name)} is an absolute path")
    path = tuple(segment for segment in name.split(b"/") if segment not in {b"", b"."})
    if b".." in path:
        raise HostileArchive(f"{shown(name)} leads out of the archive with '..'")
    if len(path) > MOST_SEGMENTS:
        raise TooLarge(f"the archive is too large: {shown(name)} is more than {MOST_SEGMENTS} directories deep")
    return path


def check_target(target: bytes, name: bytes) -> None:
    """Judge what the symlink `name` points at: it may be anywhere, since nothing is ever written through it.

    Raises as `segments` does for a target that is empty, too long or has a NUL.
    """
    if not target:
        raise NotAnArchive(f"the symlink {shown(name)} in the archive points nowhere")
    _check_text(target)


def _check_text(name: bytes) -> None:
    if not name:
        raise NotAnArchive("the archive has an entry without a name")
    if b"\0" in name:
        raise HostileArchive(f"{shown(name)} has a NUL byte in it")
    if len(name) > LARGEST_NAME_BYTES:
        raise TooLarge(f"the archive is too large: {shown(name)} is a name of more than {LARGEST_NAME_BYTES:,} bytes")
