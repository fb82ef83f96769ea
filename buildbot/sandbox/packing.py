"""Source archives as every forge packs them: one top directory, the commit's files, its time, its id as a comment."""

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
        for path, content in sorted(commit.files.items()):
            entry = tarfile.TarInfo(_below(top, path))
            entry.size, entry.mtime = len(content), int(commit.at.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def zipped(commit: Commit, top: str) -> bytes:
    """A zip; with `top` "" the files lie at its root."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = commit.sha.encode()
        for path, content in sorted(commit.files.items()):
            archive.writestr(zipfile.ZipInfo(_below(top, path), commit.at.timetuple()[:6]), content)
    return packed.getvalue()


PACKERS: dict[str, Callable[[Commit, str], bytes]] = {"tar.gz": tar_gz, "zip": zipped}


def in_chunks(packed: bytes) -> Iterator[bytes]:
    """The archive in pieces, for an answer without a Content-Length."""
    for start in range(0, len(packed), CHUNK_BYTES):
        yield packed[start : start + CHUNK_BYTES]


def _below(top: str, path: str) -> str:
    return f"{top}/{path}" if top else path
