"""Tar read while it arrives: V7, ustar, GNU and pax headers in, plain entries and their content out.

Python's `tarfile` is not used because it pulls from a file, which a relay in an event loop has not got, and because it
decides on its own what to skip. What is ambiguous between tar programs is refused here instead of guessed at, so that
what was checked is what gets unpacked.

The end of an archive is two blocks of zeros, and they are insisted on: a forge runs `git archive | gzip`, and when git
dies in the middle the gzip data is whole nevertheless. What comes after them is ignored, as every tar does.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from buildbot.archives import pax
from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import CutArchive, HostileArchive, NotAnArchive, TooLarge, shown
from buildbot.archives.limits import LARGEST_NAME_BYTES, LARGEST_PAX_BYTES

BLOCK = 512
ZEROS = bytes(BLOCK)
CHECKSUM = slice(148, 156)
KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.DIRECTORY,
}
REFUSED = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe", b"S": "a sparse file"}
GNU_LONG_NAME, GNU_LONG_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"
LARGEST_BODIES = {
    GNU_LONG_NAME: LARGEST_NAME_BYTES + 1,
    GNU_LONG_LINK: LARGEST_NAME_BYTES + 1,
    PAX: LARGEST_PAX_BYTES,
    PAX_GLOBAL: LARGEST_PAX_BYTES,
}
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_SIZE = re.compile(rb"[0-9]{1,20}")
_MTIME = re.compile(rb"-?[0-9]{1,20}(\.[0-9]{0,20})?")


@dataclass(frozen=True, slots=True)
class Header:
    """One header block, before the extended headers that came ahead of it have their say."""

    name: bytes
    kind: bytes
    mode: int
    size: int
    mtime: int
    link_name: bytes


class TarReader:
    """A tar stream, fed in any pieces: it gives back each `Entry`, followed by the pieces of its content.

    Raises NotAnArchive for what is not tar, HostileArchive for entries that no source tree has, TooLarge for extended
    headers over their limit.
    """

    __slots__ = ("_block", "_body", "_extending", "_global", "_last", "_left", "_padding", "_said", "_zeros")

    def __init__(self) -> None:
        self._block = bytearray()
        self._left = 0
        self._padding = 0
        self._extending = b""
        self._body = bytearray()
        self._said: pax.Records = {}
        self._global: pax.Records = {}
        self._zeros = 0
        self._last = b""

    def feed(self, piece: bytes) -> Iterator[Entry | memoryview]:
        """Take in the next bytes of the stream."""
        rest = memoryview(piece)
        while rest and not self._is_over:
            if self._left:
                content, rest = rest[: self._left], rest[self._left :]
                yield from self._take_content(content)
            elif self._padding:
                skipped = min(self._padding, len(rest))
                self._padding -= skipped
                rest = rest[skipped:]
            else:
                missing = BLOCK - len(self._block)
                self._block += rest[:missing]
                rest = rest[missing:]
                yield from self._take_block()

    def end(self) -> None:
        """Say that nothing more comes. Raises CutArchive if the end of the archive has not been seen."""
        if not self._is_over:
            after = f" after {shown(self._last)}" if self._last else ""
            raise CutArchive(f"the archive was cut off: it stops{after} without an end")

    @property
    def _is_over(self) -> bool:
        return self._zeros == 2

    def _take_content(self, content: memoryview) -> Iterator[memoryview]:
        self._left -= len(content)
        if not self._extending:
            yield content
            return
        self._body += content
        if not self._left:
            self._learn()

    def _take_block(self) -> Iterator[Entry]:
        if len(self._block) < BLOCK:
            return
        block = bytes(self._block)
        self._block.clear()
        if block == ZEROS:
            self._take_zeros()
            return
        if self._zeros:
            raise NotAnArchive("not an archive: a block of zeros in the middle of it")
        header = read_header(block)
        if header.kind in LARGEST_BODIES:
            self._extend(header)
        else:
            yield self._entry(header)

    def _take_zeros(self) -> None:
        if self._said:
            raise NotAnArchive("not an archive: it ends after an extended header, without the entry that it is about")
        self._zeros += 1

    def _expect_content(self, size: int) -> None:
        self._left = size
        self._padding = -size % BLOCK

    def _extend(self, header: Header) -> None:
        if header.size > LARGEST_BODIES[header.kind]:
            raise TooLarge(
                f"the archive is too large: an extended header has more than {LARGEST_BODIES[header.kind]:,} bytes"
            )
        self._extending = header.kind
        self._expect_content(header.size)
        if not header.size:
            self._learn()

    def _learn(self) -> None:
        body = bytes(self._body)
        match self._extending:
            case b"L":
                self._said.setdefault(pax.PATH, body.rstrip(b"\0"))
            case b"K":
                self._said.setdefault(pax.LINK_PATH, body.rstrip(b"\0"))
            case b"g":
                self._global |= pax.read_records(body)
            case _:
                self._said |= pax.read_records(body)
        self._extending = b""
        self._body.clear()

    def _entry(self, header: Header) -> Entry:
        said = {key: value for key, value in ChainMap(self._said, self._global).items() if value}
        self._said = {}
        name = said.get(pax.PATH, header.name)
        size = _said_size(said[pax.SIZE]) if pax.SIZE in said else header.size
        kind = _kind(header.kind, name)
        if size and kind is not Kind.FILE:
            raise NotAnArchive(f"not an archive: the {kind} {shown(name)} claims to have content")
        self._last = name
        self._expect_content(size)
        mtime = _said_mtime(said[pax.MTIME]) if pax.MTIME in said else Decimal(header.mtime)
        return Entry(name, kind, header.mode & 0o7777, size, mtime, said.get(pax.LINK_PATH, header.link_name))


def read_header(block: bytes) -> Header:
    """Read a block of 512 bytes that is not all zeros. Raises NotAnArchive if its checksum or a number is wrong."""
    stated = _number(block[CHECKSUM])
    if stated not in _checksums(block):
        raise NotAnArchive("not an archive: there is no tar header where one has to be")
    size = _number(block[124:136])
    if size < 0:
        raise NotAnArchive("not an archive: an entry has a negative size")
    mode, mtime = _number(block[100:108]), _number(block[136:148])
    return Header(_name(block), block[156:157], mode, size, mtime, _text(block[157:257]))


def _checksums(block: bytes) -> tuple[int, int]:
    others = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(others)
    signed = unsigned - 256 * sum(byte > 127 for byte in others) if not others.isascii() else unsigned
    return unsigned, signed  # old tars of Sun and NeXT summed signed characters


def _name(block: bytes) -> bytes:
    name = _text(block[0:100])
    if block[257:263] != b"ustar\0":  # GNU's older header has times where the prefix would be
        return name
    prefix = _text(block[345:500])
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's base 256: the top bit marks it, the next one is the sign
        value = int.from_bytes(field, "big", signed=True)
        return value if field[0] & 0x40 else value + (1 << (8 * len(field) - 1))
    octal = _OCTAL.fullmatch(field)
    if not octal:
        raise NotAnArchive("not an archive: there is no tar header where one has to be")
    return int(octal[1] or b"0", 8)


def _kind(flag: bytes, name: bytes) -> Kind:
    if flag in REFUSED:
        raise HostileArchive(f"{shown(name)} is {REFUSED[flag]}, which source archives have not")
    kind = KINDS.get(flag)
    if kind is None:
        raise HostileArchive(f"{shown(name)} is an entry of the unknown kind {shown(flag)}")
    if kind is Kind.FILE and name.endswith(b"/"):  # how V7 wrote directories, which GNU tar still reads so
        return Kind.DIRECTORY
    return kind


def _said_size(value: bytes) -> int:
    if not _SIZE.fullmatch(value):
        raise NotAnArchive("not an archive: a pax header in it has no number for a size")
    return int(value)


def _said_mtime(value: bytes) -> Decimal:
    if not _MTIME.fullmatch(value):
        raise NotAnArchive("not an archive: a pax header in it has no number for a time")
    return Decimal(value.decode("ascii"))
