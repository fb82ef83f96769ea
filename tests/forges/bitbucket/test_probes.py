"""What `doctor` finds out at Bitbucket, Cloud and Data Center."""

from __future__ import annotations

import httpx
import pytest

from buildbot.forges.bitbucket.probes import has_repository, is_token_good, may_post_status
from buildbot.forges.probes import ProbeResult
from tests.forges.bitbucket.wire import api, said, wired
from tests.forges.bitbucket_datacenter.wire import api as datacenter_api
from tests.forges.bitbucket_datacenter.wire import said as datacenter_said
from tests.forges.bitbucket_datacenter.wire import wired as datacenter_wired
from tests.forges.wire import answer, page

pytestmark = pytest.mark.anyio
REPO = "acme/api"


async def test_a_persons_token_is_named_with_its_scopes() -> None:
    me = answer(200, {"nickname": "ada", "display_name": "Ada"}, x_oauth_scopes="repository, account")
    async with wired(me) as (client, _):
        found = await is_token_good(api(client, "ada@example.com:secret-secret"))
    assert (found.result, found.detail) == (ProbeResult.YES, "the token is ada's, with account, repository")


@pytest.mark.parametrize(
    "refusal",
    [
        said(401, "Token is invalid, expired, or not supported for this endpoint."),
        said(403, "Your credentials lack one or more required privilege scopes.", detail={"required": ["account"]}),
    ],
)
async def test_a_token_whose_owner_is_not_told_is_neither_good_nor_bad(refusal: httpx.Response) -> None:
    async with wired(refusal) as (client, _):
        found = await is_token_good(api(client))
    assert found.result is ProbeResult.UNTOLD
    assert "shows at the repositories" in found.detail


async def test_the_scope_that_is_missing_is_named() -> None:
    refusal = said(403, "Your credentials lack scopes.", detail={"required": ["repository"], "granted": []})
    async with wired(refusal) as (client, _):
        found = await has_repository(api(client), REPO)
    assert found.result is ProbeResult.NO
    assert "needs repository" in found.detail


async def test_a_commit_that_cannot_exist_shows_that_statuses_may_be_posted() -> None:
    async with wired(said(404, "Commit not found")) as (client, wire):
        found = await may_post_status(api(client), REPO)
    assert found.result is ProbeResult.YES
    assert wire.asked == [f"POST /repositories/acme/api/commit/{'0' * 40}/statuses/build"]


@pytest.mark.parametrize(
    ("refusal", "result"),
    [
        (said(404, "Repository acme/api not found."), ProbeResult.NO),
        (said(403, "Access denied."), ProbeResult.NO),
        (said(401, "Token is invalid"), ProbeResult.BAD_CREDENTIAL),
        (page(503), ProbeResult.UNTOLD),
        (answer(201, {"key": "x"}), ProbeResult.UNTOLD),
    ],
)
async def test_what_else_is_answered_to_a_status_is_no_yes(refusal: httpx.Response, result: ProbeResult) -> None:
    async with wired(refusal) as (client, _):
        assert (await may_post_status(api(client), REPO)).result is result


async def test_data_center_is_asked_the_same() -> None:
    me = answer(200, {"version": "9.4"}, x_ausername="ci-bot")
    gone = datacenter_said(404, "no commit", "commit.NoSuchCommitException")
    async with datacenter_wired(me, gone) as (client, _):
        assert (await is_token_good(datacenter_api(client))).detail == "the token is ci-bot's"
        assert (await may_post_status(datacenter_api(client), REPO)).result is ProbeResult.YES
