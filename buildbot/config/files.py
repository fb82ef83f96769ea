"""The files that a configuration is read from, with a memory of what was in each.

What was read is exactly what is watched: the TOML file and every `file:` secret, also one that was not there. So it
does not matter how a file changes (written over, renamed into place, a link that is turned to another folder, as
Kubernetes does with a mounted secret): whatever leads to other bytes is a change, and nothing else is. Bytes are
compared, not times, since a time may stay the same, or change for nothing.

Only ordinary files are watched. A pipe can be read once, and asking it again would take what it never gives twice, or
wait for ever.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

NOTHING = b""
"""The digest of what cannot be read, whatever the reason."""

Digests = Mapping[Path, bytes]


class Files:
    """Reads the files of one configuration and remembers a digest of each: of one that is read twice, the first."""

    def __init__(self) -> None:
        self._seen: dict[Path, bytes] = {}
        self._most: dict[Path, int] = {}

    @property
    def seen(self) -> Digests:
        """What was in every file when it was read."""
        return dict(self._seen)

    def read(self, path: Path, most: int) -> bytes:
        """The content, cut one byte after `most`. Raises OSError, and ValueError for what is no file's name."""
        try:
            content, is_ordinary = _content(path, most)
        except OSError:
            self._remember(path, most, NOTHING)
            raise
        if is_ordinary:
            self._remember(path, most, _digest(content))
        return content

    def look(self) -> Digests:
        """What is in the same files now; `seen` stays as it is."""
        return {path: _look(path, most) for path, most in self._most.items()}

    def _remember(self, path: Path, most: int, digest: bytes) -> None:
        self._most.setdefault(path, most)
        self._seen.setdefault(path, digest)


def _content(path: Path, most: int) -> tuple[bytes, bool]:
    with path.open("rb") as file:
        is_ordinary = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read(most + 1), is_ordinary


def _look(path: Path, most: int) -> bytes:
    try:
        if not path.is_file():  # so that nothing is opened that would wait for a writer
            return NOTHING
        return _digest(_content(path, most)[0])
    except OSError:
        return NOTHING


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
