"""How many calls GitHub sees for each build, counted at its sandbox, with Quay's sandbox and its recorded builds.

In simulated time, at the recorded pace: the number of words about a build depends on how long it takes. `short` builds
are over some 15 s after the push; `long` ones take two minutes, which earns them a word in between.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import httpx

from buildbot.engine.pacing import Clock
from buildbot.sandbox.github import GitHub
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_courses import SUCCESS, Course, slow
from tests.benchmarks import contestants
from tests.benchmarks.contestants import Settings
from tests.benchmarks.pushes import repository_of
from tests.benchmarks.scale import Scale
from tests.benchmarks.simulated import CALL_SECONDS, silence
from tests.benchmarks.simulated_bot import SimulatedBot, engine
from tests.benchmarks.table import Table, Target
from tests.engine.virtual_time import VirtualLoop

REPOSITORIES = 10
SETTINGS = Settings(REPOSITORIES)
MOST = 2.05
GITHUB, QUAY, API = "http://github.test", "http://quay.test", "/api/v3"


@dataclass(frozen=True, slots=True)
class Case:
    """How builds go, how long from one push to the next, and whether the target is meant for these."""

    name: str
    course: Course
    gap: float
    is_app: bool
    is_judged: bool


CASES = (
    Case("short builds, a token", SUCCESS, 10.0, is_app=False, is_judged=True),
    Case("short builds, a GitHub App", SUCCESS, 10.0, is_app=True, is_judged=False),
    Case("long builds, a token", slow(120.0), 15.0, is_app=False, is_judged=False),
)


def measure(scale: Scale) -> list[Table]:
    """One table for all cases."""
    count = scale.items(200, 4)
    counted = {case: Sandboxes(case, count).run() for case in scale.some(CASES)}
    operations = sorted({name for calls in counted.values() for name in calls})
    told = {case: sum(calls.values()) / count for case, calls in counted.items()}
    return [
        Table(
            title=f"GitHub calls a build, {count} builds in {REPOSITORIES} repositories",
            columns=("", *operations, "in all a build"),
            rows=[
                [case.name, *(str(calls.get(name, 0)) for name in operations), f"{told[case]:.3f}"]
                for case, calls in counted.items()
            ],
            figures={case.name: value for case, value in told.items()},
            notes=[f"Simulated time; a call takes {CALL_SECONDS * 1000:.0f} ms; {SETTINGS.told()}."],
            targets=[
                Target(f"calls a build, {case.name}", value, MOST, unit="")
                for case, value in told.items()
                if case.is_judged
            ],
        )
    ]


class Sandboxes(httpx.AsyncBaseTransport):
    """One run: both sandboxes on the simulated clock, and the network to them."""

    def __init__(self, case: Case, builds: int) -> None:
        self._case = case
        self._builds = builds
        self._names = [repository_of(number) for number in range(REPOSITORIES)]
        self._app_id: int | None = None
        self._loop: VirtualLoop | None = None
        self._epoch = datetime.now(UTC).replace(microsecond=0)
        self.clock = Clock(lambda: self._epoch + timedelta(seconds=self._now()), self._now)
        self._github = GitHub(GITHUB, now=self.clock.now)
        self._quay = Quay(QUAY, clock=lambda: self.clock.now().timestamp())
        self._apps = {
            "github.test": httpx.ASGITransport(app=self._github.app),
            "quay.test": httpx.ASGITransport(app=self._quay.app),
        }

    def run(self) -> Mapping[str, int]:
        """Let all builds be pushed, built and told; how often GitHub was called for what."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner, silence():
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            self._loop = loop
            runner.run(self._run())
        return Counter(_operation(one.path) for one in self._github.calls)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(CALL_SECONDS / 2)
        answer = await self._apps[request.url.host].handle_async_request(request)
        await asyncio.sleep(CALL_SECONDS / 2)
        return answer

    async def _run(self) -> None:
        config, environ = self._prepared()
        async with httpx.AsyncClient(transport=self) as client, engine(config, client, self.clock, environ) as bot:
            shas = [await self._push(bot, number) for number in range(self._builds)]
            while not all(self._is_told(number, sha) for number, sha in enumerate(shas)):  # noqa: ASYNC110  time itself
                await asyncio.sleep(5.0)

    def _prepared(self) -> tuple[str, dict[str, str]]:
        self._quay.choose = lambda _: self._case.course
        self._quay.grant("acme", "bot", "admin")
        for name in self._names:
            self._github.add_repository(name)
            self._quay.add_repository(name)
            self._github.add_hook(name, "http://bot.test/webhooks/github", secret="unused")
        environ = {"HOOK_SECRET": "unused", "QUAY_TOKEN": self._quay.issue_token("bot"), **self._credential()}
        settings = replace(SETTINGS, app_id=self._app_id)
        return contestants.config_text(settings, QUAY, GITHUB + API), environ

    def _credential(self) -> dict[str, str]:
        if not self._case.is_app:
            for name in self._names:
                self._github.add_collaborator(name, "ci-bot")
            return {"GITHUB_TOKEN": self._github.issue_token("ci-bot")}
        app = self._github.add_app("bench")
        self._github.install(app, "acme")
        self._app_id = app.id
        return {"APP_KEY": app.private_key or ""}

    async def _push(self, bot: SimulatedBot, number: int) -> str:
        name = repository_of(number % REPOSITORIES)
        push = await self._github.commit_and_push(name, files={"notes.txt": f"{number}\n"}, deliver=False)
        (delivery,) = push.deliveries
        await bot.take(delivery.guid, json.loads(delivery.body))
        await asyncio.sleep(self._case.gap)
        return push.sha

    def _is_told(self, number: int, sha: str) -> bool:
        told = self._github.statuses(repository_of(number % REPOSITORIES), sha)
        return any(one.state != "pending" for one in told)

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()


def _operation(path: str) -> str:
    """What a call was for, in one word."""
    words: Sequence[str] = path.strip("/").split("/")
    return next((name for word, name in _WORDS.items() if word in words), words[0])


_WORDS = {
    "statuses": "post status",
    "contents": "look at file",
    "installation": "installation",
    "access_tokens": "token",
}
