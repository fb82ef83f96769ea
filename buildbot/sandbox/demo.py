"""The demo's story: a forge with one repository, a Quay, and a few pushes that show what a build bot is for.

What happens is told as `Scene`s, each a push with what should become of it, so that the demo can also judge itself. It
is the same story at every forge; what differs there is in `demo_forges`. How a build goes follows from the source that
Quay's builder has really fetched for it, so no build succeeds whose source did not come through. The bot is not here:
whoever plays the story says where its webhook is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from buildbot.sandbox.demo_forges import FORGES, REPOSITORY, DemoForge, ForgeName, Shown
from buildbot.sandbox.pushing import Push
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_builder import Builder
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_courses import COURSES, Course, slow
from buildbot.sandbox.serving import serving

SPEED = 20.0
PAUSE_SECONDS = 40.0  # as Quay's, which pass `speed` times faster
OVERTAKEN_SOURCE, OVERTAKEN_SECONDS = "print('good bye')\n", 30.0  # real ones: time enough for the bot to cancel
LOOK_SECONDS = 0.05
FAILING_DOCKERFILE = "FROM busybox\nRUN false\n"
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
    """How the commit's status should end: its state and how its text begins. None: no status at all.

    The state is `success`, `failure` or `error`, for which each forge has a word of its own.
    """

    state: str | None
    text: str = ""


@dataclass(slots=True)
class Scene:
    """One push, what is special about it, what should become of it, and what the bot answered."""

    tells: str
    expected: Expected
    push: Push[Any, Any]
    context: str = "quay/api"

    @property
    def title(self) -> str:
        """The commit message's first line."""
        head = self.push.update.head
        return head.message.splitlines()[0] if head else "(deleted)"

    @property
    def answer(self) -> str:
        """What the bot answered to the push itself, which a forge tells before the ref that it has made."""
        return str(self.push.attempts[0].answer) if self.push.attempts else ""


@dataclass(slots=True)
class Stage:
    """The two services, the bot's credential for Quay, and the scenes played so far."""

    forge: DemoForge
    quay: Quay
    quay_token: str
    speed: float = SPEED
    scenes: list[Scene] = field(default_factory=list)

    def status(self, scene: Scene) -> Shown | None:
        """What the commit shows now."""
        of = (scene.push.sha, scene.context)
        return next((one for one in reversed(self.forge.statuses()) if (one.sha, one.context) == of), None)

    def is_over(self, scene: Scene) -> bool:
        """The commit's status has ended, or none was to be expected."""
        status = self.status(scene)
        return scene.expected.state is None if status is None else status.state in self.forge.words.values()

    def fault_of(self, scene: Scene) -> str:
        """How a scene ended otherwise than told; "" if it did not."""
        status, expected = self.status(scene), scene.expected
        wanted = self.forge.words[expected.state] if expected.state else None
        state, text = (status.state, status.text) if status else (None, "")
        if (state, text.startswith(expected.text)) == (wanted, True):
            return ""
        return f"{scene.title}: expected {wanted} {expected.text!r}, got {state} {text!r}"

    def faults(self) -> list[str]:
        """All that went otherwise than told, also a story that was not played to its end."""
        untold = [f"only {len(self.scenes)} of {len(ACTS)} pushes were made"] if len(self.scenes) < len(ACTS) else []
        return untold + [fault for scene in self.scenes if (fault := self.fault_of(scene))]


@asynccontextmanager
async def stage(name: ForgeName = ForgeName.GITHUB, speed: float = SPEED) -> AsyncIterator[Stage]:
    """Both services on loopback, with an account for the bot on each; Quay is `speed` times faster than recorded."""
    forge, quay = FORGES[name](), Quay(speed=speed)
    quay.add_repository(REPOSITORY)
    quay.grant("acme", "builder", "admin")
    quay.choose = lambda build: course_of(build, speed)
    async with AsyncExitStack() as stack:
        forge.send_over(await stack.enter_async_context(httpx.AsyncClient()))
        quay.builder = Builder(await stack.enter_async_context(httpx.AsyncClient()))
        forge.sandbox.url = await stack.enter_async_context(serving(forge.app))
        quay.url = await stack.enter_async_context(serving(quay.app))
        yield Stage(forge, quay, quay.issue_token("builder"), speed)


async def play(on: Stage, webhook_url: str, tell: Callable[[Scene], None]) -> None:
    """Push what the story says, one scene after the other; `tell` hears of each push as it is answered."""
    on.forge.tell_pushes(webhook_url)
    for act in ACTS:
        scene = await act(on)
        on.scenes.append(scene)
        tell(scene)
        await _until_the_next_may_begin(on, scene)


async def _until_the_next_may_begin(on: Stage, scene: Scene) -> None:
    is_overtaken = scene.expected == SUPERSEDED
    await asyncio.sleep(PAUSE_SECONDS / on.speed / (2 if is_overtaken else 1))
    # Too early, and the next push would supersede what is to succeed, or what nobody has seen yet.
    if is_overtaken:
        await _until(lambda: on.status(scene) is not None)
    elif scene.expected.state == "success":
        await _until(lambda: on.is_over(scene))


async def _until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _first(on: Stage) -> Scene:
    push = await _commit(on, "Say hello", {"src/api.py": "print('hello, world')\n"})
    return Scene("a push to main becomes a build and a green status", Expected("success", "Built acme/api:main"), push)


async def _superseded(on: Stage) -> Scene:
    push = await _commit(on, "Say good bye", {"src/api.py": OVERTAKEN_SOURCE})
    return Scene("superseded by the next push while it builds", SUPERSEDED, push)


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
    push = await on.forge.sandbox.push_tag(REPOSITORY, "v1.0.0", annotated=True)
    expected = Expected("success", "Built acme/api:1.0.0, 1.0")
    return Scene("a tag names its image by version", expected, push, "quay/release")


SUPERSEDED = Expected("error", "Superseded by")
ACTS: tuple[Callable[[Stage], Awaitable[Scene]], ...] = (_first, _superseded, _newer, _docs, _failing, _release)


async def _commit(on: Stage, message: str, files: dict[str, str | None], ref: str = "main") -> Push[Any, Any]:
    return await on.forge.sandbox.commit_and_push(REPOSITORY, ref=ref, message=message, files=files)


def course_of(build: Build, speed: float) -> Course:
    """How a build goes, by the source that Quay's builder found for it."""
    package = build.request.package
    if package is None:
        return COURSES["no-archive"]
    if package.dockerfile == FAILING_DOCKERFILE:
        return COURSES["fail-build"]
    is_overtaken = package.context.get("src/api.py") == OVERTAKEN_SOURCE.encode()
    return slow(OVERTAKEN_SECONDS * speed) if is_overtaken else COURSES["success"]
