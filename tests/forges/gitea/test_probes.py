"""Doctor's questions to a sandbox Gitea and Forgejo: each answer as a result and words, and nothing changed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from buildbot.forges.gitea.probes import has_repository, is_token_good, may_post_status
from buildbot.forges.probes import ProbeResult
from tests.forges.gitea.world import ForgejoWorld, GiteaWorld
from tests.forges.world import REPO

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[GiteaWorld, ForgejoWorld], ids=lambda kind: kind.name)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[GiteaWorld]:
    sandbox = request.param.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        yield request.param(client, sandbox)


@pytest.mark.parametrize(
    ("scopes", "role", "result", "words"),
    [
        (("write:repository",), "write", ProbeResult.YES, "may post commit statuses"),
        (("all",), "admin", ProbeResult.YES, "may post commit statuses"),
        (("write:repository",), "read", ProbeResult.NO, "permission to write"),
        (("read:repository",), "write", ProbeResult.NO, "required scope"),
    ],
)
async def test_whether_statuses_may_be_posted_is_tried_on_no_commit(
    world: GiteaWorld, scopes: tuple[str, ...], role: str, result: ProbeResult, words: str
) -> None:
    token = world.sandbox.issue_token("bot", scopes=scopes, collaborator=REPO, role=role)
    finding = await may_post_status(world.forge_with(token), REPO)
    assert (finding.result, words in finding.detail) == (result, True)
    assert world.sandbox.repository(REPO).statuses == []


async def test_a_token_that_sees_nothing_may_not_post(world: GiteaWorld) -> None:
    world.hide()
    stranger = world.forge_with(world.token_of("stranger"))
    assert (await may_post_status(stranger, REPO)).result is ProbeResult.NO
    assert (await has_repository(stranger, REPO)).result is ProbeResult.NO


async def test_trouble_is_told_apart_from_no(world: GiteaWorld) -> None:
    world.faults.down()
    for finding in (await may_post_status(world.forge, REPO), await has_repository(world.forge, REPO)):
        assert finding.result is ProbeResult.UNTOLD


async def test_a_tokens_owner_is_told_where_the_token_may_ask(world: GiteaWorld) -> None:
    good = await is_token_good(world.forge)
    assert (good.result, "ci-bot's" in good.detail) == (ProbeResult.YES, True)
    silent = world.forge_with(world.sandbox.issue_token("ci-bot", scopes=("write:repository",)))
    assert (await is_token_good(silent)).result is ProbeResult.UNTOLD
    wrong = world.forge_with("wr0ng-wr0ng-wr0ng-wr0ng")
    assert (await is_token_good(wrong)).result is ProbeResult.BAD_CREDENTIAL


async def test_a_repository_is_described_under_its_present_name(world: GiteaWorld) -> None:
    world.rename("acme/service")
    finding = await has_repository(world.forge, REPO)
    assert finding.detail == "acme/api is there, now called acme/service: public, default branch main"
