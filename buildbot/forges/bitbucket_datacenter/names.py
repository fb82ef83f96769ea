"""How Bitbucket Data Center spells repositories: `KEY/slug`, or `~user/slug` below a person's own project."""

from __future__ import annotations

import re

from buildbot.forges.fields import shown
from buildbot.forges.names import quoted
from buildbot.ports import Refused

_FULL_NAME = re.compile(r"(~?[A-Za-z0-9._@+-]{1,128})/([A-Za-z0-9._-]{1,128})")
_STEPS = frozenset({".", "..", "~.", "~.."})


def is_full_name(text: str) -> bool:
    """Whether it is a project's key and a repository's slug, and not a step in a path (`..`)."""
    found = _FULL_NAME.fullmatch(text)
    return found is not None and _STEPS.isdisjoint(found.groups())


def repository_path(full_name: str) -> str:
    """The repository's place in the API, and at the site. Raises Refused for a name that could lead elsewhere."""
    if not is_full_name(full_name):
        raise Refused(f"{shown(full_name)} is not a Bitbucket repository's KEY/slug")
    project, _, slug = full_name.partition("/")
    return f"/projects/{quoted(project)}/repos/{quoted(slug)}"
