"""Directories of a source into which nothing is put: the places of submodules.

git has no empty directories, so `git archive` writes one only where a tree has a submodule (archive.c: a directory
waits until something in it is written, a submodule is written as a directory). It writes a directory right before what
is in it, so one look ahead tells. A program that packs otherwise makes more directories look empty than are: who wants
to know has to ask the forge about each, and for that only so many are kept.
"""

from __future__ import annotations

from buildbot.archives.entry import Entry, Kind

MOST_KEPT = 64


class EmptyDirectories:
    """Those of one source, by what comes after them."""

    __slots__ = ("_last", "_paths")

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._paths: list[bytes] = []

    def see(self, entry: Entry) -> None:
        """Take in the next entry."""
        if self._last is not None and not entry.name.startswith(self._last + b"/"):
            self._keep(self._last)
        self._last = entry.name if entry.kind is Kind.DIRECTORY else None

    def end(self) -> tuple[bytes, ...]:
        """Say that nothing more comes. The paths, in the order of the source."""
        if self._last is not None:
            self._keep(self._last)
        self._last = None
        return tuple(self._paths)

    def _keep(self, path: bytes) -> None:
        if len(self._paths) < MOST_KEPT:
            self._paths.append(path)
