"""Forges' logs of deliveries against their sandboxes: which webhooks are ours, what failed, and asking once more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from buildbot.bootstrap import ForgeApi
from buildbot.forges.delivery_logs import leads_to
from buildbot.forges.github.app_auth import AppAuth
from buildbot.ports import DeliveryLog, HookLog, LoggedAttempt, NotOffered, Refused, Vanished
from buildbot.sandbox.github import GitHub
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.bitbucket_datacenter.world import BitbucketDataCenterWorld
from tests.forges.gitea.world import ForgejoWorld, GiteaWorld
from tests.forges.github.world import GitHubWorld
from tests.forges.gitlab.world import GitLabWorld
from tests.forges.world import HOOK_URL, NOW, REPO, SECRET, TIMEOUT, ForgeWorld

pytestmark = pytest.mark.anyio


class Bot:
    """What deliveries meet: it answers as it is told."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.heard: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.status is None:
            raise httpx.ConnectError("nobody listens")
        self.heard.append(request.headers.get("x-github-delivery") or request.headers["idempotency-key"])
        return httpx.Response(self.status)


@pytest.fixture
def bot() -> Bot:
    return Bot()


@pytest.fixture(params=[GitHubWorld, GitLabWorld], ids=lambda kind: kind.name)
async def world(request: pytest.FixtureRequest, bot: Bot) -> AsyncIterator[ForgeWorld]:
    """A forge that keeps a log, with a webhook to the bot and an account that may see it."""
    kind = request.param
    sandbox = kind.new_sandbox()
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client,
        httpx.AsyncClient(transport=httpx.MockTransport(bot)) as to_bot,
    ):
        made = kind(client, sandbox)
        (sandbox.hookshot if isinstance(sandbox, GitHub) else sandbox.sender).client = to_bot
        made.add_hook(SECRET)
        let_see(made)
        yield made


def let_see(world: ForgeWorld) -> None:
    if isinstance(world, GitHubWorld):
        world.sandbox.add_collaborator(REPO, "ci-bot", "admin")
    if isinstance(world, GitLabWorld):
        world.sandbox.add_member(REPO, "ci-bot", "maintainer")


def log_of(world: ForgeWorld) -> DeliveryLog:
    api = world.forge
    assert isinstance(api, ForgeApi)
    assert not isinstance(api.delivery_log, NotOffered)
    return api.delivery_log


async def hook_of(world: ForgeWorld) -> HookLog:
    (hook,) = await log_of(world).hooks(REPO, HOOK_URL)
    return hook


async def attempts(world: ForgeWorld, mark: str | None = None) -> tuple[list[LoggedAttempt], str | None]:
    page = await log_of(world).attempts(await hook_of(world), mark)
    assert page.is_whole
    return list(page.attempts), page.mark


async def test_only_webhooks_that_lead_to_the_bot_are_its_own(world: ForgeWorld) -> None:
    log = log_of(world)
    assert (await hook_of(world)).full_name == REPO
    assert len(await log.hooks(REPO, HOOK_URL + "/")) == 1
    assert await log.hooks(REPO, "https://elsewhere.test/webhooks/forge") == ()


async def test_a_credential_that_may_not_see_webhooks_is_refused(world: ForgeWorld) -> None:
    api = world.forge_with(world.token_of("somebody"))
    assert isinstance(api, ForgeApi)
    assert not isinstance(api.delivery_log, NotOffered)
    with pytest.raises((Refused, Vanished)):
        await api.delivery_log.hooks(REPO, HOOK_URL)


@pytest.mark.parametrize("status", [None, 500, 401, 302])
async def test_what_failed_is_told_from_what_arrived_by_the_ids_of_the_headers(
    world: ForgeWorld, bot: Bot, status: int | None
) -> None:
    await world.sandbox.commit_and_push(REPO)
    bot.status = status
    await world.sandbox.commit_and_push(REPO)
    newer, older = (await attempts(world))[0]
    assert (older.is_delivered, newer.is_delivered) == (True, False)
    assert older.guid == bot.heard[0] != newer.guid
    assert newer.told


async def test_a_lost_delivery_is_sent_again_under_its_id(world: ForgeWorld, bot: Bot) -> None:
    bot.status = None
    await world.sandbox.push_tag(REPO, "v1")
    ((lost,), mark) = await attempts(world)
    bot.status = 200
    await log_of(world).redeliver(await hook_of(world), lost.id)
    assert bot.heard == [lost.guid]
    newest = (await attempts(world, mark))[0][0]
    assert (newest.guid, newest.is_delivered) == (lost.guid, True)


async def test_a_delivery_that_the_forge_does_not_know_is_never_sent(world: ForgeWorld) -> None:
    with pytest.raises((Refused, Vanished)):
        await log_of(world).redeliver(await hook_of(world), "999999")


async def test_a_log_of_many_pages_is_read_to_its_end_and_later_only_what_is_new(world: ForgeWorld) -> None:
    for number in range(130):
        await world.sandbox.push_tag(REPO, f"v{number}")
    told, mark = await attempts(world)
    assert len({one.guid for one in told}) == 130
    calls = len(world.sandbox.calls)  # type: ignore[attr-defined]
    await world.sandbox.push_tag(REPO, "newest")
    again, _ = await attempts(world, mark)
    assert again[0].guid not in {one.guid for one in told}
    if isinstance(world, GitLabWorld):
        assert len(again) == 1
        assert len(world.sandbox.calls) == calls + 2


async def test_nothing_new_keeps_the_mark(world: ForgeWorld) -> None:
    assert await attempts(world) == ([], None)
    await world.sandbox.commit_and_push(REPO)
    _, mark = await attempts(world)
    assert mark is not None
    assert (await attempts(world, mark))[1] == mark


async def test_events_that_are_no_pushes_are_left_out() -> None:
    bot = Bot()
    sandbox = GitHubWorld.new_sandbox()
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client,
        httpx.AsyncClient(transport=httpx.MockTransport(bot)) as to_bot,
    ):
        world = GitHubWorld(client, sandbox)
        sandbox.hookshot.client = to_bot
        let_see(world)
        sandbox.add_hook(REPO, HOOK_URL, events=("*",), ping=True)
        await sandbox.flush()
        assert await attempts(world) == ([], NOW.isoformat())


async def test_an_app_reads_the_log_of_its_own_webhook_alone() -> None:
    bot = Bot()
    bot.status = None
    sandbox = GitHubWorld.new_sandbox()
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client,
        httpx.AsyncClient(transport=httpx.MockTransport(bot)) as to_bot,
    ):
        world = GitHubWorld(client, sandbox)
        sandbox.hookshot.client = to_bot
        app = sandbox.add_app(hook_url=HOOK_URL, secret=SECRET)
        sandbox.install(app, "acme")
        auth = AppAuth(
            client, api_url=sandbox.api_url, app_id=app.id, private_key_pem=app.private_key or "", now=lambda: NOW
        )
        api = type(world.forge)(client, api_url=sandbox.api_url, auth=auth, request_timeout=TIMEOUT)  # type: ignore[call-arg]
        assert isinstance(api, ForgeApi)
        log = api.delivery_log
        assert not isinstance(log, NotOffered)
        assert log.owners([REPO, "acme/web"]) == ("",)
        assert log.owners([]) == ()
        await sandbox.commit_and_push(REPO)
        assert await log.hooks("", "https://elsewhere.test/") == ()
        (hook,) = await log.hooks("", HOOK_URL)
        (lost,) = (await log.attempts(hook, None)).attempts
        bot.status = 200
        await log.redeliver(hook, lost.id)
        assert bot.heard == [lost.guid]


async def test_a_token_reads_also_the_organisations_webhooks() -> None:
    sandbox = GitHubWorld.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        world = GitHubWorld(client, sandbox)
        assert log_of(world).owners([REPO, "acme/web", "ada/x"]) == (REPO, "acme/web", "ada/x", "acme", "ada")
        sandbox.add_organisation_hook("acme", HOOK_URL)
        with pytest.raises(Vanished):
            await log_of(world).hooks("acme", HOOK_URL)
        api = world.forge_with(sandbox.issue_token("boss", scopes=("admin:org_hook",)))
        (hook,) = await api.delivery_log.hooks("acme", HOOK_URL)
        assert hook.place.startswith("/orgs/acme/hooks/")
        with pytest.raises(Refused):
            await api.delivery_log.hooks("..", HOOK_URL)


@pytest.mark.parametrize(
    "kind", [GiteaWorld, ForgejoWorld, BitbucketWorld, BitbucketDataCenterWorld], ids=lambda kind: kind.name
)
async def test_other_forges_say_that_they_offer_no_log(kind: type[ForgeWorld]) -> None:
    sandbox = kind.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        api = kind(client, sandbox).forge  # type: ignore[call-arg]
        assert isinstance(api, ForgeApi)
        assert isinstance(api.delivery_log, NotOffered)
        assert api.delivery_log.reason


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("https://builds.test/webhooks/forge", True),
        ("https://BUILDS.test/webhooks/forge/", True),
        ("https://builds.test/webhooks/forge?x=1", True),
        ("http://builds.test/webhooks/forge", False),
        ("https://builds.test/webhooks/other", False),
        ("https://builds.test:444/webhooks/forge", False),
        ("", False),
        (None, False),
    ],
)
def test_whose_address_it_is(address: str | None, is_ours: bool) -> None:
    assert leads_to(address, HOOK_URL) is is_ours
