"""Bitbucket Data Center's ways of answering, over the `Wire` that all forges share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

import httpx

from buildbot.forges.auth import TokenAuth
from buildbot.forges.bitbucket_datacenter.api import BitbucketDataCenterApi
from tests.forges.wire import NOW, SECOND, Answering, Wire, answer
from tests.forges.wire import wired as wired_at
from tests.forges.world import AT_ONCE

URL = "https://git.test"
API_PATH = "/rest/api/latest"


class Wired(Protocol):
    """A client whose other end is a `Wire`; at the end every answer must have been used."""

    def __call__(self, *answers: Answering) -> AbstractAsyncContextManager[tuple[httpx.AsyncClient, Wire]]: ...


wired: Wired = partial(wired_at, api_path=API_PATH)


def said(status: int, message: str, exception: str = "SomeException", **headers: str) -> httpx.Response:
    """A refusal in Data Center's form."""
    error = {"context": None, "message": message, "exceptionName": f"com.atlassian.bitbucket.{exception}"}
    return answer(status, {"errors": [error]}, **headers)


def api(client: httpx.AsyncClient, token: str = "t0ken-t0ken-t0ken") -> BitbucketDataCenterApi:
    """The adapter at the other end of the wire from nobody."""
    return BitbucketDataCenterApi(
        client,
        url=URL,
        api_url=URL + API_PATH,
        auth=TokenAuth(token, forge="Bitbucket"),
        request_timeout=20 * SECOND,
        retry_pause=AT_ONCE,
        now=lambda: NOW,
    )
