"""Doctor's questions to GitLab: each answer as a result and a line of words, and nothing changed."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from buildbot.forges.auth import TokenAuth
from buildbot.forges.gitlab.api import GitLabApi
from buildbot.forges.gitlab.probes import has_repository, is_token_good, may_post_status
from buildbot.forges.probes import ProbeResult
from buildbot.sandbox.gitlab import GitLab
from tests.forges.gitlab.wire import API_URL, SECOND, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO = "acme/api"
WHO = answer(200, {"username": "ci-bot"})
YES, NO, BAD, UNTOLD = ProbeResult.YES, ProbeResult.NO, ProbeResult.BAD_CREDENTIAL, ProbeResult.UNTOLD


def api(client: httpx.AsyncClient, token: str = "t", url: str = API_URL) -> GitLabApi:
    pause = timedelta(0)
    return GitLabApi(client, api_url=url, auth=TokenAuth(token), request_timeout=20 * SECOND, retry_pause=pause)


@pytest.mark.parametrize(
    ("answers", "result", "words"),
    [
        ([WHO, answer(200, {"scopes": ["api"]})], YES, "the token is ci-bot's, with api"),
        ([WHO, answer(200, {"scopes": ["api"], "expires_at": "2026-12-31"})], YES, "valid until 2026-12-31"),
        ([WHO, answer(200, {"scopes": ["read_api"]})], NO, "its scopes (read_api) lack api"),
        ([WHO, answer(200, {"scopes": []})], NO, "its scopes (none) lack api"),
        ([WHO, said(404, "404 Not Found")], YES, "does not show what it may do"),
        ([said(401, "401 Unauthorized")], BAD, "401 Unauthorized"),
        ([said(403, "403 Forbidden")], UNTOLD, "does not say whose it is"),
        ([said(429, "slow")], UNTOLD, "no more calls"),
        ([page(404)], UNTOLD, "api_url"),
    ],
)
async def test_a_tokens_owner_and_scopes_are_told(
    answers: list[httpx.Response], result: ProbeResult, words: str
) -> None:
    async with wired(*answers) as (client, _):
        finding = await is_token_good(api(client))
    assert finding.result is result
    assert words in finding.detail


@pytest.mark.parametrize(
    ("response", "result", "words"),
    [
        (said(404, "404 Commit Not Found"), YES, "may post"),
        (said(404, "404 Project Not Found"), NO, "does not see the project"),
        (said(403, "403 Forbidden"), NO, "403 Forbidden"),
        (said(401, "401 Unauthorized"), BAD, "401 Unauthorized"),
        (said(500, "x"), UNTOLD, "500"),
        (answer(201, {"id": 1}), UNTOLD, "cannot exist"),
    ],
)
async def test_whether_statuses_may_be_posted_is_tried_on_no_commit(
    response: httpx.Response, result: ProbeResult, words: str
) -> None:
    async with wired(response) as (client, wire):
        finding = await may_post_status(api(client), REPO)
    assert finding.result is result
    assert words in finding.detail
    assert wire.asked == [f"POST /projects/acme%2Fapi/statuses/{'0' * 40}"]


@pytest.mark.parametrize(
    ("role", "scopes", "posting"),
    [("developer", ["api"], YES), ("reporter", ["api"], NO), ("developer", ["read_api"], NO)],
)
async def test_doctor_learns_the_rights_without_posting(role: str, scopes: list[str], posting: ProbeResult) -> None:
    gitlab = GitLab()
    gitlab.add_repository(REPO, visibility="private")
    token = gitlab.issue_token("ci-bot", scopes=scopes, member=REPO, role=role)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gitlab.app)) as client:
        forge = api(client, token, gitlab.api_url)
        assert (await has_repository(forge, REPO)).detail == f"{REPO} is there: private, default branch main"
        assert (await may_post_status(forge, REPO)).result is posting
        assert (await is_token_good(forge)).result is (YES if "api" in scopes else NO)
    assert gitlab.repository(REPO).statuses == []
