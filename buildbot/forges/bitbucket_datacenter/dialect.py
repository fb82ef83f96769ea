"""Bitbucket Data Center as every part of its adapter speaks to it."""

from __future__ import annotations

from buildbot.forges.bitbucket.credentials import authorization
from buildbot.forges.bitbucket_datacenter.refusals import failure_of, refuses_credential, words_of
from buildbot.forges.exchange import Dialect


def _headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": authorization(token)}


DATA_CENTER = Dialect("Bitbucket", _headers, words_of, failure_of, refuses_credential)
