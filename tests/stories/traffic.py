"""People who push, and what becomes of the deliveries on their way: late, twice, under another id, not taken.

Several repositories, branches and tags, under rules that filter by paths, keep or supersede, and share image tags. No
ref is moved twice within one of GitHub's seconds, and no move is made twice: more than that no payload tells.

A delivery that was not taken is sent again once, a little later, and again at the end if need be, as people (or the
bot) have GitHub do it: GitHub itself never does.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field

from buildbot.sandbox.github import GitHub, Push
from buildbot.sandbox.github_hooks import Attempt, Delivery
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.quay_courses import COURSES, Course, slow
from tests.stories.github_time import GitHubTime
from tests.stories.verdict import Told

API, TOOLS, NOBODYS = "acme/api", "acme/tools", "acme/docs"
RULES = """
[[rules]]
name = "api"
source = "acme/api"
branches = ["main", "release/*"]
repository = "acme/api"
image_tags = ["{ref}", "sha-{short_sha}", "{default_branch?newest}"]

[[rules]]
name = "web"
source = "acme/api"
branches = ["**"]
paths = ["web/**"]
repository = "acme/web"
image_tags = ["{branch}"]

[[rules]]
name = "release"
source = "acme/api"
tags = ["v*"]
repository = "acme/releases"
image_tags = ["{ref}", "latest"]

[[rules]]
name = "tools"
source = "acme/tools"
branches = ["**"]
supersede = "queued"
repository = "acme/tools"
image_tags = ["{branch}"]

[[rules]]
name = "lint"
source = "acme/tools"
branches = ["main"]
repository = "acme/tools"
image_tags = ["lint", "lint-{short_sha}"]
"""
BRANCHES = {API: ("main", "main", "release/1", "release/2", "try/one"), TOOLS: ("main", "main", "next")}
FILES = ("web/index.html", "api/main.go", "docs/index.md")

FATES = ("success",) * 6 + ("podman", "seterror", "fail-build", "no-archive", "second-attempt-succeeds", "slow")
FEW, LAST_TRIES = 4, 3
TAKEN, NOT_TAKEN = {200, 202}, {0, 500, 502, 503, 504}


@dataclass
class Traffic:
    """What people do, decided by the dice alone; when it arrives is the network's and the bot's doing."""

    github: GitHub
    time: GitHubTime
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    pushes: list[Told] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _courses: dict[str, Course] = field(default_factory=dict)
    _tags: list[str] = field(default_factory=list)
    _tags_made: int = 0

    # ── pushes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def somebody_pushes(self) -> None:
        """One push, of whatever kind; its deliveries are under way."""
        roll = self.dice.random()
        if roll < 0.04:
            await self._pushed(NOBODYS, "refs/heads/main", self._commit(NOBODYS, "main"))
        elif roll < 0.22:
            await self._somebody_tags()
        elif roll < 0.28:
            await self._somebody_deletes()
        else:
            repository = self.dice.choice([API, API, TOOLS])
            branch = self.dice.choice(BRANCHES[repository])
            is_forced = self.dice.random() < 0.1
            await self._pushed(repository, f"refs/heads/{branch}", self._commit(repository, branch, force=is_forced))

    async def _somebody_tags(self) -> None:
        annotated = self.dice.random() < 0.3
        if self._tags and self.dice.random() < 0.2:
            name, annotated = self.dice.choice(self._tags), True  # an object of its own: no move is made twice
        else:
            self._tags_made += 1
            name = f"v1.{self._tags_made}"
            self._tags.append(name)
        push = self.github.push_tag(API, name, annotated=annotated, force=True, deliver=False)
        await self._pushed(API, f"refs/tags/{name}", push)

    async def _somebody_deletes(self) -> None:
        repository, ref = API, f"refs/heads/{self.dice.choice(BRANCHES[API][2:])}"
        if self._tags and self.dice.random() < 0.3:
            ref = f"refs/tags/{self._tags.pop(self.dice.randrange(len(self._tags)))}"
        if ref in self.github.repository(repository).refs:
            await self._pushed(repository, ref, self.github.delete_ref(repository, ref, deliver=False))

    def _commit(self, repository: str, branch: str, *, force: bool = False) -> Awaitable[Push]:
        files = {"Dockerfile": "FROM busybox\n", self.dice.choice(FILES): str(self.dice.random())}
        return self.github.commit_and_push(repository, ref=branch, files=files, force=force, deliver=False)

    async def _pushed(self, repository: str, ref: str, push: Awaitable[Push]) -> None:
        await self.time.next_second(repository, ref)
        told = Told(made := await push, set())
        told.must_build = must_build(repository, made)
        self._courses.setdefault(made.sha, self._course())
        self.pushes.append(told)
        self.counts["pushes"] += 1
        for delivery in made.deliveries:
            self.start(self._deliver(told, delivery, self._fate()))

    def _course(self) -> Course:
        name = self.dice.choice(FATES)
        return slow(self.dice.uniform(30, 200)) if name == "slow" else COURSES[name]

    def course(self, build: Build) -> Course:
        """How a build at Quay goes: as its push was destined to."""
        sha = (build.archive_url or "").partition("/archive/")[2].partition(".tar.gz")[0]
        return self._courses[sha]

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _fate(self) -> Fate:
        return Fate(
            delay=self.dice.uniform(0.2, 2.5) if self.dice.random() < 0.15 else 0.0,
            again=self.dice.uniform(0, 1) if self.dice.random() < 0.15 else None,
            is_renamed=self.dice.random() < 0.5,
            retry=self.dice.uniform(0.5, 4),
        )

    async def _deliver(self, told: Told, delivery: Delivery, fate: Fate) -> None:
        told.guids.add(delivery.guid)
        await asyncio.sleep(fate.delay)
        await self._send(delivery)
        if fate.again is not None:
            await asyncio.sleep(fate.again)
            self.counts["duplicates"] += 1
            alias = f"{delivery.guid}-again" if fate.is_renamed else None
            told.guids.add(alias or delivery.guid)
            await self._send(delivery, alias)
        if not self.is_taken(delivery):
            await asyncio.sleep(fate.retry)
            self.counts["redeliveries"] += 1
            await self._send(delivery)

    async def _send(self, delivery: Delivery, guid: str | None = None) -> None:
        attempt = await self.github.deliver(delivery, guid=guid)
        self.counts["deliveries"] += 1
        self.counts["not taken"] += attempt.status_code not in TAKEN
        assert attempt.status_code in TAKEN | NOT_TAKEN, attempt

    def is_taken(self, delivery: Delivery) -> bool:
        """Whether it was answered 2xx at any time."""
        return any(one.status_code in TAKEN for one in self._attempts(delivery))

    def _attempts(self, delivery: Delivery) -> list[Attempt]:
        return [one for one in self.github.hookshot.log if one.delivery.guid == delivery.guid]

    async def redeliver(self) -> None:
        """Send again what was not taken, and once more where a busy machine lets it wait; then it has to be taken."""
        few = asyncio.Semaphore(FEW)
        await asyncio.gather(*(self._redeliver(one, few) for told in self.pushes for one in told.push.deliveries))

    async def _redeliver(self, delivery: Delivery, few: asyncio.Semaphore) -> None:
        async with few:
            for _ in range(LAST_TRIES):
                if self.is_taken(delivery):
                    return
                self.counts["redeliveries"] += 1
                await self._send(delivery)
        assert self.is_taken(delivery), f"a bot that is ready does not take this: {self._attempts(delivery)}"

    def start(self, doing: Awaitable[None]) -> None:
        """Do something meanwhile; `under_way` until it is done."""
        task = asyncio.ensure_future(doing)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def stop(self) -> None:
        """Give up what is under way: a run that broke off has nobody to wait for it."""
        left = tuple(self.under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one delivery on its way: seconds until it is sent, sent once more, sent again if not taken."""

    delay: float
    again: float | None
    is_renamed: bool
    retry: float


def must_build(repository: str, push: Push) -> frozenset[str]:
    """The names of the rules that cannot but build a push."""
    if push.update.head is None:
        return frozenset()
    kind, name = push.ref.split("/", 2)[1:]
    touched = {*push.update.head.added, *push.update.head.modified}
    is_branch = kind == "heads"
    wanted = {
        "api": repository == API and is_branch and (name == "main" or name.startswith("release/")),
        "web": repository == API and is_branch and any(path.startswith("web/") for path in touched),
        "release": repository == API and not is_branch,
        "tools": repository == TOOLS and is_branch,
        "lint": repository == TOOLS and is_branch and name == "main",
    }
    return frozenset(rule for rule, is_wanted in wanted.items() if is_wanted)
