"""How Bitbucket Cloud spells repositories, for whoever reads a payload or writes an address of its API."""

from __future__ import annotations

from buildbot.forges.fields import shown
from buildbot.forges.names import is_owner_and_name, quoted
from buildbot.ports import Refused


def is_full_name(text: str) -> bool:
    """Whether it is `workspace/slug`, and not a step in a path (`..`)."""
    return is_owner_and_name(text)


def repository_path(full_name: str) -> str:
    """The repository's place in the API. Raises Refused for a name that could lead elsewhere."""
    return f"/repositories/{checked(full_name)}"


def checked(full_name: str) -> str:
    """The name as it stands in addresses. Raises Refused for one that could lead elsewhere."""
    if not is_full_name(full_name):
        raise Refused(f"{shown(full_name)} is not a Bitbucket repository's workspace/name")
    return quoted(full_name)
