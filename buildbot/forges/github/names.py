"""How GitHub spells repositories, for whoever reads a payload or writes an address of its API."""

from __future__ import annotations

from buildbot.forges.fields import shown
from buildbot.forges.names import is_owner_and_name, quoted
from buildbot.ports import Refused


def is_full_name(text: str) -> bool:
    """Whether it is `owner/name` of GitHub's characters, and not a step in a path (`..`)."""
    return is_owner_and_name(text)


def repository_path(full_name: str) -> str:
    """The repository's place in the API. Raises Refused for a name that could lead elsewhere."""
    if not is_full_name(full_name):
        raise Refused(f"{shown(full_name)} is not a GitHub repository's owner/name")
    return f"/repos/{quoted(full_name)}"
