"""The demo's story: a GitHub with one repository, a Quay, and a few pushes that show what a build bot is for.

What happens is told as `Scene`s, each a push with what should become of it, so that the demo can also judge itself. The
bot is not here: whoever plays the story says where its webhook is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx

from buildbot.sandbox.git_repository import Status
from buildbot.sandbox.github import GitHub, Push
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_courses import COURSES, Course, slow
from buildbot.sandbox.serving import serving

REPOSITORY = "acme/api"
SECRET = "the demo's webhook secret"  # noqa: S105  of a sandbox, on loopback
SPEED = 20.0
OVERTAKEN, SLOW_SECONDS = "Say good bye", 60.0
FAILING_DOCKERFILE = "FROM busybox\nRUN false\n"
SOURCE = {
    "Dockerfile": "FROM busybox\nCOPY . /srv\n",
    "src/api.py": "print('hello')\n",
    "docs/index.md": "# The API\n",
}
RULES = """
[[rules]]
name = "api"
source = "acme/api"
branches = ["main", "feature/*"]
paths = ["**", "!docs/**"]
repository = "acme/api"
image_tags = ["{ref}", "sha-{short_sha}", "{default_branch?latest}"]

[[rules]]
name = "release"
source = "acme/api"
tags = ["v*"]
repository = "acme/api"
image_tags = ["{version}", "{major}.{minor}"]
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """How the commit's status should end: its state and how its text begins. None: no status at all."""

    state: str | None
    text: str = ""


@dataclass(slots=True)
class Scene:
    """One push, what is special about it, what should become of it, and what the bot answered."""

    tells: str
    expected: Expected
    push: Push
    context: str = "quay/api"
    answer: str = ""

    @property
    def title(self) -> str:
        """The commit message's first line."""
        head = self.push.update.head
        return head.message.splitlines()[0] if head else "(deleted)"


@dataclass(slots=True)
class Stage:
    """The two services, the credentials for the bot, and the scenes played so far."""

    github: GitHub
    quay: Quay
    github_token: str
    quay_token: str
    scenes: list[Scene] = field(default_factory=list)

    def status(self, scene: Scene) -> Status | None:
        """What the commit shows now."""
        posted = self.github.statuses(REPOSITORY, scene.push.sha)
        return next((one for one in reversed(posted) if one.context == scene.context), None)

    def is_over(self, scene: Scene) -> bool:
        """The commit's status has ended, or none was to be expected."""
        status = self.status(scene)
        return scene.expected.state is None if status is None else status.state != "pending"

    def fault_of(self, scene: Scene) -> str:
        """How a scene ended otherwise than told; "" if it did not."""
        status, expected = self.status(scene), scene.expected
        state = status.state if status else None
        text = (status.description or "") if status else ""
        if (state, text.startswith(expected.text)) == (expected.state, True):
            return ""
        return f"{scene.title}: expected {expected.state} {expected.text!r}, got {state} {text!r}"


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Both services on loopback, with an account for the bot on each."""
    github, quay = GitHub(), Quay(speed=SPEED)
    github.add_repository(REPOSITORY, files=SOURCE)
    quay.add_repository(REPOSITORY)
    quay.grant("acme", "builder", "admin")
    quay.choose = lambda build: _course(github, build)
    token = github.issue_token("ci-bot", collaborator=REPOSITORY)
    async with AsyncExitStack() as stack:
        github.hookshot.client = await stack.enter_async_context(httpx.AsyncClient())
        github.url = await stack.enter_async_context(serving(github.app))
        quay.url = await stack.enter_async_context(serving(quay.app))
        yield Stage(github, quay, token, quay.issue_token("builder"))


async def play(on: Stage, webhook_url: str, tell: Callable[[Scene], None]) -> None:
    """Push what the story says, one scene after the other; `tell` hears of each push as it is answered."""
    on.github.add_hook(REPOSITORY, webhook_url, secret=SECRET)
    acts = (_first, _superseded, _newer, _docs, _failing, _release)
    for act in acts:
        scene = await act(on)
        scene.answer = scene.push.attempts[-1].answer if scene.push.attempts else ""
        on.scenes.append(scene)
        tell(scene)
        await asyncio.sleep(_pause_after(act))


async def _first(on: Stage) -> Scene:
    push = await _commit(on, "Say hello", {"src/api.py": "print('hello, world')\n"})
    return Scene("a push to main becomes a build and a green status", Expected("success", "Built acme/api:main"), push)


async def _superseded(on: Stage) -> Scene:
    push = await _commit(on, OVERTAKEN, {"src/api.py": "print('good bye')\n"})
    return Scene("superseded by the next push while it builds", Expected("error", "Superseded by"), push)


async def _newer(on: Stage) -> Scene:
    push = await _commit(on, "Say good bye properly", {"src/api.py": "print('good bye!')\n"})
    return Scene("the newest push ends up owning the tag", Expected("success", "Built acme/api:main"), push)


async def _docs(on: Stage) -> Scene:
    push = await _commit(on, "Document it", {"docs/index.md": "# The API\n\nIt says good bye.\n"})
    return Scene("touches only docs/, which the rule's paths leave out", Expected(None), push)


async def _failing(on: Stage) -> Scene:
    push = await _commit(on, "Try something", {"Dockerfile": FAILING_DOCKERFILE}, ref="feature/try")
    return Scene("fails; Quay tries three times, the bot says why", Expected("failure", "Failed in step 2/2"), push)


async def _release(on: Stage) -> Scene:
    push = await on.github.push_tag(REPOSITORY, "v1.0.0", annotated=True)
    expected = Expected("success", "Built acme/api:1.0.0, 1.0")
    return Scene("a tag names its image by version", expected, push, "quay/release")


def _pause_after(act: object) -> float:
    return 1.0 if act is _superseded else 2.0


async def _commit(on: Stage, message: str, files: dict[str, str | None], ref: str = "main") -> Push:
    return await on.github.commit_and_push(REPOSITORY, ref=ref, message=message, files=files)


def _course(github: GitHub, build: Build) -> Course:
    commit = (build.archive_url or "").partition("/archive/")[2].partition(".tar.gz")[0]
    found = github.repository(REPOSITORY).commits.get(commit)
    dockerfile = found.files.get("Dockerfile", b"").decode() if found else ""
    if dockerfile == FAILING_DOCKERFILE:
        return COURSES["fail-build"]
    is_overtaken = found is not None and found.message == OVERTAKEN
    return slow(SLOW_SECONDS) if is_overtaken else COURSES["success"]
