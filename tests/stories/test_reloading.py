"""The configuration changes while the bot runs: what is new counts from then on, what was planned stays as planned.

The bot's clock is never put forward here, so whatever is put off for a minute by a refused credential would make a
story fail: it has to be mended by the new configuration itself.
"""

from __future__ import annotations

import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from buildbot.sandbox.github import Push
from tests.stories.program import program
from tests.stories.world import REPOSITORY, RULE, SECRET, World, until

pytestmark = pytest.mark.anyio

WEB_RULE = RULE.replace('"api"', '"web"').replace('["main", "release/*"]', '["web"]').replace('tags = ["v*"]', "")
NEXT_SECRET = "the next secret of the hook"


@pytest.fixture
async def world(world: World) -> World:
    """Its secrets are in files."""
    for name, variable in (("hook", "GITHUB_WEBHOOK_SECRET"), ("github", "GITHUB_TOKEN"), ("quay", "QUAY_TOKEN")):
        put(world, name, world.environ[variable])
    world.setting.secrets = '"file:hook"'
    world.setting.credential = 'token = "file:github"'
    world.setting.registry_token = "file:quay"
    return world


def put(world: World, name: str, secret: str) -> None:
    (world.folder / name).write_text(secret + "\n")


async def push(world: World, ref: str | None = None) -> Push:
    return await world.github.commit_and_push(REPOSITORY, ref=ref)


async def degraded(world: World) -> dict[str, str]:
    """What /readyz names; it is ready all the same."""
    answer = await world.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    return dict(answer.json()["degraded"])


async def metric(world: World, name: str, **labels: str) -> float:
    text = (await world.get("/metrics")).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next(one.value for one in samples if (one.name, one.labels) == (name, labels))


def refuse_quay_token(world: World) -> str:
    """The token that Quay takes no more, and another one for the same account."""
    world.quay.revoke_token((world.folder / "quay").read_text().strip())
    return world.quay.issue_token("builder")


async def until_refused(world: World, pushed: Push) -> None:
    await world.until_build(pushed, lambda build: "does not accept the token" in build["description"])


# ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_rule_that_is_added_builds_the_next_push(world: World) -> None:
    async with world.bot():
        assert world.built_by(await push(world, "web")) == []
        world.setting.rules = RULE + WEB_RULE
        assert await world.reconfigure() == "success"
        pushed = await push(world, "web")
        assert (await world.final_status(pushed.sha, "quay/web")).state == "success"


async def test_a_queued_build_keeps_the_image_tags_it_was_planned_with(world: World) -> None:
    token = refuse_quay_token(world)
    async with world.bot():
        queued = await push(world)
        await until_refused(world, queued)
        put(world, "quay", token)
        world.setting.rules = RULE.replace('"{ref}"', '"now-{ref}"')
        assert await world.reconfigure() == "success"
        assert (await world.final_status(queued.sha)).state == "success"
        assert world.image_commit("main") == queued.sha
        assert world.image_commit("now-main") is None
        later = await push(world)
        assert (await world.final_status(later.sha)).state == "success"
        assert (world.image_commit("main"), world.image_commit("now-main")) == (queued.sha, later.sha)


# ── a bad version ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_broken_file_keeps_the_old_version_and_is_told_until_it_is_mended(world: World) -> None:
    async with world.bot():
        since = await metric(world, "buildbot_config_last_reload_success_timestamp_seconds")
        world.setting.rules = RULE.replace("branches", "branchs") + '[[rules]]\nname = "api"\n'
        assert await world.reconfigure() == "failure"
        told = (await degraded(world))["configuration"]
        assert f"{world.config_file}:" in told
        assert "did you mean branches?" in told
        assert "UTC stays in force" in told
        assert await metric(world, "buildbot_config_last_reload_success") == 0
        assert await metric(world, "buildbot_config_last_reload_success_timestamp_seconds") == since
        pushed = await push(world)
        assert (await world.final_status(pushed.sha)).state == "success"
        world.setting.rules = RULE
        assert await world.reconfigure() == "success"
        assert await degraded(world) == {}
        assert await metric(world, "buildbot_config_last_reload_success") == 1
        assert await metric(world, "buildbot_config_last_reload_success_timestamp_seconds") > since


async def test_what_needs_a_restart_stays_as_it_was_and_is_told(world: World) -> None:
    async with world.bot():
        before = world.setting.listen, world.setting.store
        world.setting.listen, world.setting.store = "127.0.0.1:1", 'lease = "20s"'
        world.setting.rules = RULE + WEB_RULE
        assert await world.reconfigure() == "success"
        told = (await degraded(world))["configuration"]
        assert "server.listen and store.lease" in told
        assert "needs a restart" in told
        assert world.built_by(await push(world, "web")), "the rest is in force"
        world.setting.listen, world.setting.store = before
        assert await world.reconfigure() == "success"
        assert await degraded(world) == {}


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_secret_that_rotates_is_taken_up_and_the_old_one_refused(world: World) -> None:
    async with world.bot() as url:
        put(world, "hook", NEXT_SECRET)
        assert await world.reread() == "success"
        assert (await push(world)).attempts[0].status_code == 401
        world.github.state.hooks.clear()
        world.github.add_hook(REPOSITORY, f"{url}/webhooks/github", secret=NEXT_SECRET)
        assert (await push(world)).attempts[0].status_code == 202


async def test_a_registry_token_that_rotates_mends_a_paused_registry_at_once(world: World) -> None:
    token = refuse_quay_token(world)
    async with world.bot():
        pushes = [await push(world, ref) for ref in (None, "release/1", "release/2")]
        for one in pushes:
            await until_refused(world, one)
        assert "token" in (await degraded(world))["quay"]
        put(world, "quay", token)
        assert await world.reread() == "success"
        for one in pushes:
            assert (await world.final_status(one.sha)).state == "success"
        assert await degraded(world) == {}


async def test_a_registry_token_that_rotates_mends_builds_that_are_under_way(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
        token = refuse_quay_token(world)
        await until_refused(world, pushed)
        put(world, "quay", token)
        assert await world.reread() == "success"
        await world.until_build(pushed, lambda build: "does not accept" not in build["description"])
        newer = await push(world)
        assert "Superseded" in str((await world.final_status(pushed.sha)).description)
        assert world.built_by(newer)


async def test_a_forge_token_that_rotates_delivers_what_waited_for_it_at_once(world: World) -> None:
    world.github.faults.revoke(world.environ["GITHUB_TOKEN"])
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["phase"] == "succeeded")
        assert world.statuses(pushed.sha) == []
        put(world, "github", world.github.issue_token("ci-bot", collaborator=REPOSITORY))
        assert await world.reread() == "success"
        assert (await world.final_status(pushed.sha)).state == "success"


# ── what is gone ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_removed_registry_ends_its_builds_and_says_so(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["quay_phase"] == "building")
        world.setting.registry_name = "other"
        assert await world.reconfigure() == "success"
        status = await world.final_status(pushed.sha)
    assert (status.state, status.description) == ("error", "The registry quay is no longer configured (main)")


async def test_a_status_for_a_removed_forge_is_dropped_and_says_so(world: World) -> None:
    world.github.faults.revoke(world.environ["GITHUB_TOKEN"])
    async with world.bot():
        pushed = await push(world)
        await world.until_build(pushed, lambda build: build["phase"] == "succeeded")
        text = world.config_file.read_text()
        world.config_file.write_text(text.replace("[forges.github]", "[forges.hub]"))
        assert await world.reread() == "success"
        assert await stopped(world, pushed) == "the forge github is no longer configured"


async def stopped(world: World, pushed: Push) -> str:
    """Why the status of a push's build was given up, once it is."""
    build = await world.until_build(pushed, lambda build: bool(build["status"]["stopped"]))
    return str(build["status"]["stopped"])


# ── the real program ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_program_reads_its_configuration_again_at_sighup_and_whenever_a_file_changes(world: World) -> None:
    async with program(world) as bot:
        assert bot.process is not None
        world.setting.rules = RULE + WEB_RULE
        world.write_config()
        bot.process.send_signal(signal.SIGHUP)
        await until(lambda: len(bot.told("configuration taken over")) == 1)
        assert bot.told("configuration taken over")[0]["changed"] == ["rule web"]
        assert (await world.final_status((await push(world, "web")).sha, "quay/web")).state == "success"
        world.environ["NEXT_SECRET"] = NEXT_SECRET  # no line may hold it
        put(world, "hook", NEXT_SECRET)
        await until(lambda: len(bot.told("configuration taken over")) == 2)
        assert bot.told("configuration taken over")[1]["changed"] == ["forges.github"]
        assert (await push(world)).attempts[0].status_code == 401
        world.setting.rules = RULE.replace("branches", "branchs")
        world.write_config()
        await until(lambda: bool(bot.told("configuration not taken over")))
        (refused,) = bot.told("configuration not taken over")
        assert [one for one in refused["mistakes"] if "did you mean branches?" in one]
        assert SECRET not in "\n".join(bot.lines)
        assert await bot.stop() == 0
