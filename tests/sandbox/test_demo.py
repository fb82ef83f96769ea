"""The demo's story judges what it sees in each forge's own words, and lets builds go as their source says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from buildbot.sandbox.bitbucket import Bitbucket
from buildbot.sandbox.bitbucket_state import BuildStatus
from buildbot.sandbox.demo import FAILING_DOCKERFILE, OVERTAKEN_SOURCE, Expected, Scene, Stage, course_of
from buildbot.sandbox.demo_forges import FORGES, REPOSITORY, DemoForge, ForgeName
from buildbot.sandbox.git_repository import Status
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_builder import Finding
from buildbot.sandbox.quay_builds import Build, BuildRequest
from buildbot.sandbox.quay_courses import SUCCESS

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEXT = "Built acme/api:main in 0 s"


def post(forge: DemoForge, sha: str, state: str, context: str = "quay/api") -> None:
    """A status as the forge keeps it."""
    if isinstance(forge.sandbox, Bitbucket):
        made = BuildStatus(sha, context, state, "", None, TEXT, None, "ci-bot", NOW, NOW)
        forge.sandbox.state.statuses[forge.repository.id, sha, context] = made
    else:
        forge.repository.statuses.append(Status(1, sha, state, None, TEXT, context, "ci-bot", NOW))


async def scene_at(forge: DemoForge, expected: Expected) -> tuple[Stage, Scene]:
    push = await forge.sandbox.commit_and_push(REPOSITORY, message="Say hello")
    return Stage(forge, Quay(), ""), Scene("", expected, push)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ForgeName)
@pytest.mark.parametrize("state", ["success", "failure", "error"])
async def test_a_status_in_the_forges_own_word_ends_a_scene_well(name: ForgeName, state: str) -> None:
    forge = FORGES[name]()
    on, scene = await scene_at(forge, Expected(state, "Built acme/api:main"))
    post(forge, scene.push.sha, forge.words[state])
    assert (on.is_over(scene), on.fault_of(scene)) == (True, "")


@pytest.mark.anyio
@pytest.mark.parametrize("name", ForgeName)
async def test_a_pending_status_does_not_end_a_scene_and_the_newest_counts(name: ForgeName) -> None:
    forge = FORGES[name]()
    on, scene = await scene_at(forge, Expected("success"))
    assert not on.is_over(scene)
    post(forge, scene.push.sha, "INPROGRESS" if name is ForgeName.BITBUCKET else "pending")
    assert not on.is_over(scene)
    post(forge, scene.push.sha, forge.words["success"])
    assert on.is_over(scene)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        (Expected("success", "Built acme/api:next"), "expected success 'Built acme/api:next', got failed"),
        (Expected("success", "Built"), "expected success 'Built', got failed"),
        (Expected("failure", "Failed"), "expected failed 'Failed', got failed"),
        (Expected(None), "expected None '', got failed"),
    ],
)
async def test_another_end_than_told_is_a_fault(expected: Expected, fault: str) -> None:
    forge = FORGES[ForgeName.GITLAB]()
    on, scene = await scene_at(forge, expected)
    post(forge, scene.push.sha, "failed")
    assert on.fault_of(scene) == f"Say hello: {fault} {TEXT!r}"


@pytest.mark.anyio
async def test_a_status_of_another_context_or_commit_says_nothing_of_a_scene() -> None:
    forge = FORGES[ForgeName.GITHUB]()
    on, scene = await scene_at(forge, Expected(None))
    post(forge, scene.push.sha, "success", "quay/release")
    post(forge, "0" * 40, "success")
    assert (on.status(scene), on.is_over(scene), on.fault_of(scene)) == (None, True, "")


def test_a_story_that_was_not_played_to_its_end_is_a_fault() -> None:
    assert Stage(FORGES[ForgeName.GITHUB](), Quay(), "").faults() == ["only 0 of 6 pushes were made"]


@pytest.mark.parametrize(
    ("package", "course"),
    [
        (None, "no-archive"),
        (Finding(dockerfile=FAILING_DOCKERFILE), "fail-build"),
        (Finding(context={"src/api.py": OVERTAKEN_SOURCE.encode()}), "slow"),
        (Finding(context={"src/api.py": b"print('hello')\n"}), "success"),
    ],
)
def test_a_build_goes_as_its_source_says(package: Finding | None, course: str) -> None:
    address = "https://git.test/a.tar.gz"
    request = BuildRequest("acme/api", address, ("main",), "/", "/Dockerfile", "x", None, package=package)
    build = Build("b", request, SUCCESS, 0.0, None)
    assert course_of(build, 20.0).name == course
