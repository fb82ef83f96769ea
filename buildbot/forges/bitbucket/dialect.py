"""Bitbucket Cloud as every part of its adapter speaks to it: the API, and the site, which alone packs archives."""

from __future__ import annotations

from buildbot.forges.bitbucket.credentials import authorization
from buildbot.forges.bitbucket.refusals import failure_of, site_failure_of, words_of
from buildbot.forges.exchange import Answer, Dialect


def _headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": authorization(token)}


def _never(_answer: Answer) -> bool:
    # What the site does not take may still be a good credential for the API.
    return False


BITBUCKET = Dialect("Bitbucket", _headers, words_of, failure_of)
SITE = Dialect("Bitbucket", _headers, words_of, site_failure_of, _never)
