"""Pushes that never arrived: asked for again where the forge has them in its log, else found by looking at its refs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from buildbot.bootstrap import build_app
from buildbot.config import load
from buildbot.sandbox.pushing import Push
from buildbot.sandbox.serving import listen, serving
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.bitbucket_datacenter.world import BitbucketDataCenterWorld
from tests.forges.gitea.world import ForgejoWorld, GiteaWorld
from tests.forges.github.world import GitHubWorld
from tests.forges.gitlab.world import GitLabWorld
from tests.forges.world import REPO, ForgeWorld
from tests.stories.forge_world import SECRET, ForgeStory, forge_story
from tests.stories.world import PATIENCE_SECONDS, World, until

pytestmark = pytest.mark.anyio
EVERY_FORGE = (GitHubWorld, GitLabWorld, GiteaWorld, ForgejoWorld, BitbucketWorld, BitbucketDataCenterWorld)
REDELIVERY = 'redeliver_every = "5m"\nsweep_every = "off"'
SWEEP = 'redeliver_every = "off"\nsweep_every = "15m"'
BOTH = 'redeliver_every = "5m"\nsweep_every = "15m"'
TAGS = 'tags = ["v*"]\nimage_tags = ["{ref}"]'


@dataclass
class Watcher:
    """A story about a bot that is not told of everything."""

    story: ForgeStory

    async def round(self, name: str) -> dict[str, Any]:
        """How a round stands, as the bot tells it."""
        async with httpx.AsyncClient() as client:
            answer = (await client.get(f"{self.story.bot_url}/readyz")).raise_for_status().json()
        return dict(answer["rounds"].get(name, {}))

    async def look(self, name: str, after_seconds: float = 0) -> dict[str, Any]:
        """Let time pass for the bot and wait until the round has been gone after that."""
        before = (await self.round(name)).get("finished_at")
        self.story.watch.forward(after_seconds)
        return await self.looked(name, before)

    async def looked(self, name: str, before: str | None = None) -> dict[str, Any]:
        """Wait until the round has been gone after `before`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            report = await self.round(name)
            if report.get("finished_at") and (before is None or report["finished_at"] > before):
                return report
            assert time.monotonic() < deadline, f"the {name} round was not gone after {before}: {report}"
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def bot(self, *rounds: str) -> AsyncIterator[None]:
        """The bot, once the named rounds have been gone since it was started."""
        began = self.story.watch.clock().now().isoformat()
        async with self.story.bot():
            for name in rounds:
                await self.looked(name, began)
            yield

    async def push(self, *, deliver: bool = True, **named: Any) -> Push[Any, Any]:
        """A commit on main; not delivered it is lost."""
        push: Push[Any, Any] = await self.story.sandbox.commit_and_push(REPO, deliver=deliver, **named)
        self.story.sandbox.outbox.clear()
        return push

    @property
    def built(self) -> list[str]:
        """The commits that were built, in the order in which that was asked for."""
        archives = [str(build.archive_url) for build in self.story.quay.builds]
        return [part for url in archives for part in url.replace(".", "/").split("/") if len(part) == 40]

    async def all_final(self, *pushes: Push[Any, Any]) -> None:
        """Wait for the statuses of some pushes to be final."""
        for push in pushes:
            await self.story.final_status(push.sha)


@asynccontextmanager
async def a_watcher(kind: type[ForgeWorld], folder: Path, rounds: str, rule: str = "") -> AsyncIterator[Watcher]:
    async with forge_story(kind, folder) as story:
        story.rounds, story.rule = rounds, rule
        yield Watcher(story)


def let_see_webhooks(story: ForgeStory) -> None:
    """Give the bot's account what it takes to see the repository's webhooks."""
    if isinstance(story.forge, GitHubWorld):
        story.forge.sandbox.add_collaborator(REPO, "ci-bot", "admin")
    if isinstance(story.forge, GitLabWorld):
        story.forge.sandbox.add_member(REPO, "ci-bot", "maintainer")


def redelivered(story: ForgeStory) -> int:
    """How often the forge was asked to deliver once more."""
    return sum(one.method == "POST" and one.path.endswith(("/attempts", "/resend")) for one in story.sandbox.calls)


# ── redelivery ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [GitHubWorld, GitLabWorld], ids=lambda kind: kind.name)
async def test_a_push_while_the_bot_was_down_is_delivered_again_and_built_once(
    kind: type[ForgeWorld], tmp_path: Path
) -> None:
    async with a_watcher(kind, tmp_path, BOTH) as watcher:
        let_see_webhooks(watcher.story)
        async with watcher.bot("redelivery", "sweep"):
            told = await watcher.push()
            await watcher.all_final(told)
        lost = await watcher.push()
        assert [attempt.status_code for attempt in lost.attempts] == [0]
        async with watcher.bot("redelivery", "sweep"):
            await watcher.all_final(lost)
            assert (await watcher.look("redelivery", 301))["found"] == 1
            assert (await watcher.look("sweep", 901))["found"] == 0
        assert watcher.built == [told.sha, lost.sha]
        assert redelivered(watcher.story) == 1


async def test_an_organisations_webhook_is_read_where_the_credential_may_see_it(tmp_path: Path) -> None:
    async with a_watcher(GitHubWorld, tmp_path, REDELIVERY) as watcher:
        github = watcher.story.forge.sandbox
        watcher.story.environ["FORGE_TOKEN"] = github.issue_token("ci-bot", scopes=("repo", "admin:org_hook"))  # type: ignore[attr-defined]
        async with watcher.bot("redelivery"):
            github.state.hooks.clear()  # type: ignore[attr-defined]
            github.add_organisation_hook("acme", f"{watcher.story.bot_url}/webhooks/source", secret=SECRET)  # type: ignore[attr-defined]
        lost = await watcher.push()
        watcher.story.watch.forward(3601)
        async with watcher.bot("redelivery"):
            await watcher.all_final(lost)
        assert watcher.built == [lost.sha]


async def test_an_app_reads_its_own_log(world: World) -> None:
    with listen() as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    app = world.github.add_app(hook_url=f"{url}/webhooks/github", secret=world.environ["GITHUB_WEBHOOK_SECRET"])
    world.github.install(app, "acme")
    key = world.folder / "app.pem"
    key.write_text(app.private_key or "")
    world.setting.credential = f'app_id = {app.id}\nprivate_key = "file:{key}"'
    world.setting.rounds, world.setting.public_url = REDELIVERY, f'public_url = "{url}"'
    lost = await world.github.commit_and_push(REPO)
    assert [attempt.status_code for attempt in lost.attempts] == [0]
    bot = build_app(load(world.write_config(), world.environ), world.watch.clock())
    async with serving(bot, listening=listen(port), lifespan=True):
        assert (await world.final_status(lost.sha)).state == "success"
    asked = [one.path for one in world.github.calls if one.path.startswith("/app/hook")]
    assert asked[:2] == ["/app/hook/config", "/app/hook/deliveries"]
    assert asked[2].endswith("/attempts")


async def test_a_credential_that_may_not_see_webhooks_is_told_once_and_is_no_trouble(tmp_path: Path) -> None:
    async with a_watcher(GitLabWorld, tmp_path, REDELIVERY) as watcher, watcher.bot("redelivery"):
        report = await watcher.round("redelivery")
        assert report["troubles"] == []
        (note,) = report["notes"]
        assert "acme/api are not asked for again, since its webhooks cannot be listed" in note
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{watcher.story.bot_url}/readyz")).json()["degraded"] == {}


async def test_a_delivery_that_fails_again_and_again_is_given_up_and_shown(tmp_path: Path) -> None:
    async with a_watcher(GitHubWorld, tmp_path, REDELIVERY) as watcher:
        let_see_webhooks(watcher.story)
        async with watcher.bot("redelivery"):
            pass
        await watcher.push()
        watcher.story.environ["WEBHOOK_SECRET"] = "another secret"
        async with watcher.bot("redelivery"):
            for doublings in range(9):
                report = await watcher.look("redelivery", 300 * 2**doublings + 61)
            assert redelivered(watcher.story) == 8
            assert report["notes"]
            assert report["notes"][0].startswith("1 delivery given up: ")
            assert "Invalid HTTP Response: 401" in report["notes"][0]
            await watcher.look("redelivery", 100_000)
            assert redelivered(watcher.story) == 8
        assert watcher.built == []


# ── sweep ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", EVERY_FORGE, ids=lambda kind: kind.name)
async def test_a_push_that_no_delivery_told_of_is_found_and_built_once(kind: type[ForgeWorld], tmp_path: Path) -> None:
    async with a_watcher(kind, tmp_path, SWEEP) as watcher, watcher.bot("sweep"):
        lost = await watcher.push(deliver=False, message="Nobody told")
        await watcher.look("sweep", 901)
        assert watcher.story.quay.builds == []
        report = await watcher.look("sweep", 61)
        await watcher.all_final(lost)
        assert (report["found"], report["found_what"]) == (1, f"acme/api main at {lost.sha[:7]}")
        told = await watcher.push()
        await watcher.all_final(told)
        await watcher.look("sweep", 901)
        assert len(watcher.story.quay.builds) == 2


@pytest.mark.parametrize("kind", [GitHubWorld, GitLabWorld], ids=lambda kind: kind.name)
@pytest.mark.parametrize("annotated", [False, True])
async def test_four_tags_pushed_at_once_are_all_found_and_built_once(
    kind: type[ForgeWorld], annotated: bool, tmp_path: Path
) -> None:
    async with a_watcher(kind, tmp_path, SWEEP, TAGS) as watcher, watcher.bot("sweep"):
        pushes = await watcher.story.sandbox.push_tags(REPO, "v1", "v2", "v3", "v4", "other", annotated=annotated)
        assert not [push for push in pushes if push.attempts]
        await watcher.look("sweep", 901)
        assert (await watcher.look("sweep", 61))["found"] == 4
        await until(lambda: all(watcher.story.quay.image("acme/api", name) for name in ("v1", "v2", "v3", "v4")))
        assert (await watcher.look("sweep", 901))["found"] == 4
        assert sorted(tag for build in watcher.story.quay.builds for tag in build.tags) == ["v1", "v2", "v3", "v4"]


async def test_pushes_to_a_webhook_that_was_switched_off_are_found(tmp_path: Path) -> None:
    async with a_watcher(GitHubWorld, tmp_path, BOTH) as watcher, watcher.bot("sweep"):
        github = watcher.story.forge.sandbox
        github.switch_off(github.state.hooks[0])  # type: ignore[attr-defined]
        lost = await watcher.push()
        assert lost.attempts == ()
        await watcher.look("sweep", 901)
        await watcher.look("sweep", 61)
        await watcher.all_final(lost)
        assert watcher.built == [lost.sha]


async def test_the_first_start_on_an_old_repository_builds_nothing(tmp_path: Path) -> None:
    async with a_watcher(GiteaWorld, tmp_path, SWEEP, TAGS) as watcher:
        await watcher.push(deliver=False)
        await watcher.story.sandbox.push_tags(REPO, "v1", "v2", deliver=False)
        async with watcher.bot("sweep"):
            assert (await watcher.look("sweep", 901))["looked"] == 1
            assert (await watcher.look("sweep", 901))["found"] == 0
        assert watcher.story.quay.builds == []


@pytest.mark.parametrize("kind", EVERY_FORGE, ids=lambda kind: kind.name)
async def test_a_delivery_that_comes_after_the_sweep_makes_no_second_build(
    kind: type[ForgeWorld], tmp_path: Path
) -> None:
    async with a_watcher(kind, tmp_path, SWEEP) as watcher, watcher.bot("sweep"):
        first = await watcher.story.sandbox.commit_and_push(REPO, deliver=False)
        second = await watcher.story.sandbox.commit_and_push(REPO, deliver=False)
        await watcher.look("sweep", 901)
        await watcher.look("sweep", 61)
        await watcher.all_final(second)
        for push in (second, first):
            for delivery in push.deliveries:
                answer = await watcher.story.sandbox.deliver(delivery)
                assert answer.status_code in {200, 202}, answer.answer
        await watcher.look("sweep", 901)
        assert len(watcher.story.quay.builds) == 1


async def test_a_commit_that_asks_for_no_build_is_not_built_by_the_sweep_either(tmp_path: Path) -> None:
    async with a_watcher(GiteaWorld, tmp_path, SWEEP) as watcher, watcher.bot("sweep"):
        await watcher.push(deliver=False, message="Docs [skip ci]")
        await watcher.look("sweep", 901)
        assert (await watcher.look("sweep", 61))["found"] == 0
        assert (await watcher.look("sweep", 901))["found"] == 0
        assert watcher.story.quay.builds == []


async def test_a_build_says_that_the_sweep_found_it(tmp_path: Path) -> None:
    async with a_watcher(GitHubWorld, tmp_path, SWEEP) as watcher, watcher.bot("sweep"):
        lost = await watcher.push(deliver=False)
        await watcher.look("sweep", 901)
        await watcher.look("sweep", 61)
        await watcher.all_final(lost)
        page = watcher.story.forge.shown(lost.sha)[0].target_url
        async with httpx.AsyncClient() as client:
            assert "Found by the sweep" in (await client.get(page)).text  # type: ignore[arg-type]
            told = (await client.get(page, headers={"Accept": "application/json"})).json()  # type: ignore[arg-type]
        assert told["found_by"] == "sweep"


async def test_an_idle_sweep_costs_one_conditional_request_a_kind_and_repository_and_nothing_of_the_limit(
    tmp_path: Path,
) -> None:
    others = "".join(
        f'\n[[rules]]\nname = "{name}"\nsource = "acme/{name}"\nbranches = ["main"]\nrepository = "acme/api"\n'
        for name in ("web", "docs", "cli")
    )
    async with a_watcher(GitHubWorld, tmp_path, SWEEP, TAGS + others) as watcher:
        github = watcher.story.sandbox
        for name in ("web", "docs", "cli"):
            github.add_repository(f"acme/{name}")
        async with watcher.bot("sweep"):
            github.calls.clear()
            spent = dict(github.state.limits.used)
            assert (await watcher.look("sweep", 901))["looked"] == 4
            lists = [one.path.removeprefix("/repos/acme/").replace("/git/matching-refs", "") for one in github.calls]
            assert sorted(lists) == ["api/heads", "api/tags", "cli/heads", "docs/heads", "web/heads"]
            assert {one.status for one in github.calls} == {304}
            assert github.state.limits.used == spent


async def test_what_a_forge_that_is_away_hides_is_trouble_and_found_when_it_is_back(tmp_path: Path) -> None:
    async with a_watcher(GiteaWorld, tmp_path, SWEEP) as watcher, watcher.bot("sweep"):
        lost = await watcher.push(deliver=False)
        watcher.story.forge.faults.fail(503, times=100, on="/branches")
        report = await watcher.look("sweep", 901)
        assert report["troubles"]
        watcher.story.forge.faults.clear()
        report = await watcher.look("sweep", 61)
        assert report["troubles"] == []
        await watcher.look("sweep", 61)
        await watcher.all_final(lost)
