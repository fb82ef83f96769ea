"""What a new configuration keeps of the one before: everything that belongs to the same address and credential."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from buildbot.bootstrap.setup import InForce, Shared, new_setup
from buildbot.engine.pacing import POLL_BURST, Clock
from buildbot.engine.setup import Setup
from buildbot.engine.sites import WRITE_BURST
from buildbot.ports import CredentialRefused
from tests.config.files import ENVIRON, FORGE, GOOD, REGISTRY, RULE, good, rule

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = Clock(lambda: NOW, lambda: 0.0)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as one:
        yield one


@pytest.fixture
def before(client: httpx.AsyncClient) -> InForce:
    config = good(GOOD)
    return InForce(config, new_setup(config, Shared(client, CLOCK)))


def after(before: InForce, client: httpx.AsyncClient, text: str, **environ: str) -> Setup:
    return new_setup(good(text, ENVIRON | environ), Shared(client, CLOCK), before)


async def refuse(setup: Setup) -> None:
    """The registry's token is refused."""

    async def call() -> None:
        raise CredentialRefused("the token is bad")

    with pytest.raises(CredentialRefused):
        await setup.registries["quay"].line.call(call)


async def test_a_table_that_says_the_same_keeps_what_was_built_of_it(
    before: InForce, client: httpx.AsyncClient
) -> None:
    setup = after(before, client, GOOD + rule())
    assert setup.registries["quay"] is before.setup.registries["quay"]
    assert setup.statuses["github"] is before.setup.statuses["github"]
    assert setup.forges["github"] is before.setup.forges["github"] is setup.statuses["github"].site
    assert ([one.name for one in setup.rules], setup.since) == (["api", "web"], NOW)


async def test_a_webhook_secret_is_all_that_changes_with_it(before: InForce, client: httpx.AsyncClient) -> None:
    setup = after(before, client, GOOD, HOOK="another")
    assert setup.hooks["github"].secrets == (b"another",)
    assert setup.statuses["github"] is before.setup.statuses["github"]


async def test_a_new_limit_keeps_the_line_with_what_it_knows(before: InForce, client: httpx.AsyncClient) -> None:
    await refuse(before.setup)
    for number in range(POLL_BURST):
        assert before.setup.registries["quay"].line.poll_wait(str(number)) == pytest.approx(0)
    limits = 'polls_per_second = 2\nsettle_time = "40s"\nbuild_timeout = "1h"'
    site = after(before, client, FORGE + REGISTRY + limits + RULE).registries["quay"]
    assert site.line is before.setup.registries["quay"].line
    assert site.line.trouble
    assert site.line.poll_wait("another") == pytest.approx(1 / 2)
    assert (site.settle_time, site.limits.build_timeout) == (timedelta(seconds=40), timedelta(hours=1))


async def test_a_new_limit_of_writes_keeps_the_purses_with_what_is_spent(
    before: InForce, client: httpx.AsyncClient
) -> None:
    purse = before.setup.statuses["github"].purse("user:ci-bot", CLOCK)
    for _ in range(WRITE_BURST):
        assert purse.budget.take() == 0
    site = after(before, client, FORGE + "writes_per_minute = 30" + REGISTRY + RULE).statuses["github"]
    assert site.site is before.setup.statuses["github"].site
    assert site.purse("user:ci-bot", CLOCK) is purse
    assert purse.budget.take() == pytest.approx(2.0)
    fresh = site.purse("user:other", CLOCK)
    assert [fresh.budget.take() for _ in range(WRITE_BURST + 1)][-1] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("text", "environ"),
    [(GOOD, {"QUAY": "another"}), (FORGE + REGISTRY + 'url = "https://quay.example.com"' + RULE, {})],
    ids=["credential", "address"],
)
async def test_another_way_to_a_registry_starts_with_a_fresh_line(
    before: InForce, client: httpx.AsyncClient, text: str, environ: dict[str, str]
) -> None:
    await refuse(before.setup)
    setup = after(before, client, text, **environ)
    assert before.setup.registries["quay"].line.trouble
    assert not setup.registries["quay"].line.trouble
    assert setup.statuses["github"] is before.setup.statuses["github"]


async def test_another_credential_of_a_forge_starts_with_fresh_purses(
    before: InForce, client: httpx.AsyncClient
) -> None:
    before.setup.statuses["github"].purse("user:ci-bot", CLOCK)
    setup = after(before, client, GOOD, TOKEN="ghp_another")
    assert len(before.setup.statuses["github"].purses) == 1
    assert not setup.statuses["github"].purses
    assert setup.forges["github"].forge is not before.setup.forges["github"].forge
