"""A rule about some paths only: what does not concern it is skipped on proof, at every forge, and never without."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buildbot.domain.status import StatusState
from buildbot.sandbox.pushing import Push
from tests.forges.gitlab.world import GitLabWorld
from tests.forges.world import REPO
from tests.stories.forge_world import FORGES, ForgeStory
from tests.stories.world import PATIENCE_SECONDS, until

pytestmark = pytest.mark.anyio
FILES = {"Dockerfile": "FROM alpine:3.20\n", "src__main": "1"}
COMPARE = ("/compare", "/diffstat/", "/changes")


@pytest.fixture
def story(story: ForgeStory) -> ForgeStory:
    """A rule about what is in src/."""
    story.rule = 'paths = ["src/**"]'
    return story


async def skipped(story: ForgeStory, push: Push[Any, Any]) -> str:
    """Wait for the build of a push to be skipped; why it was."""
    await until_phase(story, push, "skipped")
    assert story.forge.shown(push.sha) == []
    return str((await story.page(push))["because"])


async def until_phase(story: ForgeStory, push: Push[Any, Any], phase: str) -> None:
    seen = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while seen != phase:
            await asyncio.sleep(0.05)
            seen = str((await story.page(push))["phase"])


@pytest.mark.parametrize("story", FORGES, indirect=True, ids=lambda kind: kind.name)
async def test_what_does_not_concern_a_rule_is_not_built_whatever_the_webhook_tells(story: ForgeStory) -> None:
    async with story.bot():
        first = await story.push(**FILES)
        assert (await story.final_status(first.sha)).state is StatusState.SUCCESS
        docs = await story.push(docs__index="read me")
        code = await story.push(src__main="2")
        assert (await story.final_status(code.sha)).state is StatusState.SUCCESS
        await until(lambda: len(story.quay.builds) == 2)
    assert story.forge.shown(docs.sha) == []
    assert len(story.quay.builds) == 2


@pytest.mark.parametrize("story", [GitLabWorld], indirect=True, ids=lambda kind: kind.name)
async def test_until_the_forge_has_told_a_push_cancels_nothing_and_says_nothing(story: ForgeStory) -> None:
    story.quay.speed = 4
    async with story.bot():
        await story.final_status((await story.push(**FILES)).sha)
        code = await story.push(src__main="2")
        await until(lambda: len(story.quay.builds) == 2)
        story.sandbox.faults.fail(503, 100, on=COMPARE[0])
        docs = await story.push(docs__index="read me")
        await until(lambda: any(call.status == 503 for call in story.sandbox.calls))
        story.quay.speed = 200
        assert (await story.final_status(code.sha)).state is StatusState.SUCCESS
        assert (await story.page(docs))["phase"] == "comparing"
        assert story.forge.shown(docs.sha) == []
        story.sandbox.faults.clear()
        story.watch.forward(60)
        assert "none matches src/**" in await skipped(story, docs)


async def test_a_force_push_that_github_cannot_compare_is_built_and_replaces_the_one_before(story: ForgeStory) -> None:
    story.quay.speed = 4
    async with story.bot():
        code = await story.push(**FILES)
        await until(lambda: bool(story.quay.builds))
        docs = await story.force_push(Dockerfile=FILES["Dockerfile"], docs__index="read me")
        assert (await story.final_status(code.sha)).state is StatusState.ERROR
        story.quay.speed = 200
        assert (await story.final_status(docs.sha)).state is StatusState.SUCCESS
        assert any("cannot be told" in step for step in await story.steps(docs))


@pytest.mark.parametrize("story", [GitLabWorld], indirect=True, ids=lambda kind: kind.name)
async def test_a_new_branch_is_compared_with_the_default_branch(story: ForgeStory) -> None:
    async with story.bot():
        await story.final_status((await story.push(**FILES)).sha)
        docs = await story.push_branch("feature/docs", docs__index="read me")
        assert await skipped(story, docs) == "1 path changed since main, and none matches src/**"
        code = await story.push_branch("feature/code", src__main="2")
        assert (await story.final_status(code.sha)).state is StatusState.SUCCESS


async def test_what_the_forge_cannot_tell_is_built(story: ForgeStory) -> None:
    async with story.bot():
        await story.final_status((await story.push(**FILES)).sha)
        story.sandbox.faults.fail(500, 100, on=COMPARE[0])
        docs = await story.push_branch("feature/docs", docs__index="read me")
        await until(lambda: any(COMPARE[0] in call.path for call in story.sandbox.calls))
        story.watch.forward(121)
        assert (await story.final_status(docs.sha)).state is StatusState.SUCCESS
        assert any("what changed cannot be told" in step for step in await story.steps(docs))


async def test_after_a_gap_the_last_commit_that_was_planned_is_compared_with(story: ForgeStory) -> None:
    async with story.bot():
        first = await story.push(**FILES)
        await story.final_status(first.sha)
        await story.sandbox.commit_and_push(REPO, files={"src/main": "lost"}, deliver=False)
        docs = await story.push(docs__index="read me")
        assert (await story.final_status(docs.sha)).state is StatusState.SUCCESS
        assert f"src/main changed since {first.sha[:7]}" in " ".join(await story.steps(docs))
        await story.sandbox.commit_and_push(REPO, files={"docs/more": "lost, too"}, deliver=False)
        more = await story.push(docs__index="read me again")
        assert f"since {docs.sha[:7]}, and none matches src/**" in await skipped(story, more)
