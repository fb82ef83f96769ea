"""How GitLab spells projects, for whoever reads a payload or writes an address of its API."""

from __future__ import annotations

import re

from buildbot.forges.fields import shown
from buildbot.forges.names import quoted_whole
from buildbot.ports import Refused

DEEPEST_GROUPS = 20
LONGEST_NAME = 1024
_PART = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_STEPS = frozenset({".", ".."})


def is_full_name(text: str) -> bool:
    """Whether it is a project's path: its name below a user or up to 20 nested groups, with no step (`..`) in it."""
    parts = text.split("/")
    if not 2 <= len(parts) <= DEEPEST_GROUPS + 1 or len(text) > LONGEST_NAME:
        return False
    return all(_PART.fullmatch(part) and part not in _STEPS for part in parts)


def project_path(full_name: str) -> str:
    """The project's place in the API, its path as one part. Raises Refused for a name that could lead elsewhere."""
    if not is_full_name(full_name):
        raise Refused(f"{shown(full_name)} is not the path of a GitLab project")
    return f"/projects/{quoted_whole(full_name)}"
