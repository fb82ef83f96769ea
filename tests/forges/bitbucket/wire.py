"""Bitbucket's ways of answering, over the `Wire` that all forges share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

import httpx

from buildbot.forges.auth import TokenAuth
from buildbot.forges.bitbucket.api import BitbucketApi
from tests.forges.wire import NOW, SECOND, Answering, Wire, answer
from tests.forges.wire import wired as wired_at
from tests.forges.world import AT_ONCE

URL = "https://bitbucket.test"
API_URL = "https://api.bitbucket.test/2.0"


class Wired(Protocol):
    """A client whose other end is a `Wire`; at the end every answer must have been used."""

    def __call__(self, *answers: Answering) -> AbstractAsyncContextManager[tuple[httpx.AsyncClient, Wire]]: ...


wired: Wired = partial(wired_at, api_path="/2.0")


def said(status: int, message: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    """A refusal in Bitbucket Cloud's form."""
    return answer(status, {"type": "error", "error": {"message": message, **more}}, **(headers or {}))


def api(client: httpx.AsyncClient, token: str = "t0ken-t0ken-t0ken") -> BitbucketApi:
    """The adapter at the other end of the wire from nobody."""
    return BitbucketApi(
        client,
        url=URL,
        api_url=API_URL,
        auth=TokenAuth(token, forge="Bitbucket"),
        request_timeout=20 * SECOND,
        retry_pause=AT_ONCE,
        now=lambda: NOW,
    )
