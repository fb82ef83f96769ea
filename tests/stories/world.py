"""The world of the stories: a GitHub, a Quay and the bot, each behind a socket of its own, and what people do in it.

Stories go through the front door: pushes are signed webhooks, statuses are read at the forge, images at the registry.
The bot runs in this process with its real adapters and its real store, or as the real program where a story kills it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, text
from starlette.types import ASGIApp

from buildbot.bootstrap import Source, build_app
from buildbot.config import Files, load
from buildbot.engine.pacing import Clock, utc_now
from buildbot.sandbox.git_repository import Status
from buildbot.sandbox.github import GitHub, Push
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.serving import serving
from buildbot.store.sql_store import SqlStore
from buildbot.telemetry import REGISTRY

SECRET = "a secret of the hook"
REPOSITORY = "acme/api"
PATIENCE_SECONDS = 20.0
RESULTS = ("success", "failure")
"""How reading the configuration again may end."""
FAST = 60.0
"""How many times faster than recorded Quay runs: a build that takes eight seconds is over in an eighth of one."""

LONG_LEASE = 'lease = "1h"'
"""Where a story puts the clock forward, what is in flight that moment must not look abandoned."""

CONFIG = """
[server]
listen = "{listen}"
{public_url}
{rounds}

[store]
url = "{store_url}"
{store}

[forges.github]
kind = "github"
url = "{github}"
webhook_secrets = [{secrets}]
{credential}
{forge}

[registries.{registry_name}]
kind = "quay"
url = "{quay}"
token = "{registry_token}"
{registry}

{rules}
"""
RULE = """
[[rules]]
name = "api"
source = "acme/api"
branches = ["main", "release/*"]
tags = ["v*"]
repository = "acme/api"
image_tags = ["{ref}", "sha-{short_sha}", "{default_branch?latest}"]
"""
QUICK = """
poll_interval = "0.1s"
polls_per_second = 100
request_timeout = "2s"
settle_time = "2.5s"
expired_grace = "20s"
waiting_timeout = "20s"
"""

NO_ROUNDS = 'redeliver_every = "off"\nsweep_every = "off"'
"""Most stories are about pushes that do arrive, and count the calls to the forge."""

BRISK = """
poll_interval = "0.1s"
polls_per_second = 100
request_timeout = "0.5s"
settle_time = "0.6s"
"""
"""For stories about lost answers: it is soon clear that none will come."""


@dataclass
class Setting:
    """What a story's configuration says beyond the ordinary."""

    rules: str = RULE
    registry: str = QUICK
    registry_name: str = "quay"
    registry_token: str = "env:QUAY_TOKEN"
    store: str = ""
    forge: str = "writes_per_minute = 6000"
    credential: str = 'token = "env:GITHUB_TOKEN"'
    public_url: str = 'public_url = "https://builds.example.com"'
    listen: str = "127.0.0.1:0"
    secrets: str = '"env:GITHUB_WEBHOOK_SECRET"'
    rounds: str = NO_ROUNDS


@dataclass
class Watch:
    """The bot's clock, which can be put forward or run fast: a minute's pause is over in no time.

    The sandboxes and time-outs keep the real time.
    """

    rate: float = 1.0
    wall_ahead: float = 0.0
    """Seconds by which the wall's clock has been set forward; back if negative. Time that has passed knows nothing of
    it."""

    _born: datetime = field(default_factory=utc_now)
    _told: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def forward(self, seconds: float) -> None:
        """Let so much time pass for the bot."""
        self._told += seconds

    def run(self, rate: float) -> None:
        """Let time pass so many times faster from now on."""
        self._told, self._at, self.rate = self.seconds(), time.monotonic(), rate

    def seconds(self) -> float:
        """How much time has passed for the bot."""
        return self._told + (time.monotonic() - self._at) * self.rate

    def clock(self) -> Clock:
        """The clock to run the bot by."""
        return Clock(lambda: self._born + timedelta(seconds=self.seconds() + self.wall_ahead), self.seconds)


@dataclass
class World:
    """Everything that is there."""

    github: GitHub
    quay: Quay
    folder: Path
    store_url: str
    environ: dict[str, str]
    setting: Setting = field(default_factory=Setting)
    bot_url: str = ""
    hook: Any = None
    watch: Watch = field(default_factory=Watch)
    source: Source | None = None

    @property
    def config_file(self) -> Path:
        """The bot's configuration."""
        return self.folder / "config.toml"

    def write_config(self) -> Path:
        """Write the configuration of this world."""
        text = CONFIG
        values = {
            "listen": self.setting.listen,
            "public_url": self.setting.public_url,
            "rounds": self.setting.rounds,
            "secrets": self.setting.secrets,
            "store_url": self.store_url,
            "store": self.setting.store,
            "github": self.github.url,
            "credential": self.setting.credential,
            "forge": self.setting.forge,
            "quay": self.quay.url,
            "registry": self.setting.registry,
            "registry_token": self.setting.registry_token,
            "registry_name": self.setting.registry_name,
            "rules": self.setting.rules,
        }
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        self.config_file.write_text(text)
        return self.config_file

    def hear_pushes(self, bot_url: str) -> None:
        """Point the repository's hook at the bot."""
        self.bot_url = bot_url
        self.github.state.hooks.clear()
        self.hook = self.github.add_hook(REPOSITORY, f"{bot_url}/webhooks/github", secret=SECRET)

    @asynccontextmanager
    async def bot(self) -> AsyncIterator[str]:
        """Run the bot in this process while the block lasts; its hook is set to it."""
        self.setting.store = self.setting.store or LONG_LEASE
        files = Files()
        config = load(self.write_config(), self.environ, files=files)
        self.source = Source(self.config_file, self.environ, files)
        app = build_app(config, self.watch.clock(), self.source)
        async with serving(app, lifespan=True) as url:
            self.hear_pushes(url)
            yield url

    async def reread(self) -> str:
        """Have the bot of this process read the configuration again; the result by the name that the metric has."""
        assert self.source is not None
        before = _times_read()
        self.source.ask()
        await until(lambda: _times_read() != before)
        return next(result for result, times in _times_read().items() if times > before[result])

    async def reconfigure(self) -> str:
        """The same after the configuration has been written anew."""
        self.write_config()
        return await self.reread()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask the bot."""
        async with httpx.AsyncClient() as client:
            return await client.get(f"{self.bot_url}{path}", headers=headers)

    def statuses(self, sha: str, context: str = "quay/api") -> list[Status]:
        """The statuses of a commit in the order they were posted."""
        return [one for one in self.github.statuses(REPOSITORY, sha) if one.context == context]

    async def final_status(self, sha: str, context: str = "quay/api") -> Status:
        """Wait for the commit's status to be final."""
        await until(lambda: any(one.state != "pending" for one in self.statuses(sha, context)))
        return self.statuses(sha, context)[-1]

    def built_by(self, push: Push) -> list[str]:
        """The ids of the builds that a push led to, as its delivery was answered."""
        answers = [json.loads(one.answer) for one in push.attempts if one.delivery.event == "push"]
        return [build["id"] for answer in answers for build in answer["builds"]]

    async def build(self, push: Push) -> dict[str, Any]:
        """What the bot tells about the (only) build of a push."""
        (build_id,) = self.built_by(push)
        answer = await self.get(f"/builds/{build_id}", Accept="application/json")
        return dict(answer.raise_for_status().json())

    async def until_build(self, push: Push, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until something holds of the build of a push."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(build := await self.build(push)):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain, the build is {build}")
            await asyncio.sleep(0.02)
        return build

    def quay_calls(self, operation: str) -> list[int]:
        """The status codes with which Quay answered an operation, also where the answer was lost (0: never done)."""
        return [status for name, status in self.quay.calls if name == operation]

    def open_store(self) -> SqlStore:
        """The bot's database, as the commands open it beside a bot that runs."""
        return SqlStore(self.store_url)

    @contextmanager
    def held_store(self) -> Iterator[Connection]:
        """Somebody else's write transaction on the bot's database, while which nobody else can write."""
        with self.open_store() as other, other._writing.begin() as connection:
            yield connection

    def rows(self, query: str) -> list[str]:
        """What somebody else reads in the bot's database, one column."""
        with self.open_store() as other, other._reading.connect() as connection:
            return list(connection.execute(text(query)).scalars())

    def image_commit(self, tag: str, repository: str = REPOSITORY) -> str | None:
        """The commit that the image tag holds."""
        archive = self.quay.image(repository, tag)
        return archive.partition("/archive/")[2].partition(".tar.gz")[0] if archive else None


def _times_read() -> dict[str, float]:
    name = "buildbot_config_reloads_total"
    return {result: REGISTRY.get_sample_value(name, {"result": result}) or 0.0 for result in RESULTS}


async def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds; fails with what it was waiting for."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {holds.__code__.co_names}")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def all_serving(*apps: ASGIApp) -> AsyncIterator[list[str]]:
    """Serve some applications while the block lasts; they end together, since each takes a moment to."""
    over = asyncio.Event()
    urls: list[asyncio.Future[str]] = [asyncio.get_running_loop().create_future() for _ in apps]

    async def one(app: ASGIApp, url: asyncio.Future[str]) -> None:
        async with serving(app) as at:
            url.set_result(at)
            await over.wait()

    running = [asyncio.create_task(one(app, url)) for app, url in zip(apps, urls, strict=True)]
    try:
        yield list(await asyncio.gather(*urls))
    finally:
        over.set()
        await asyncio.gather(*running)


@asynccontextmanager
async def new_world(folder: Path, store_url: str) -> AsyncIterator[World]:
    """A GitHub and a Quay on loopback, with an account for the bot on both, and an empty database."""
    github, quay = GitHub(), Quay(speed=FAST)
    github.add_repository(REPOSITORY)
    token = github.issue_token("ci-bot", collaborator=REPOSITORY)
    quay.add_repository(REPOSITORY)
    quay.grant("acme", "builder", "admin")
    environ = {
        "GITHUB_TOKEN": token,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "QUAY_TOKEN": quay.issue_token("builder"),
    }
    async with AsyncExitStack() as stack:
        github.hookshot.client = await stack.enter_async_context(httpx.AsyncClient())
        github.url, quay.url = await stack.enter_async_context(all_serving(github.app, quay.app))
        yield World(github, quay, folder, store_url, environ)
