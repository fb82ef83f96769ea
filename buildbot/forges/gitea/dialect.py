"""Gitea and Forgejo as every part of their adapter speaks to them."""

from __future__ import annotations

from buildbot.forges.exchange import Dialect
from buildbot.forges.gitea.refusals import failure_of, words_of


def _headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": f"token {token}"}


GITEA = Dialect("Gitea", _headers, words_of, failure_of)
