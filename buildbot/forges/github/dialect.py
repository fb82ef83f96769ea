"""GitHub as every part of its adapter speaks to it."""

from __future__ import annotations

from buildbot.forges.exchange import Dialect
from buildbot.forges.github.refusals import failure_of, words_of


def _headers(token: str) -> dict[str, str]:
    return {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {token}"}


GITHUB = Dialect("GitHub", _headers, words_of, failure_of)
