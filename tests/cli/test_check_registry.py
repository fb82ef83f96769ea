"""Doctor at Quay: each right is told apart, nothing is done, and what cannot be known before a push is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from buildbot.cli.check_registry import check_registry, known_repositories
from buildbot.cli.checks import Check, Verdict
from buildbot.config import RegistryConfig, RegistryKind
from buildbot.domain.lifecycle import Limits
from buildbot.domain.rule import Rule
from buildbot.registry.quay import QuayRegistry
from buildbot.sandbox.quay import Quay

pytestmark = pytest.mark.anyio
URL = "http://quay.test"
RULE = Rule("api", "github", "acme/api", "quay", "acme/api", branches=("main",))


def quay() -> Quay:
    sandbox = Quay(URL)
    sandbox.add_repository("acme/api")
    sandbox.grant("acme", "builder", "admin")
    sandbox.grant("acme/api", "writer", "write")
    return sandbox


async def checks(sandbox: Quay, token: str, *rules: Rule) -> list[Check]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        config = RegistryConfig(
            "quay", RegistryKind.QUAY, URL, token, Limits(), 5.0, timedelta(seconds=5), timedelta(seconds=5)
        )
        registry = QuayRegistry(client, url=URL, token=token, request_timeout=config.request_timeout)
        return [check async for check in check_registry(config, registry, rules or (RULE,), client)]


def verdicts(found: list[Check]) -> list[str]:
    return [str(check.verdict) for check in found]


async def test_an_admins_token_is_fine() -> None:
    sandbox = quay()
    found = await checks(sandbox, sandbox.issue_token("builder", ("repo:admin", "repo:read")))
    assert verdicts(found) == ["fine"] * 4
    assert [check.what for check in found] == [
        "the token is accepted",
        "acme/api is there",
        "acme/api: builds may be requested",
        "acme/api: builds may be cancelled",
    ]
    assert sandbox.builds == []


@pytest.mark.parametrize(
    ("user", "scopes", "request_", "cancel"),
    [
        ("builder", ("repo:admin",), "fine", "fine"),
        ("builder", ("repo:read", "repo:write"), "fine", "wrong"),
        ("builder", ("repo:read",), "wrong", "wrong"),
        ("writer", ("repo:admin",), "fine", "wrong"),
    ],
)
async def test_requesting_and_cancelling_are_two_rights(
    user: str, scopes: tuple[str, ...], request_: str, cancel: str
) -> None:
    sandbox = quay()
    found = await checks(sandbox, sandbox.issue_token(user, scopes))
    assert verdicts(found)[-2:] == [request_, cancel]
    if cancel == "wrong":
        assert "builds can be requested but not cancelled" in found[-1].to_do
        assert "repo:admin" in found[-1].to_do


async def test_a_repository_that_is_not_there_is_not_asked_more() -> None:
    sandbox = quay()
    gone = replace(RULE, repository="acme/gone")
    found = await checks(sandbox, sandbox.issue_token("builder", ("repo:admin", "repo:read")), gone)
    assert verdicts(found) == ["fine", "wrong"]
    assert "create the repository at Quay" in found[-1].to_do


async def test_a_bad_token_ends_it() -> None:
    (found,) = await checks(quay(), "wrong")
    assert found.verdict is Verdict.WRONG
    assert "does not accept the token" in found.what
    assert "wrong," not in found.to_do


async def test_an_odd_answer_is_no_verdict() -> None:
    sandbox = quay()
    sandbox.faults.on("500")
    found = await checks(sandbox, sandbox.issue_token("builder"))
    assert set(verdicts(found)) == {"unknown"}
    assert all("could not tell" in check.what for check in found[1:])


async def test_a_quay_that_is_down_is_wrong_and_asked_nothing() -> None:
    sandbox = quay()
    sandbox.faults.on("down")
    (found,) = await checks(sandbox, sandbox.issue_token("builder"))
    assert found.verdict is Verdict.WRONG
    assert found.what.startswith("cannot reach quay.test")
    assert "DNS" in found.to_do


async def test_what_depends_on_the_push_is_said() -> None:
    sandbox = quay()
    rule = replace(RULE, repository="acme/{branch}", pull_robot="acme+puller")
    found = await checks(sandbox, sandbox.issue_token("builder"), rule)
    assert verdicts(found) == ["fine", "unknown", "unknown"]
    assert "acme/{branch} was not looked at: {branch} depends on the push" in found[1].what
    assert "acme+puller" in found[2].what


@pytest.mark.parametrize(
    ("source", "repository", "known"),
    [
        ("acme/api", "acme/api", "acme/api"),
        ("acme/api", "{owner}/{repo}", "acme/api"),
        ("Acme/API", "{owner}/x-{repo}", "acme/x-api"),
        ("acme/*", "acme/{rule}", "acme/api"),
        ("acme/*", "acme/{repo}", None),
        ("acme/api", "acme/{ref}", None),
        ("acme/api", "acme/{default_branch?x}", None),
    ],
)
async def test_a_repository_is_known_where_no_push_decides(source: str, repository: str, known: str | None) -> None:
    names, unknown = known_repositories([replace(RULE, source=source, repository=repository)])
    assert names == ((known,) if known else ())
    assert len(unknown) == (0 if known else 1)


async def test_a_repository_of_two_rules_is_asked_about_once() -> None:
    assert known_repositories([RULE, replace(RULE, name="again")]) == (("acme/api",), ())
