"""Doctor's questions to GitHub: each answer as a result and a line of words, and nothing changed."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from buildbot.forges.github.api import GitHubApi, TokenAuth
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.probes import has_repository, is_app_good, is_token_good, may_post_status
from buildbot.forges.probes import ProbeResult
from tests.forges.github.wire import API_URL, NOW, SECOND, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO = "acme/api"
DENIED = "Resource not accessible by personal access token"
SHOWN = {"id": 7, "full_name": "acme/api", "private": True, "default_branch": "main", "html_url": "https://x.test"}


def api(client: httpx.AsyncClient) -> GitHubApi:
    pause = timedelta(0)
    return GitHubApi(client, api_url=API_URL, auth=TokenAuth("t"), request_timeout=20 * SECOND, retry_pause=pause)


@pytest.mark.parametrize(
    ("headers", "result", "words"),
    [
        ({}, ProbeResult.YES, "does not show what it may do"),
        ({"x_oauth_scopes": "repo"}, ProbeResult.YES, "the token is ci-bot's, with repo"),
        ({"x_oauth_scopes": "read:org, repo:status"}, ProbeResult.YES, "with read:org, repo:status"),
        ({"x_oauth_scopes": "public_repo"}, ProbeResult.YES, "public repositories only"),
        ({"x_oauth_scopes": "read:org"}, ProbeResult.NO, "its scopes (read:org) lack repo:status"),
        ({"x_oauth_scopes": ""}, ProbeResult.NO, "its scopes (none) lack repo:status"),
        ({"github_authentication_token_expiration": "2026-02-01"}, ProbeResult.YES, "valid until 2026-02-01"),
    ],
)
async def test_a_tokens_owner_and_scopes_are_told(headers: dict[str, str], result: ProbeResult, words: str) -> None:
    async with wired(answer(200, {"login": "ci-bot"}, **headers)) as (client, _):
        finding = await is_token_good(api(client))
    assert finding.result is result
    assert words in finding.detail


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (said(401, "Bad credentials"), ProbeResult.BAD_CREDENTIAL),
        (said(403, "Resource not accessible by integration"), ProbeResult.UNTOLD),
        (said(429, "slow"), ProbeResult.UNTOLD),
        (page(404), ProbeResult.UNTOLD),
        (httpx.ReadTimeout("x"), ProbeResult.UNTOLD),
    ],
)
async def test_a_token_that_is_not_accepted_is_told_apart_from_one_that_could_not_be_tried(
    response: httpx.Response | Exception, result: ProbeResult
) -> None:
    async with wired(response) as (client, _):
        assert (await is_token_good(api(client))).result is result


@pytest.mark.parametrize(
    ("response", "result", "words"),
    [
        (said(422, f"No commit found for SHA: {'0' * 40}"), ProbeResult.YES, "may post"),
        (said(404, "Not Found"), ProbeResult.NO, "may not write its commit statuses"),
        (said(403, DENIED), ProbeResult.NO, DENIED),
        (said(401, "Bad credentials"), ProbeResult.BAD_CREDENTIAL, "Bad credentials"),
        (said(500, "x"), ProbeResult.UNTOLD, "500"),
        (answer(201, {"id": 1}), ProbeResult.UNTOLD, "cannot exist"),
    ],
)
async def test_whether_statuses_may_be_posted_is_tried_on_no_commit(
    response: httpx.Response, result: ProbeResult, words: str
) -> None:
    async with wired(response) as (client, wire):
        finding = await may_post_status(api(client), REPO)
    assert finding.result is result
    assert words in finding.detail
    assert wire.asked == [f"POST /repos/acme/api/statuses/{'0' * 40}"]


@pytest.mark.parametrize(
    ("response", "result", "words"),
    [
        (answer(200, SHOWN), ProbeResult.YES, "acme/api is there: private, default branch main"),
        (
            answer(200, SHOWN | {"full_name": "acme/new", "private": False}),
            ProbeResult.YES,
            "now called acme/new: public",
        ),
        (said(404, "Not Found"), ProbeResult.NO, "may not see it"),
        (said(401, "Bad credentials"), ProbeResult.BAD_CREDENTIAL, "Bad credentials"),
    ],
)
async def test_a_repository_is_looked_for(response: httpx.Response, result: ProbeResult, words: str) -> None:
    async with wired(response) as (client, _):
        finding = await has_repository(api(client), REPO)
    assert finding.result is result
    assert words in finding.detail


@pytest.mark.parametrize(
    ("permissions", "events", "result", "words"),
    [
        ({"statuses": "write", "contents": "read"}, ["push"], ProbeResult.YES, "the App is builds"),
        ({"statuses": "write", "contents": "write"}, [], ProbeResult.YES, "not sent push events"),
        ({"statuses": "read", "contents": "read"}, ["push"], ProbeResult.NO, "does not ask for statuses: write"),
        ({}, ["push"], ProbeResult.NO, "statuses: write and contents: read"),
    ],
)
async def test_an_app_is_measured_by_what_it_asks_for(
    private_key_pem: str, permissions: dict[str, str], events: list[str], result: ProbeResult, words: str
) -> None:
    async with wired(answer(200, {"slug": "builds", "permissions": permissions, "events": events})) as (client, _):
        auth = AppAuth(client, api_url=API_URL, app_id=1, private_key_pem=private_key_pem, now=lambda: NOW)
        finding = await is_app_good(auth)
    assert finding.result is result
    assert words in finding.detail


async def test_a_wrong_key_is_a_bad_credential(private_key_pem: str) -> None:
    async with wired(said(401, "A JSON web token could not be decoded")) as (client, _):
        auth = AppAuth(client, api_url=API_URL, app_id=1, private_key_pem=private_key_pem, now=lambda: NOW)
        assert (await is_app_good(auth)).result is ProbeResult.BAD_CREDENTIAL
