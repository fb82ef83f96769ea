"""Doctor on a repository's webhooks: the one that leads here, and how its last delivery went."""

from __future__ import annotations

import httpx
import pytest

from buildbot.cli.check_webhook import check_webhook
from buildbot.cli.checks import Check, Verdict
from buildbot.config import ForgeConfig, ForgeKind

pytestmark = pytest.mark.anyio
URL = "https://builds.example.com/webhooks/github"
CONFIG = ForgeConfig("github", ForgeKind.GITHUB, "https://github.test", "https://api.test", (), "token", None, None, 60)


def hook(url: str = URL, **more: object) -> dict[str, object]:
    config = {"url": url, "content_type": "json"}
    return {"id": 1, "name": "web", "active": True, "events": ["push"], "config": config, **more}


async def check(answer: httpx.Response | Exception) -> Check | None:
    asked = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(answering)) as client:
        found = await check_webhook("forge", CONFIG, "acme/api", URL, client)
    assert asked == ["GET /repos/acme/api/hooks"]
    return found


@pytest.mark.parametrize(
    ("more", "verdict", "what", "to_do"),
    [
        ({}, Verdict.FINE, "leads here", ""),
        ({"events": ["*"]}, Verdict.FINE, "leads here", ""),
        ({"url": f"{URL}/"}, Verdict.FINE, "leads here", ""),
        ({"last_response": {"code": 202, "status": "active"}}, Verdict.FINE, "leads here", ""),
        ({"last_response": {"code": None, "status": "unused"}}, Verdict.FINE, "leads here", ""),
        ({"active": False}, Verdict.WRONG, "switched off", "switch it on"),
        ({"events": ["release"]}, Verdict.WRONG, "not sent pushes", "push events"),
        ({"last_response": {"code": 401}}, Verdict.WRONG, "last delivery was answered 401", "webhook_secrets"),
        ({"last_response": {"code": 502}}, Verdict.WRONG, "last delivery was answered 502", "Recent Deliveries"),
        ({"last_response": {"code": 0}}, Verdict.WRONG, "last delivery got no answer", "Recent Deliveries"),
        ({"url": "https://elsewhere.example.com"}, Verdict.UNKNOWN, f"has no webhook to {URL}", ""),
    ],
)
async def test_the_webhook_that_leads_here_is_judged(
    more: dict[str, object], verdict: Verdict, what: str, to_do: str
) -> None:
    more = dict(more)
    found = await check(httpx.Response(200, json=[hook("https://x.test"), hook(str(more.pop("url", URL)), **more)]))
    assert found is not None
    assert found.verdict is verdict
    assert what in found.what
    assert to_do in found.to_do
    assert bool(found.to_do) is (verdict is Verdict.WRONG)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"message": "Not Found"}),
        httpx.Response(403, json={"message": "Resource not accessible by personal access token"}),
        httpx.Response(200, json={"odd": True}),
        httpx.Response(200, text="<html>"),
        httpx.ConnectError("refused"),
    ],
    ids=str,
)
async def test_who_may_not_see_webhooks_hears_nothing_of_them(answer: httpx.Response | Exception) -> None:
    assert await check(answer) is None


async def test_odd_hooks_are_passed_over() -> None:
    found = await check(httpx.Response(200, json=[None, {}, {"config": "x"}, hook(last_response="x")]))
    assert found is not None
    assert found.verdict is Verdict.FINE
