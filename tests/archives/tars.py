"""Archives as others write them, and how they look after they went through an `Assembly`.

They are written by Python's `tarfile`, so that what is tested is not also what the tests are made with.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from buildbot.archives.assembly import Assembly

PLENTY = 10**9
BLOCK = 512
THE_END = bytes(2 * BLOCK)
Dialect = Literal[1, 2]
GNU: Dialect = 1
PAX: Dialect = 2
DIALECTS = (GNU, PAX)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something in a tree: what goes into an archive, and what has to come out."""

    name: str
    type: bytes = tarfile.REGTYPE
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    mtime: int = 1_700_000_000

    def below(self, top: str) -> Thing:
        link = f"{top}/{self.link}" if self.type == tarfile.LNKTYPE else self.link
        return Thing(f"{top}/{self.name}", self.type, self.content, link, self.mode, self.mtime)


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> Thing:
    return Thing(name, content=content, mode=mode)


def directory(name: str, mode: int = 0o755) -> Thing:
    return Thing(name, tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Thing:
    return Thing(name, tarfile.SYMTYPE, link=target, mode=0o777)


def hard_link(name: str, target: str) -> Thing:
    return Thing(name, tarfile.LNKTYPE, link=target)


def info(thing: Thing) -> tarfile.TarInfo:
    made = tarfile.TarInfo(thing.name)
    made.type, made.linkname, made.mode, made.mtime = thing.type, thing.link, thing.mode, thing.mtime
    made.size, made.uid, made.gid, made.uname, made.gname = len(thing.content), 1000, 1000, "git", "git"
    return made


def packed(thing: Thing | bytes, dialect: Dialect = PAX) -> bytes:
    """The blocks of one entry; bytes are blocks already."""
    if isinstance(thing, bytes):
        return thing
    header = info(thing).tobuf(dialect, "utf-8", "surrogateescape")
    return header + thing.content + bytes(-len(thing.content) % BLOCK)


def tar(*things: Thing | bytes, dialect: Dialect = PAX) -> bytes:
    return b"".join(packed(thing, dialect) for thing in things) + THE_END


def tar_gz(*things: Thing | bytes, dialect: Dialect = PAX) -> bytes:
    return gzip.compress(tar(*things, dialect=dialect), 1, mtime=0)


def pax_header(*records: tuple[str, str], is_global: bool = False) -> bytes:
    """An extended header on its own, as git writes a global one."""
    return pax_blocks(b"".join(_record(key, value) for key, value in records), is_global=is_global)


def pax_blocks(body: bytes, *, is_global: bool = False) -> bytes:
    made = tarfile.TarInfo("pax_global_header")
    made.type, made.size = tarfile.XGLTYPE if is_global else tarfile.XHDTYPE, len(body)
    return made.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % BLOCK)


def _record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = next(n for n in range(len(rest), len(rest) + 12) if n == len(str(n)) + len(rest))
    return str(length).encode() + rest


def resealed(block: bytes) -> bytes:
    """A header block whose checksum is right again after it was changed."""
    total = sum(block[:148] + b" " * 8 + block[156:512])
    return block[:148] + b"%06o\0 " % total + block[156:]


def chunks(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def relayed(
    data: bytes, *, size: int = 65536, into: str = "", has_top: bool | None = None, largest: int = PLENTY
) -> bytes:
    """The archive that comes out for one source, fed in chunks of `size` bytes."""
    assembly = Assembly(largest_bytes=largest)
    out = [assembly.begin_source(into, has_top_directory=has_top)]
    out += [assembly.feed(chunk) for chunk in chunks(data, size)]
    return b"".join([*out, assembly.end_source(), assembly.finish()])


def unpacked(archive: bytes) -> list[Thing]:
    """What is in an archive, as Python's tarfile reads it."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        return [_thing(opened, member) for member in opened]


def _thing(opened: tarfile.TarFile, member: tarfile.TarInfo) -> Thing:
    content = opened.extractfile(member) if member.isreg() else None
    read = content.read() if content else b""
    return Thing(member.name, member.type, read, member.linkname, member.mode, int(member.mtime))
