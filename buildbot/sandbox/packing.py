"""Source archives as every forge packs them: one top directory, the commit's files, its time, its id as a comment.

Of a submodule there is an empty directory, as `git archive` leaves one.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator

from buildbot.sandbox.git_repository import Commit

CHUNK_BYTES = 64 * 1024


def tar_gz(commit: Commit, top: str) -> bytes:
    """A gzipped tar; with `top` "" the files lie at its root."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", pax_headers={"comment": commit.sha}) as archive:
        for path in sorted(commit.entries):
            archive.addfile(_tar_entry(commit, _below(top, path), path), io.BytesIO(commit.files.get(path, b"")))
    return packed.getvalue()


def zipped(commit: Commit, top: str) -> bytes:
    """A zip; with `top` "" the files lie at its root."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = commit.sha.encode()
        for path in sorted(commit.entries):
            name = _below(top, path) + ("/" if path in commit.gitlinks else "")
            archive.writestr(zipfile.ZipInfo(name, commit.at.timetuple()[:6]), commit.files.get(path, b""))
    return packed.getvalue()


PACKERS: dict[str, Callable[[Commit, str], bytes]] = {"tar.gz": tar_gz, "zip": zipped}


def in_chunks(packed: bytes) -> Iterator[bytes]:
    """The archive in pieces, for an answer without a Content-Length."""
    for start in range(0, len(packed), CHUNK_BYTES):
        yield packed[start : start + CHUNK_BYTES]


def _below(top: str, path: str) -> str:
    return f"{top}/{path}" if top else path


def _tar_entry(commit: Commit, name: str, path: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime = int(commit.at.timestamp())
    if path in commit.gitlinks:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o775
    else:
        entry.size = len(commit.files[path])
    return entry
