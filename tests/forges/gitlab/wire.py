"""GitLab's way of answering, over the `Wire` that all forges share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

import httpx

from tests.forges.wire import NOW, SECOND, SHA, TAG, Answering, Wire, answer, page
from tests.forges.wire import wired as wired_at

__all__ = ["API_URL", "NOW", "SECOND", "SHA", "TAG", "Answering", "Wire", "answer", "page", "said", "wired"]

API_URL = "https://gitlab.test/api/v4"


class Wired(Protocol):
    """A client whose other end is a `Wire`; at the end every answer must have been used."""

    def __call__(self, *answers: Answering) -> AbstractAsyncContextManager[tuple[httpx.AsyncClient, Wire]]: ...


wired: Wired = partial(wired_at, api_path="/api/v4")


def said(status: int, message: object, **headers: str) -> httpx.Response:
    """A refusal in GitLab's form."""
    return answer(status, {"message": message}, **headers)
