"""Why an archive is not passed on, by what to do about it. Each message is one line for people.

ArchiveError
├── NotAnArchive        the forge sent something else: a login page, a zip, nonsense
├── CutArchive          the transfer broke off or damaged it: ask again
├── WrongTopDirectory   an archive, but not rooted the way it was said to be
├── HostileArchive      unpacking it could write outside of where it is unpacked; `reason` says how
└── TooLarge            over a limit
"""

from __future__ import annotations

SHOWN_BYTES = 120


class ArchiveError(Exception):
    """An archive that is not passed on."""


class NotAnArchive(ArchiveError):
    """What came is not a gzip-compressed tar archive, or breaks the format's rules."""


class CutArchive(ArchiveError):
    """What came is the beginning of an archive, or was damaged on its way."""


class WrongTopDirectory(ArchiveError):
    """The archive does not have the single top directory it should have."""


class HostileArchive(ArchiveError):
    """The archive holds an entry that no source tree has and that is not safe to unpack."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the archive is refused: {reason}")
        self.reason = reason


class TooLarge(ArchiveError):
    """The archive is over one of the limits."""


def shown(name: bytes) -> str:
    """A name from an archive as words for people: quoted, cut, on one line, with nothing that a terminal obeys."""
    text = repr(name[:SHOWN_BYTES].decode("utf-8", "surrogateescape"))
    return f"{text}…" if len(name) > SHOWN_BYTES else text
