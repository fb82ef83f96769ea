"""How forges spell commits and names, and how those stand in addresses; what only one of them does is its own."""

from __future__ import annotations

import re
from urllib.parse import quote

_OWNER_AND_NAME = re.compile(r"([A-Za-z0-9._-]{1,100})/([A-Za-z0-9._-]{1,100})")
_STEPS = frozenset({".", ".."})
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def is_sha(text: str) -> bool:
    """Whether it is a whole object id: 40 lower-case hex digits, or 64 in a SHA-256 repository."""
    return _SHA.fullmatch(text) is not None


def is_owner_and_name(text: str) -> bool:
    """Whether it is `owner/name` of the characters that GitHub and Gitea allow, and not a step in a path (`..`)."""
    found = _OWNER_AND_NAME.fullmatch(text)
    return found is not None and _STEPS.isdisjoint(found.groups())


def is_zeros(sha: str) -> bool:
    """Whether an object id means "none"."""
    return not sha.strip("0")


def quoted(path: str) -> str:
    """A path for an address: every part percent-encoded, `/` kept (branches are called `fix/#7`)."""
    return quote(path, safe="/")


def quoted_whole(name: str) -> str:
    """A name that has to be one part of an address: percent-encoded with its slashes (GitLab's ids of projects)."""
    return quote(name, safe="")
