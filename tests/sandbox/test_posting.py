"""Sending one webhook: what comes back, and what a refused connection comes to."""

from __future__ import annotations

import httpx
import pytest

from buildbot.sandbox.posting import NO_ANSWER, posted
from buildbot.sandbox.serving import listen, url_of

pytestmark = pytest.mark.anyio


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    def moved(request: httpx.Request) -> httpx.Response:
        assert (request.content, request.headers["x-a"]) == (b"{}", "1")
        return httpx.Response(302, headers={"location": "http://elsewhere.test"}, text="moved")

    async with httpx.AsyncClient(transport=httpx.MockTransport(moved)) as client:
        assert await posted(client, "http://bot.test", b"{}", {"X-A": "1"}, 5.0) == (302, "moved")
        assert not client.is_closed


async def test_a_connection_of_its_own_is_opened_and_closed_and_may_be_refused() -> None:
    listening = listen()
    url = url_of(listening)
    listening.close()
    code, why = await posted(None, url, b"{}", {}, 5.0)
    assert (code, why) == (NO_ANSWER, "Delivery: ConnectError")
