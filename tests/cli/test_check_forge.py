"""Doctor at the forges: whose credential, which repositories, which rights; and nothing is posted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest

from buildbot.bootstrap import ForgeApi
from buildbot.cli.check_forge import check_forge
from buildbot.cli.checks import Check, Verdict
from buildbot.config import ForgeConfig, ForgeKind
from buildbot.domain.rule import ArchiveRoute, Rule
from buildbot.forges.github.api import Auth, GitHubApi, TokenAuth
from buildbot.forges.github.app_auth import AppAuth
from buildbot.sandbox.bitbucket import Bitbucket
from buildbot.sandbox.github import GitHub
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.test_contract import WORLDS
from tests.forges.world import REPO, ForgeWorld

pytestmark = pytest.mark.anyio
RULE = Rule("api", "github", "acme/api", "quay", "acme/api", branches=("main",))


@dataclass(frozen=True)
class Credential:
    """How the bot is somebody."""

    token: str | None = None
    app_id: str | None = None
    private_key: str | None = None

    def auth(self, client: httpx.AsyncClient, api_url: str) -> Auth:
        if self.app_id and self.private_key:
            return AppAuth(client, api_url=api_url, app_id=self.app_id, private_key_pem=self.private_key)
        return TokenAuth(self.token or "none")


def github() -> GitHub:
    sandbox = GitHub()
    sandbox.add_repository("acme/api")
    return sandbox


async def checks(sandbox: GitHub, credential: Credential, *rules: Rule) -> list[Check]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        config = ForgeConfig(
            "github",
            ForgeKind.GITHUB,
            sandbox.url,
            sandbox.api_url,
            (b"secret",),
            credential.token,
            credential.app_id,
            credential.private_key,
            60,
        )
        auth = credential.auth(client, sandbox.api_url)
        api = GitHubApi(
            client,
            api_url=sandbox.api_url,
            auth=auth,
            request_timeout=timedelta(seconds=5),
            retry_pause=timedelta(),
        )
        return [check async for check in check_forge(config, api, rules or (RULE,), client)]


def token(sandbox: GitHub, *scopes: str, role: str = "write") -> Credential:
    return Credential(sandbox.issue_token("ci-bot", scopes=scopes, collaborator="acme/api", role=role))


def verdicts(found: list[Check]) -> list[str]:
    return [str(check.verdict) for check in found]


async def test_a_token_that_is_enough_is_fine() -> None:
    sandbox = github()
    found = await checks(sandbox, token(sandbox, "repo:status"))
    assert verdicts(found) == ["fine"] * 3
    assert "ci-bot's" in found[0].what
    assert "default branch main" in found[1].what
    assert sandbox.repository("acme/api").statuses == []


async def test_a_reader_may_not_post() -> None:
    sandbox = github()
    found = await checks(sandbox, token(sandbox, "repo:status", role="read"))
    assert verdicts(found) == ["fine", "fine", "wrong"]
    assert "Commit statuses: read and write" in found[-1].to_do


async def test_scopes_that_lack_statuses_are_told_with_what_to_do() -> None:
    sandbox = github()
    found = await checks(sandbox, token(sandbox, "read:org"))
    assert found[0].verdict is Verdict.WRONG
    assert "lack repo:status" in found[0].what
    assert "repo:status" in found[0].to_do


async def test_a_bad_token_ends_it() -> None:
    (found,) = await checks(github(), Credential("ghp_wrong"))
    assert found.verdict is Verdict.WRONG
    assert "wrong, expired or revoked" in found.what
    assert "ghp_wrong" not in found.what


@pytest.mark.parametrize(("scope", "told"), [("repo", "is private"), ("repo:status", "may not even see it")])
async def test_a_private_repository_is_wrong_where_no_builder_gets_its_source(scope: str, told: str) -> None:
    sandbox = github()
    credential = token(sandbox, scope)
    sandbox.set_private("acme/api")
    found = await checks(sandbox, credential)
    (wrong,) = [check for check in found if check.verdict is Verdict.WRONG]
    assert told in wrong.what
    assert "without credentials" in wrong.to_do


async def test_a_private_repository_is_fine_where_its_source_goes_through_the_bot() -> None:
    sandbox = github()
    credential = token(sandbox, "repo")
    sandbox.set_private("acme/api")
    found = await checks(sandbox, credential, replace(RULE, can_relay=True))
    assert verdicts(found) == ["fine"] * 4
    assert "goes through the bot" in found[2].what


async def test_a_private_repository_is_wrong_where_a_rule_goes_past_the_bot() -> None:
    sandbox = github()
    credential = token(sandbox, "repo")
    sandbox.set_private("acme/api")
    direct = replace(RULE, name="past", can_relay=True, archive=ArchiveRoute.DIRECT)
    found = await checks(sandbox, credential, replace(RULE, can_relay=True), direct)
    (wrong,) = [check for check in found if check.verdict is Verdict.WRONG]
    assert 'leave archive = "direct" away' in wrong.to_do


async def test_who_may_not_even_see_private_source_cannot_pass_it_on() -> None:
    sandbox = github()
    credential = token(sandbox, "repo:status")
    sandbox.set_private("acme/api")
    found = await checks(sandbox, credential, replace(RULE, can_relay=True))
    (wrong,) = [check for check in found if check.verdict is Verdict.WRONG]
    assert "public_url" not in wrong.to_do
    assert "let the credential read the source" in wrong.to_do


@asynccontextmanager
async def forges(kind: type[Any]) -> AsyncIterator[ForgeWorld]:
    sandbox = kind.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        yield kind(client, sandbox)


async def asked(world: ForgeWorld, token: str | None = None, source: str = "acme/api") -> list[Check]:
    kind, sandbox = ForgeKind(world.name), cast("Any", world.sandbox)
    config = ForgeConfig(world.name, kind, sandbox.url, sandbox.api_url, (b"secret",), token, None, None, 60)
    api = cast("ForgeApi", world.forge if token is None else world.forge_with(token))
    rule = replace(RULE, forge=world.name, source=source, can_relay=True)
    return [check async for check in check_forge(config, api, [rule], world.client)]


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
async def test_every_forge_is_asked_the_same_and_nothing_is_posted(kind: type[Any]) -> None:
    async with forges(kind) as world:
        found = await asked(world)
        assert verdicts(found)[1:] == ["fine", "fine"], found
        assert found[0].verdict is not Verdict.WRONG
        assert found[0].about.startswith(f"forge {world.name} (http")
        assert world.shown(world.head) == []


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
async def test_at_every_forge_private_source_goes_through_the_bot(kind: type[Any]) -> None:
    async with forges(kind) as world:
        world.hide()
        found = await asked(world)
        assert "acme/api is private: its source goes through the bot" in [check.what for check in found]
        assert "wrong" not in verdicts(found)


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
async def test_at_every_forge_a_token_that_is_none_is_wrong_in_its_words(kind: type[Any]) -> None:
    async with forges(kind) as world:
        found = await asked(world, token="no-token-of-anybody")
        wrong = [check for check in found if check.verdict is Verdict.WRONG]
        assert wrong
        assert all(check.to_do for check in wrong)
        assert "no-token-of-anybody" not in str(found)


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
async def test_at_every_forge_a_repository_that_is_not_there_is_wrong(kind: type[Any]) -> None:
    async with forges(kind) as world:
        found = await asked(world, source="acme/gone")
        assert verdicts(found)[1:] == ["wrong"]
        assert "check the rule's `source`" in found[-1].to_do


async def test_a_persons_token_of_bitbucket_is_not_enough_for_private_source() -> None:
    async with forges(BitbucketWorld) as world:
        world.hide()
        person = cast("Bitbucket", world.sandbox).issue_api_token("ci-bot", collaborator=REPO)
        found = await asked(world, token=person)
        (wrong,) = [check for check in found if check.verdict is Verdict.WRONG]
        assert wrong.what == "acme/api is private, and the token is a person's"
        assert "access tokens only" in wrong.to_do


async def test_a_repository_that_is_not_there_is_one_line() -> None:
    sandbox = github()
    found = await checks(sandbox, token(sandbox, "repo"), replace(RULE, source="acme/gone"))
    assert verdicts(found) == ["fine", "wrong"]
    assert "check the rule's `source`" in found[-1].to_do


async def test_patterns_and_other_forges_are_not_asked_about() -> None:
    sandbox = github()
    rules = (replace(RULE, source="acme/*"), replace(RULE, forge="work"))
    found = await checks(sandbox, token(sandbox, "repo"), *rules)
    assert verdicts(found) == ["fine", "unknown"]
    assert "acme/* is a pattern" in found[-1].what


async def test_a_source_of_two_rules_is_asked_about_once() -> None:
    sandbox = github()
    assert len(await checks(sandbox, token(sandbox, "repo"), RULE, replace(RULE, name="again"))) == 3


async def test_an_app_is_asked_who_it_is() -> None:
    sandbox = github()
    app = sandbox.add_app()
    sandbox.install(app, "acme")
    found = await checks(sandbox, Credential(app_id=str(app.id), private_key=app.private_key))
    assert verdicts(found) == ["fine"] * 3
    assert f"the App is {app.slug}" in found[0].what


async def test_an_app_that_asks_for_too_little_is_told_its_permissions() -> None:
    sandbox = github()
    app = sandbox.add_app(permissions={"metadata": "read"})
    found = await checks(sandbox, Credential(app_id=str(app.id), private_key=app.private_key))
    assert found[0].verdict is Verdict.WRONG
    assert "permissions" in found[0].to_do


async def test_a_github_that_is_away_is_asked_nothing() -> None:
    def down(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    sandbox = github()
    async with httpx.AsyncClient(transport=httpx.MockTransport(down)) as client:
        config = ForgeConfig("github", ForgeKind.GITHUB, sandbox.url, sandbox.api_url, (), "t", None, None, 60)
        api = GitHubApi(client, api_url=sandbox.api_url, auth=TokenAuth("t"), request_timeout=timedelta(seconds=5))
        (found,) = [check async for check in check_forge(config, api, [RULE], client)]
    assert found == Check(
        "forge github (http://github.test)",
        Verdict.WRONG,
        "cannot reach github.test: connection refused",
        "check `url` and `api_url`, DNS, proxies and firewalls",
    )
