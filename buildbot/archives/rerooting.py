"""Where the entries of one source go: its top directory comes off, the place it was given goes on.

Forges put a repository into a directory whose name holds the repository's current name and the commit; only Quay's
`context` would have to know it, so it is found and taken off here. GitHub, GitLab, Gitea and Bitbucket Cloud have one,
Bitbucket Data Center and a Gitea with `PREFIX_ARCHIVE_FILES = false` have none.

Where nobody says which, the first entry tells: a file at the root means none, and so does a name that is known to be at
the repository's own root. Without such names it cannot always tell (a repository with `docs/` first looks just like a
top directory), so everything after it has to agree, and what does not is refused rather than built from the wrong
place.
"""

from __future__ import annotations

from dataclasses import replace

from buildbot.archives.entry import Entry, Kind
from buildbot.archives.errors import HostileArchive, NotAnArchive, WrongTopDirectory, shown
from buildbot.archives.paths import Segments, check_target, segments


class SourceRoot:
    """Moves the entries of one source to `into`, a path in the archive that is made (`""`: its root).

    `has_top_directory`: True: a single top directory is taken off; False: there is none; None: the first entry tells,
    by `own_names` (names that are at the repository's root, and are not what a top directory would be called).
    """

    __slots__ = ("_has_top", "_into", "_own_names", "_top")

    def __init__(
        self, into: str = "", *, has_top_directory: bool | None = None, own_names: frozenset[bytes] = frozenset()
    ) -> None:
        self._into: Segments = segments(encoded(into)) if into else ()
        self._has_top = has_top_directory
        self._own_names = own_names
        self._top: bytes | None = None

    @property
    def path(self) -> bytes:
        """Where this source's root goes; empty for the root of the archive."""
        return b"/".join(self._into)

    def moved(self, entry: Entry) -> Entry | None:
        """`entry` where it belongs; None for the root of the archive itself, which needs no entry.

        Raises WrongTopDirectory, or as `paths.segments` does for a name or a link that must not be.
        """
        is_directory = entry.kind is Kind.DIRECTORY
        inside = self._inside(segments(entry.name), is_directory=is_directory)
        if not inside and not is_directory:
            raise NotAnArchive(f"the archive has a {entry.kind} without a name")
        name = b"/".join(self._into + inside)
        return replace(entry, name=name, link_name=self._link(entry)) if name else None

    def _inside(self, path: Segments, *, is_directory: bool) -> Segments:
        if self._has_top is None:
            looks_like_one = len(path) > 1 or (len(path) == 1 and is_directory)
            self._has_top = looks_like_one and path[0] not in self._own_names
        if not self._has_top or not path:
            return path
        if len(path) == 1 and not is_directory:
            raise WrongTopDirectory(f"the archive has no top directory, since {shown(path[0])} is at its root")
        if self._top is None:
            self._top = path[0]
        if path[0] != self._top:
            raise WrongTopDirectory(
                f"the archive has no single top directory: both {shown(self._top)} and {shown(path[0])} are at its root"
            )
        return path[1:]

    def _link(self, entry: Entry) -> bytes:
        match entry.kind:
            case Kind.SYMLINK:
                check_target(entry.link_name, entry.name)
                return entry.link_name
            case Kind.HARD_LINK:
                return b"/".join(self._into + self._inside_link(entry))
            case _:
                return b""

    def _inside_link(self, entry: Entry) -> Segments:
        path = segments(entry.link_name)
        is_inside = not self._has_top or path[:1] == (self._top,)
        path = path[1:] if self._has_top else path
        if not is_inside or not path:
            raise HostileArchive(f"{shown(entry.name)} is a hard link to the outside, {shown(entry.link_name)}")
        return path


def encoded(path: str) -> bytes:
    """A path that is given as text, as the bytes that go into an archive."""
    return path.encode("utf-8", "surrogateescape")
