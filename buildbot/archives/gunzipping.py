"""Gzip undone piece by piece: never more than 64 KiB at a time, whatever the compression claims.

Deflate turns a kilobyte into a megabyte, so a piece of what arrives is not unpacked in one go, and both sides are
counted: what comes out, and what comes in, because empty blocks can come in for ever without anything coming out.

Several members one after the other are one stream (RFC 1952, 2.2), and zeros after the last are padding; `zlib` checks
each member's checksum and length.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from buildbot.archives.errors import CutArchive, NotAnArchive
from buildbot.archives.limits import Allowance

MAGIC = b"\x1f\x8b"
WITH_GZIP_HEADER = 31
PIECE_BYTES = 64 * 1024
TELLING_BYTES = 64  # how much is gathered of what is not gzip, to say what it is
SLICE_BYTES = 16 * 1024  # what zlib leaves over of it is copied for every piece
_BEGINNINGS = (
    (b"<", "an HTML or XML page, maybe a login page"),
    (b"{", "JSON, maybe an error"),
    (b"PK", "a zip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7z", "an xz archive"),
    (b"\x28\xb5", "a zstd archive"),
)


class Gunzip:
    """One gzip stream: fed in any pieces, it gives back what they hold in pieces of at most 64 KiB.

    `packed` and `unpacked` are what may come in and out; over them is TooLarge.
    """

    __slots__ = ("_has_unpacked", "_member", "_members", "_packed", "_rest", "_unpacked")

    def __init__(self, packed: Allowance, unpacked: Allowance) -> None:
        self._packed = packed
        self._unpacked = unpacked
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._rest = b""
        self._has_unpacked = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack `chunk`. Raises NotAnArchive for what is not gzip, CutArchive for damage and TooLarge."""
        self._packed.take(len(chunk))
        for start in range(0, len(chunk), SLICE_BYTES):
            data = self._rest + chunk[start : start + SLICE_BYTES]
            self._rest = b""
            while data:
                if self._member is None:
                    data = self._next_member(data)
                else:
                    piece, data = self._inflate(self._member, data)
                    if piece:
                        yield piece

    def end(self) -> None:
        """Say that nothing more comes. Raises CutArchive if it stops in the middle."""
        if self._rest and self._rest != MAGIC[:1]:
            raise self._no_gzip(self._rest)
        if not self._members and not self._rest:
            raise CutArchive("the archive was cut off before its first byte")
        if self._member is not None or self._rest:
            raise CutArchive("the archive was cut off: its gzip data stops in the middle")

    def _next_member(self, data: bytes) -> bytes:
        if self._members:
            data = data.lstrip(b"\0")
        if len(data) < (len(MAGIC) if data.startswith(MAGIC[:1]) else TELLING_BYTES):
            self._rest = data
            return b""
        if not data.startswith(MAGIC):
            raise self._no_gzip(data)
        self._members += 1
        self._member = zlib.decompressobj(WITH_GZIP_HEADER)
        return data

    def _inflate(self, member: zlib._Decompress, data: bytes) -> tuple[bytes, bytes]:
        try:
            piece = member.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            raise self._damage() from error
        self._unpacked.take(len(piece))
        self._has_unpacked = self._has_unpacked or bool(piece)
        if member.eof:
            self._member = None
            return piece, member.unused_data
        return piece, member.unconsumed_tail

    def _damage(self) -> NotAnArchive | CutArchive:
        if self._has_unpacked:
            return CutArchive("the archive arrived damaged: its gzip data is not whole")
        return NotAnArchive("not an archive: it begins as gzip does, but is none")

    def _no_gzip(self, data: bytes) -> NotAnArchive:
        if self._members:
            return NotAnArchive("not an archive: after the end of its gzip data comes something else")
        text = data.lstrip(b"\xef\xbb\xbf \t\r\n")
        what = next((what for beginning, what in _BEGINNINGS if text.startswith(beginning)), "something else")
        return NotAnArchive(f"not a tar.gz archive but {what}")
