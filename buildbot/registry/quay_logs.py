"""A build's log as Quay gives it, live or archived, and where an archived one is fetched from.

Seconds after a build has ended Quay may move its log to storage and answer `{"logs_url": …}` alone. That URL is either
Quay's own `/logarchive/<uuid>`, which refuses the Bearer token and wants it as Basic `$oauthtoken:<token>`, or a
pre-signed one of an object store, which must not see any credential of ours. Which it is, is told by its form, not by
its host: Quay writes the name it believes to have (SERVER_HOSTNAME), which is not always the one the bot reaches it by.
So an own URL is asked for again at the configured `url`, and the token can go nowhere else.

Messages are hostile text (colours, NUL, markup): they are passed on as they came, except that lone surrogates, which no
file or database takes, become question marks.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

import httpx

from buildbot.domain.log import LogEntry
from buildbot.ports import Unanswered
from buildbot.registry.quay_errors import Answer, decoded

SIZE_LIMIT = 20_000_000

_KINDS = frozenset({"phase", "command", "error"})
_OWN_ARCHIVE = re.compile(r"/logarchive/[A-Za-z0-9-]+", re.ASCII)
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def archive_of(document: object) -> httpx.URL | None:
    """Where the log was moved to; None when the answer is the log itself. Raises `Unanswered` for a URL of no use."""
    if not isinstance(document, dict) or "logs_url" not in document:
        return None
    try:
        url = httpx.URL(document["logs_url"])
    except (httpx.InvalidURL, TypeError) as error:
        raise Unanswered("Quay moved the log to something that is not a URL") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise Unanswered("Quay moved the log to a URL that is not http or https")
    return url


def own_archive_path(url: httpx.URL) -> str | None:
    """The path to ask Quay itself for, if the archive is Quay's own and not a pre-signed URL of an object store."""
    return url.path if _OWN_ARCHIVE.fullmatch(url.path) and not url.query else None


def unpacked(answer: Answer) -> Answer:
    """The archive unzipped where a store lost its `Content-Encoding: gzip` on the way; anything else as it is."""
    if answer.is_cut or not answer.body.startswith(_GZIP_MAGIC):
        return answer
    stream = zlib.decompressobj(_GZIP_WINDOW)
    try:
        body = stream.decompress(answer.body, SIZE_LIMIT)
    except zlib.error as error:
        raise Unanswered("the archived log is broken: it does not unzip") from error
    return replace(answer, body=body, is_cut=bool(stream.unconsumed_tail))


def archived_entries(answer: Answer, start: int) -> tuple[LogEntry, ...]:
    """The entries of an archive from `start` on: the file always holds all of them."""
    return entries_of(decoded(unpacked(answer)))[start:]


def entries_of(document: object) -> tuple[LogEntry, ...]:
    """The entries of a log. One that cannot be read is an empty line, so that positions (`start`) stay true."""
    logs = document.get("logs") if isinstance(document, dict) else None
    if not isinstance(logs, list):
        raise Unanswered("Quay answered with something that is not a log (no list `logs`)")
    return tuple(_entry(item) for item in logs)


def _entry(item: object) -> LogEntry:
    if not isinstance(item, dict):
        return LogEntry("", "")
    kind, message = item.get("type"), item.get("message")
    text = message if isinstance(message, str) else ""
    return LogEntry(
        kind=kind if isinstance(kind, str) and kind in _KINDS else "",
        message=text.encode("utf-8", "replace").decode("utf-8"),
    )
