"""GitLab as every part of its adapter speaks to it.

`Authorization: Bearer` carries every kind of token (personal, project, group, OAuth); `PRIVATE-TOKEN` would not carry
OAuth's.
"""

from __future__ import annotations

from buildbot.forges.exchange import Dialect
from buildbot.forges.gitlab.refusals import failure_of, words_of


def _headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": f"Bearer {token}"}


GITLAB = Dialect("GitLab", _headers, words_of, failure_of)
