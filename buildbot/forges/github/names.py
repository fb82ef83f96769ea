"""How GitHub spells repositories and commits, for whoever reads a payload or writes an address of its API."""

from __future__ import annotations

import re
from urllib.parse import quote

from buildbot.forges.fields import shown
from buildbot.ports import Refused

_FULL_NAME = re.compile(r"([A-Za-z0-9._-]{1,100})/([A-Za-z0-9._-]{1,100})")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_STEPS = frozenset({".", ".."})


def is_full_name(text: str) -> bool:
    """Whether it is `owner/name` of GitHub's characters, and not a step in a path (`..`)."""
    found = _FULL_NAME.fullmatch(text)
    return found is not None and _STEPS.isdisjoint(found.groups())


def is_sha(text: str) -> bool:
    """Whether it is a whole object id: 40 lower-case hex digits, or 64 in a SHA-256 repository."""
    return _SHA.fullmatch(text) is not None


def is_zeros(sha: str) -> bool:
    """Whether an object id means "none"."""
    return not sha.strip("0")


def quoted(path: str) -> str:
    """A path for an address: every part percent-encoded, `/` kept (branches are called `fix/#7`)."""
    return quote(path, safe="/")


def repository_path(full_name: str) -> str:
    """The repository's place in the API. Raises Refused for a name that could lead elsewhere."""
    if not is_full_name(full_name):
        raise Refused(f"{shown(full_name)} is not a GitHub repository's owner/name")
    return f"/repos/{quoted(full_name)}"
