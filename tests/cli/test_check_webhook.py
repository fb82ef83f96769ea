"""Doctor on a repository's webhooks: the one that leads here, and how its last delivery went."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from buildbot.cli.check_webhook import check_webhook
from buildbot.cli.checks import Check, Verdict
from buildbot.config import ForgeConfig, ForgeKind
from buildbot.domain.rule import Rule

pytestmark = pytest.mark.anyio
URL = "https://builds.example.com/webhooks/github"
CONFIG = ForgeConfig("github", ForgeKind.GITHUB, "https://github.test", "https://api.test", (), "token", None, None, 60)
RULE = Rule("api", "github", "acme/api", "quay", "acme/api", branches=("main",))
TAGS = replace(RULE, branches=(), tags=("v*",))
PATHS = {
    ForgeKind.GITHUB: "/repos/acme/api/hooks",
    ForgeKind.GITLAB: "/projects/acme%2Fapi/hooks",
    ForgeKind.GITEA: "/repos/acme/api/hooks",
    ForgeKind.FORGEJO: "/repos/acme/api/hooks",
}


def hook(url: str = URL, **more: object) -> dict[str, object]:
    config = {"url": url, "content_type": "json"}
    return {"id": 1, "name": "web", "active": True, "events": ["push"], "config": config, **more}


def gitlab_hook(url: str = URL) -> dict[str, object]:
    return {"id": 1, "url": url, "push_events": True, "tag_push_events": True, "alert_status": "executable"}


async def check(answer: httpx.Response | Exception, kind: ForgeKind = ForgeKind.GITHUB, *rules: Rule) -> Check | None:
    asked = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.raw_path.decode().partition('?')[0]}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(answering)) as client:
        found = await check_webhook("forge", replace(CONFIG, kind=kind), rules or (RULE,), URL, client)
    assert asked == ([f"GET {PATHS[kind]}"] if kind in PATHS else [])
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


@pytest.mark.parametrize("kind", [ForgeKind.GITEA, ForgeKind.FORGEJO])
@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({}, None),
        ({"events": ["push", "delete"]}, None),
        ({"active": False}, "switched off"),
        ({"events": ["create"]}, "not sent pushes"),
    ],
)
async def test_gitea_tells_all_but_how_it_was_answered(
    kind: ForgeKind, more: dict[str, object], what: str | None
) -> None:
    found = await check(httpx.Response(200, json=[hook() | more]), kind)
    assert found is not None
    assert (found.verdict is Verdict.FINE) is (what is None)
    assert (what or "leads here") in found.what


@pytest.mark.parametrize(
    ("rules", "more", "what", "to_do"),
    [
        ((RULE, TAGS), {}, None, ""),
        ((RULE,), {"tag_push_events": False}, None, ""),
        ((TAGS,), {"push_events": False}, None, ""),
        ((RULE, TAGS), {"tag_push_events": False}, "not sent pushes of tags", "tag push events"),
        ((RULE, TAGS), {"push_events": False}, "not sent pushes", "push events"),
        (
            (RULE,),
            {"alert_status": "temporarily_disabled"},
            "GitLab has switched it off after failures",
            "Recent events",
        ),
        ((RULE,), {"alert_status": "disabled"}, "GitLab has switched it off after failures", "Recent events"),
    ],
    ids=["both", "no tags wanted", "no branches wanted", "no tags", "no branches", "for a while", "for good"],
)
async def test_gitlab_sends_branches_and_tags_one_by_one_and_gives_up_by_itself(
    rules: tuple[Rule, ...], more: dict[str, object], what: str | None, to_do: str
) -> None:
    found = await check(httpx.Response(200, json=[gitlab_hook() | more]), ForgeKind.GITLAB, *rules)
    assert found is not None
    assert (found.verdict is Verdict.FINE) is (what is None)
    assert (what or "leads here") in found.what
    assert to_do in found.to_do


async def test_gitlab_without_one_may_have_one_for_the_group() -> None:
    found = await check(httpx.Response(200, json=[gitlab_hook("https://x.test")]), ForgeKind.GITLAB)
    assert found is not None
    assert (found.verdict, "a group or the whole site has one" in found.what) == (Verdict.UNKNOWN, True)


@pytest.mark.parametrize("kind", [ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DATACENTER])
async def test_a_forge_whose_webhooks_are_not_read_is_not_asked(kind: ForgeKind) -> None:
    assert await check(httpx.Response(500), kind) is None


async def test_odd_hooks_are_passed_over() -> None:
    found = await check(httpx.Response(200, json=[None, {}, {"config": "x"}, hook(last_response="x")]))
    assert found is not None
    assert found.verdict is Verdict.FINE
