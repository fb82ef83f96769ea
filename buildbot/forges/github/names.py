"""How GitHub spells repositories, for whoever reads a payload or writes an address of its API."""

from __future__ import annotations

import re

from buildbot.forges.fields import shown
from buildbot.forges.names import quoted
from buildbot.ports import Refused

_FULL_NAME = re.compile(r"([A-Za-z0-9._-]{1,100})/([A-Za-z0-9._-]{1,100})")
_STEPS = frozenset({".", ".."})


def is_full_name(text: str) -> bool:
    """Whether it is `owner/name` of GitHub's characters, and not a step in a path (`..`)."""
    found = _FULL_NAME.fullmatch(text)
    return found is not None and _STEPS.isdisjoint(found.groups())


def repository_path(full_name: str) -> str:
    """The repository's place in the API. Raises Refused for a name that could lead elsewhere."""
    if not is_full_name(full_name):
        raise Refused(f"{shown(full_name)} is not a GitHub repository's owner/name")
    return f"/repos/{quoted(full_name)}"
