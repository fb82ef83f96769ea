"""Tar written: ustar headers, and a pax header ahead of one only where ustar has no room.

The same entries give the same bytes, on every machine and in every year. Owner and group are always 0 without a name:
the builder unpacks as root with `tar xp`, which would otherwise hand the files to whatever accounts have the forge's
numbers there, and `docker build` would put that into the cache key of every COPY.

Names go out as the bytes they came in as. Ustar never says which encoding they have; pax says UTF-8, but git writes
them as they are too and tar programs give back what is not UTF-8 unchanged, while GNU tar warns about the `hdrcharset`
record that would be correct.
"""

from __future__ import annotations

import struct
from decimal import Decimal

from buildbot.archives import pax
from buildbot.archives.entry import Entry, Kind

BLOCK = 512
RECORD = 20 * BLOCK
NAME_BYTES, PREFIX_BYTES = 100, 155
LARGEST_OCTAL = 8**11 - 1
FLAGS = {Kind.FILE: b"0", Kind.HARD_LINK: b"1", Kind.SYMLINK: b"2", Kind.DIRECTORY: b"5"}
PAX_FLAG = b"x"
PAX_NAME = b"././@PaxHeader"  # as Python writes it
_LAYOUT = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x")
_ZERO = b"0000000\0"


def header(entry: Entry) -> bytes:
    """What goes ahead of the content of `entry`: one block, or a pax header and one block."""
    name = entry.name + b"/" if entry.kind is Kind.DIRECTORY else entry.name
    split = _split(name)
    prefix, short = split or (b"", name[:NAME_BYTES])
    records = _records(entry, name, fits=split is not None)
    size = min(entry.size, LARGEST_OCTAL)
    mtime = min(max(int(entry.mtime), 0), LARGEST_OCTAL)
    block = _block(short, entry.mode, size, mtime, FLAGS[entry.kind], entry.link_name[:NAME_BYTES], prefix)
    return _pax_header(records) + block if records else block


def padding(size: int) -> bytes:
    """The zeros that go behind content of `size` bytes."""
    return bytes(-size % BLOCK)


def end_of_archive(size: int) -> bytes:
    """What goes behind everything: two blocks of zeros, and more up to a whole record, after `size` bytes."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    if len(name) <= NAME_BYTES:
        return b"", name
    at = name.find(b"/", len(name) - NAME_BYTES - 1, min(PREFIX_BYTES + 1, len(name) - 1))
    return (name[:at], name[at + 1 :]) if at > 0 else None


def _records(entry: Entry, name: bytes, *, fits: bool) -> pax.Records:
    records = {}
    if not fits:
        records[pax.PATH] = name
    if len(entry.link_name) > NAME_BYTES:
        records[pax.LINK_PATH] = entry.link_name
    if entry.size > LARGEST_OCTAL:
        records[pax.SIZE] = b"%d" % entry.size
    if entry.mtime != entry.mtime.to_integral_value() or not 0 <= entry.mtime <= LARGEST_OCTAL:
        records[pax.MTIME] = _decimal(entry.mtime)
    return records


def _decimal(value: Decimal) -> bytes:
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode("ascii")


def _pax_header(records: pax.Records) -> bytes:
    body = pax.written_records(records)
    return _block(PAX_NAME, 0o644, len(body), 0, PAX_FLAG, b"", b"") + body + padding(len(body))


def _block(name: bytes, mode: int, size: int, mtime: int, flag: bytes, link: bytes, prefix: bytes) -> bytes:
    start = (name, b"%07o\0" % mode, _ZERO, _ZERO, b"%011o\0" % size, b"%011o\0" % mtime)
    end = (flag, link, b"ustar\0", b"00", b"", b"", _ZERO, _ZERO, prefix)
    total = sum(_LAYOUT.pack(*start, b" " * 8, *end))
    return _LAYOUT.pack(*start, b"%06o\0 " % total, *end)
