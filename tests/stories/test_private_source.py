"""Private source becomes images, on every forge: the builder fetches it through the bot, as quay-builder would."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from buildbot.config import BadConfig
from buildbot.domain.status import StatusState
from buildbot.sandbox.git_repository import Change
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.bitbucket_datacenter.world import BitbucketDataCenterWorld
from tests.forges.gitea.world import ForgejoWorld, GiteaWorld
from tests.forges.github.world import GitHubWorld
from tests.forges.gitlab.world import GitLabWorld
from tests.stories.forge_world import FORGES, ForgeStory
from tests.stories.world import until

pytestmark = pytest.mark.anyio
SERVER = 'context = "server"\n'
DOCKERFILE = "FROM alpine:3.20\nCOPY . /srv\n"


@pytest.mark.parametrize("story", FORGES, indirect=True, ids=lambda kind: kind.name)
async def test_private_source_is_built_through_the_bot(story: ForgeStory) -> None:
    story.forge.hide()
    story.rule = SERVER + 'revision_file = "server/.revision"'
    async with story.bot():
        push = await story.push(server__Dockerfile=DOCKERFILE, server__src__main="main", docs__index="docs")
        status = await story.final_status(push.sha)
        opened_later = await story.archive()
    assert (status.state, story.is_relayed) == (StatusState.SUCCESS, True)
    assert story.package.dockerfile == DOCKERFILE
    assert story.package.context == {
        "Dockerfile": DOCKERFILE.encode(),
        "src/main": b"main",
        ".revision": f"{push.sha}\n".encode(),
    }
    assert story.environ["FORGE_TOKEN"].rpartition(":")[2] not in str(story.build)
    assert (opened_later.status_code, opened_later.json()) == (404, {"error": "not found"})


@pytest.mark.parametrize(
    ("story", "is_relayed"),
    [
        (GitHubWorld, False),
        (GitLabWorld, False),
        (GiteaWorld, True),
        (ForgejoWorld, False),
        (BitbucketWorld, False),
        (BitbucketDataCenterWorld, True),
    ],
    indirect=["story"],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_public_source_comes_from_the_forge_only_where_its_archives_are_of_use(
    story: ForgeStory, is_relayed: bool
) -> None:
    story.rule = SERVER
    async with story.bot():
        push = await story.push(server__Dockerfile=DOCKERFILE, README="read me")
        status = await story.final_status(push.sha)
    assert (status.state, story.is_relayed) == (StatusState.SUCCESS, is_relayed)
    assert story.package.context == {"Dockerfile": DOCKERFILE.encode()}


async def test_what_the_builder_needs_not_see_is_asked_of_the_bot_where_the_rule_says_so(story: ForgeStory) -> None:
    story.rule = 'archive = "relay"'
    async with story.bot():
        push = await story.push(Dockerfile=DOCKERFILE)
        status = await story.final_status(push.sha)
    assert (status.state, story.is_relayed) == (StatusState.SUCCESS, True)


@pytest.mark.parametrize("story", [GiteaWorld, BitbucketDataCenterWorld], indirect=True, ids=lambda kind: kind.name)
async def test_where_builders_cannot_reach_the_bot_and_cannot_use_the_forge_it_does_not_start(
    story: ForgeStory,
) -> None:
    story.is_public = False
    with pytest.raises(BadConfig, match="public_url"):
        async with story.bot():
            raise AssertionError("it started")


def _forbid(story: ForgeStory) -> None:
    story.environ["FORGE_TOKEN"] = story.sandbox.issue_token("ci-bot", scopes=("repo:status",))


def _fail(story: ForgeStory) -> None:
    story.sandbox.faults.fail(500, on="tarball")


def _talk_nonsense(story: ForgeStory) -> None:
    story.sandbox.faults.nonsense(on="tarball")


@pytest.mark.parametrize(
    ("trouble", "why"), [(_forbid, "GitHub refused"), (_fail, "500"), (_talk_nonsense, "a page to log in?")]
)
async def test_source_that_cannot_be_had_ends_the_builder_and_the_page_says_why(
    story: ForgeStory, trouble: Callable[[ForgeStory], None], why: str
) -> None:
    story.forge.hide()
    trouble(story)
    async with story.bot():
        push = await story.push(Dockerfile=DOCKERFILE)
        await until(lambda: bool(story.quay.builds))
        steps = await story.steps(push)
    assert story.package.why == "Unsupported kind of build package: application/json"
    assert story.build.course.name == "no-archive"
    (said,) = [step for step in steps if step.startswith("the source archive was not passed on: ")]
    assert why in said


async def test_private_source_past_the_bot_ends_in_a_status_that_says_what_went_wrong(story: ForgeStory) -> None:
    story.forge.hide()
    story.rule = 'archive = "direct"'
    story.is_public = False
    story.quay.speed = 1000  # three attempts, five minutes
    story.watch.run(50)
    async with story.bot():
        push = await story.push(Dockerfile=DOCKERFILE)
        status = await story.final_status(push.sha)
    assert story.package.why == "Missing Dockerfile"  # GitHub's 404 is text, which the builder takes for one
    assert (status.state, story.is_relayed) == (StatusState.ERROR, False)
    assert "could not use the source archive" in str(status.description)


@pytest.mark.parametrize(
    "story",
    [GitHubWorld, GitLabWorld, ForgejoWorld, BitbucketWorld],
    indirect=True,
    ids=lambda kind: kind.name,
)
async def test_private_source_that_nobody_can_pass_on_is_an_error_on_the_commit_at_once(story: ForgeStory) -> None:
    story.forge.hide()
    story.is_public = False
    async with story.bot():
        push = await story.push(Dockerfile=DOCKERFILE)
        status = await story.final_status(push.sha)
    assert status.state in {StatusState.ERROR, StatusState.FAILURE}
    assert "server.public_url is not set" in str(status.description)
    assert story.quay.builds == []


@pytest.mark.parametrize("story", FORGES, indirect=True, ids=lambda kind: kind.name)
async def test_a_dockerfile_that_is_not_there_is_an_error_before_a_build_is_spent(story: ForgeStory) -> None:
    story.rule = 'context = "server"'
    async with story.bot():
        push = await story.push(Dockerfile=DOCKERFILE, server__main="main")
        status = await story.final_status(push.sha)
        assert str(status.description).startswith(f"Server/Dockerfile is not in acme/api at {push.sha[:7]}")
        assert story.quay.builds == []
        mended = await story.push(server__Dockerfile=DOCKERFILE)
        assert (await story.final_status(mended.sha)).state is StatusState.SUCCESS


async def test_a_dockerfile_that_a_push_removes_is_missed_although_it_was_there_before(story: ForgeStory) -> None:
    async with story.bot():
        first = await story.push(Dockerfile=DOCKERFILE)
        assert (await story.final_status(first.sha)).state is StatusState.SUCCESS
        calls = len(story.sandbox.calls)
        second = await story.push(README="read me")
        assert (await story.final_status(second.sha)).state is StatusState.SUCCESS
        assert not [one for one in story.sandbox.calls[calls:] if "/contents/" in one.path], "it was there before"
        push = await story.remove("Dockerfile")
        status = await story.final_status(push.sha)
    assert str(status.description).startswith("Dockerfile is not in acme/api")
    assert len(story.quay.builds) == 2


@pytest.mark.parametrize("story", [GitHubWorld], indirect=True, ids=lambda kind: kind.name)
async def test_pushes_that_come_while_the_source_is_looked_at_are_asked_for_with_the_first(story: ForgeStory) -> None:
    def looks() -> list[str]:
        return [one.path for one in story.sandbox.calls if "/contents/" in one.path]

    await story.push_branch("main", Dockerfile=DOCKERFILE)  # nobody hears of it
    async with story.bot():
        story.sandbox.faults.slow(0.5)
        pushes = [await story.push_branch(f"feature/{name}", README=name) for name in ("a", "b", "c")]
        story.sandbox.faults.slow(0.0)
        states = [(await story.final_status(push.sha)).state for push in pushes]
    assert states == [StatusState.SUCCESS] * 3
    assert (len(looks()), len(story.quay.builds)) == (1, 3)


@pytest.mark.parametrize("story", [GiteaWorld, ForgejoWorld], indirect=True, ids=lambda kind: kind.name)
@pytest.mark.parametrize("has_directory", [True, False])
async def test_an_archive_is_rooted_rightly_whether_or_not_it_has_a_directory_around_the_source(
    story: ForgeStory, has_directory: bool
) -> None:
    story.forge.hide()
    story.sandbox.state.prefixes_archives = has_directory
    async with story.bot():
        push = await story.push(Dockerfile=DOCKERFILE, A__first="looks like a top directory", docs__index="docs")
        await story.final_status(push.sha)
    assert sorted(story.package.context) == ["A/first", "Dockerfile", "docs/index"]


def _using(lib: str, url: str) -> Change:
    gitmodules = f'[submodule "lib"]\n\tpath = vendor/lib\n\turl = {url} # the library\n'
    files = {"Dockerfile": DOCKERFILE, ".gitmodules": gitmodules}
    return Change("Use the library", files, gitlinks={"vendor/lib": lib})


@pytest.mark.parametrize(
    "story",
    [GitHubWorld, GitLabWorld, GiteaWorld, ForgejoWorld, BitbucketDataCenterWorld],
    indirect=True,
    ids=lambda kind: kind.name,
)
async def test_a_private_submodule_is_in_the_source_at_the_commit_that_the_tree_records(story: ForgeStory) -> None:
    story.forge.hide()
    lib = story.forge.add_private("acme/lib", {"lib.py": "as recorded"})
    await story.sandbox.commit_and_push("acme/lib", files={"lib.py": "later"})
    story.rule = "submodules = true"
    async with story.bot():
        push = await story.push_change(_using(lib, "../lib.git"))
        status = await story.final_status(push.sha)
    assert (status.state, story.is_relayed) == (StatusState.SUCCESS, True)
    assert story.package.context["vendor/lib/lib.py"] == b"as recorded"
    assert story.package.dockerfile == DOCKERFILE


@pytest.mark.parametrize("story", [GitHubWorld, GitLabWorld, GiteaWorld], indirect=True, ids=lambda kind: kind.name)
async def test_a_submodule_may_be_written_as_people_clone_it(story: ForgeStory) -> None:
    lib = story.forge.add_private("acme/lib", {"lib.py": "lib"})
    story.rule = "submodules = true"
    async with story.bot():
        push = await story.push_change(_using(lib, f"git@{httpx.URL(story.sandbox.url).host}:acme/lib.git"))
        await story.final_status(push.sha)
    assert story.package.context["vendor/lib/lib.py"] == b"lib"


@pytest.mark.parametrize("story", [GitHubWorld, GitLabWorld, GiteaWorld], indirect=True, ids=lambda kind: kind.name)
async def test_the_dockerfile_may_lie_in_a_submodule(story: ForgeStory) -> None:
    lib = story.forge.add_private("acme/lib", {"docker/Dockerfile": DOCKERFILE})
    story.rule = 'submodules = true\ncontext = "vendor/lib/docker"'
    async with story.bot():
        push = await story.push_change(_using(lib, "../lib.git"))
        status = await story.final_status(push.sha)
    assert status.state is StatusState.SUCCESS
    assert story.package.context == {"Dockerfile": DOCKERFILE.encode()}


async def test_a_dockerfile_that_is_in_no_submodule_either_is_missed_before_a_build_is_spent(story: ForgeStory) -> None:
    lib = story.forge.add_private("acme/lib", {"Dockerfile": DOCKERFILE})
    story.rule = 'submodules = true\ncontext = "server/api"'
    async with story.bot():
        push = await story.push_change(_using(lib, "../lib.git"))
        status = await story.final_status(push.sha)
    assert (status.state, len(story.quay.builds)) == (StatusState.ERROR, 0)
    assert "erver/api/Dockerfile is not in" in str(status.description)


@pytest.mark.parametrize("story", FORGES, indirect=True, ids=lambda kind: kind.name)
async def test_without_being_asked_for_a_submodule_is_not_in_the_source(story: ForgeStory) -> None:
    lib = story.forge.add_private("acme/lib", {"lib.py": "lib"})
    async with story.bot():
        push = await story.push_change(_using(lib, "../lib.git"))
        await story.final_status(push.sha)
    assert [name for name in story.package.context if name.startswith("vendor/lib/")] == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://elsewhere.test/acme/lib.git", "it is at elsewhere.test/acme/lib, and no forge of the configuration"),
        ("../secret.git", "acme/secret at "),
    ],
)
async def test_a_submodule_that_cannot_be_had_ends_the_builder_and_the_page_says_why(
    story: ForgeStory, url: str, why: str
) -> None:
    secret = story.forge.add_private("acme/secret", {"lib.py": "lib"})
    story.sandbox.repository("acme/secret").collaborators.clear()
    story.rule = "submodules = true"
    async with story.bot():
        push = await story.push_change(_using(secret, url))
        await until(lambda: bool(story.quay.builds))
        steps = await story.steps(push)
    assert story.package.why == "Unsupported kind of build package: application/json"
    (said,) = [step for step in steps if step.startswith("the source archive was not passed on: ")]
    assert said.startswith("the source archive was not passed on: the submodule vendor/lib ")
    assert why in said
