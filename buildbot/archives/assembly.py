"""A source archive put together as its parts arrive: what forges send goes in, what Quay's builder unpacks comes out.

Quay's builder takes any `application/gzip` for a gzip-compressed tar, unpacks it with `tar pzxf` as root and strips
nothing (quay-builder, `buildpack.go`). So the sources, a repository and its submodules, are re-rooted: a path in the
repository is that path in the archive, on every forge. Nothing is spooled: memory stays the same whatever the size, and
the first bytes go out before the last have come in.

What goes out has been checked entry by entry and is written anew, so no two programs can read it differently, and equal
input makes an equal archive. What cannot be known from a stream is left to the builder: whether a hard link's target
exists, for one.

Not checked: what a symlink points at (see `symlinks`), and setuid bits, since whoever can push a file can as well
push a Dockerfile that sets them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from buildbot.archives import tar_writing
from buildbot.archives.empty import EmptyDirectories
from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import (
    ArchiveError,
    CutArchive,
    HostileArchive,
    NotAnArchive,
    TooLarge,
    WrongTopDirectory,
)
from buildbot.archives.gunzipping import Gunzip
from buildbot.archives.limits import MOST_ENTRIES, Allowance
from buildbot.archives.rerooting import SourceRoot, encoded
from buildbot.archives.symlinks import Symlinks
from buildbot.archives.tar_reading import TarReader

__all__ = [
    "ArchiveError",
    "Assembly",
    "CutArchive",
    "HostileArchive",
    "NotAnArchive",
    "TooLarge",
    "WrongTopDirectory",
]

QUICK = 1  # zlib's level: the archive is unpacked once, next to the bot, so time counts and size does not
WITH_GZIP_HEADER = 31  # its time stays 0, so that equal input makes equal bytes


class State(StrEnum):
    """What may be called next."""

    BETWEEN_SOURCES = "between sources"
    IN_A_SOURCE = "in a source"
    FINISHED = "finished"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Source:
    """What one source goes through."""

    root: SourceRoot
    gunzip: Gunzip
    reader: TarReader
    empty: EmptyDirectories


class Assembly:
    """Sources in, one archive out; every call gives back the bytes to send on, maybe none.

    `largest_bytes` caps what everything unpacks to, tar headers and padding included, and as well what comes in;
    `most_entries` how many files, directories and links there are.

    After an ArchiveError the archive cannot be finished any more: what has been sent must not become a whole archive.
    A call out of turn is a RuntimeError.
    """

    def __init__(self, *, largest_bytes: int, most_entries: int = MOST_ENTRIES) -> None:
        self._packed = Allowance(largest_bytes, "bytes as it comes")
        self._unpacked = Allowance(largest_bytes, "bytes when unpacked")
        self._entries = Allowance(most_entries, "entries")
        self._symlinks = Symlinks()
        self._gzip = zlib.compressobj(QUICK, zlib.DEFLATED, WITH_GZIP_HEADER)
        self._bytes_out = 0
        self._content_left = 0
        self._source: Source | None = None
        self._empty: tuple[bytes, ...] = ()
        self._state = State.BETWEEN_SOURCES

    def begin_source(
        self, into: str = "", *, has_top_directory: bool | None = None, own_names: frozenset[bytes] = frozenset()
    ) -> bytes:
        """Begin a source whose root goes to `into`, a path in the archive, as a submodule's does; `""` is its root.

        `has_top_directory`: whether the source's archive has a single top directory, which is taken off; None: the
        first entry tells, and what contradicts it is refused as WrongTopDirectory. Give it where it is known: an
        archive without one whose files are all in one directory looks as if it had one. Where it is not, `own_names`
        are names that the source has at its root and a top directory has not.
        """
        with self._turn(State.BETWEEN_SOURCES, State.IN_A_SOURCE):
            root = SourceRoot(into, has_top_directory=has_top_directory, own_names=own_names)
            self._source = Source(root, Gunzip(self._packed, self._unpacked), TarReader(), EmptyDirectories())
            return self._add(Entry(root.path, Kind.DIRECTORY, 0o755)) if root.path else b""

    def feed(self, chunk: bytes) -> bytes:
        """Take in the next bytes of the source's tar.gz, in pieces of any size. Raises an ArchiveError.

        A kilobyte may unpack to a megabyte, which takes its time and at worst comes out as long: an event loop feeds
        small pieces, or goes through `pieces`.
        """
        return b"".join(self.pieces(chunk))

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """As `feed`, with a pause after every 64 KiB unpacked; it must be gone through to its end."""
        with self._turn(State.IN_A_SOURCE, State.IN_A_SOURCE):
            source = self._open_source()
            for unpacked in source.gunzip.pieces(chunk):
                yield b"".join(self._take(part, source) for part in source.reader.feed(unpacked))

    def end_source(self) -> bytes:
        """Say that the source has come to its end. Raises CutArchive if it had not."""
        with self._turn(State.IN_A_SOURCE, State.BETWEEN_SOURCES):
            source = self._open_source()
            source.gunzip.end()
            source.reader.end()
            self._empty = source.empty.end()
            return b""

    @property
    def empty_directories(self) -> tuple[bytes, ...]:
        """Where the source that has ended last seems to have empty directories, as submodules leave them, see `empty`.

        Paths in the archive that is made.
        """
        return self._empty

    def add_file(self, name: str, content: bytes, *, mode: int = 0o644, mtime: int = 0) -> bytes:
        """Add a file of our own, between sources; one that is there already is replaced when the archive is unpacked.

        `mtime` is in seconds since 1970. Raises HostileArchive for a path that leads out, or through a symlink.
        """
        with self._turn(State.BETWEEN_SOURCES, State.BETWEEN_SOURCES):
            file = Entry(encoded(name), Kind.FILE, mode, len(content), Decimal(mtime))
            self._unpacked.take(len(content))
            moved = SourceRoot(has_top_directory=False).moved(file)
            return b"" if moved is None else self._add(moved) + self._add_content(content)

    def finish(self) -> bytes:
        """The end of the archive."""
        with self._turn(State.BETWEEN_SOURCES, State.FINISHED):
            end = self._write(tar_writing.end_of_archive(self._bytes_out))
            return end + self._gzip.flush()

    @contextmanager
    def _turn(self, now: State, after: State) -> Iterator[None]:
        if self._state is not now:
            raise RuntimeError(f"this has to be called {now.value}, but the archive is {self._state.value}")
        self._state = State.BROKEN
        yield
        self._state = after

    def _open_source(self) -> Source:
        if self._source is None:
            raise RuntimeError("no source has been begun")
        return self._source

    def _take(self, part: Entry | memoryview, source: Source) -> bytes:
        if not isinstance(part, Entry):
            return self._add_content(part)
        self._unpacked.foresee(part.size)
        moved = source.root.moved(part)
        if moved is None:
            return b""
        source.empty.see(moved)
        return self._add(moved)

    def _add(self, entry: Entry) -> bytes:
        self._entries.take(1)
        self._symlinks.admit(entry)
        self._content_left = entry.size
        return self._write(tar_writing.header(entry))

    def _add_content(self, content: bytes | memoryview) -> bytes:
        self._content_left -= len(content)
        out = self._write(content)
        return out if self._content_left else out + self._write(tar_writing.padding(self._bytes_out))

    def _write(self, data: bytes | memoryview) -> bytes:
        self._bytes_out += len(data)
        return self._gzip.compress(data)
