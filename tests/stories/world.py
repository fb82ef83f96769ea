"""The world of the stories: a GitHub, a Quay and the bot, each behind a socket of its own, and what people do in it.

Stories go through the front door: pushes are signed webhooks, statuses are read at the forge, images at the registry.
The bot runs in this process with its real adapters and its real store, or as the real program where a story kills it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from buildbot.bootstrap import build_app
from buildbot.config import load
from buildbot.sandbox.github import GitHub
from buildbot.sandbox.github_repository import Status
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.serving import serving

SECRET = "a secret of the hook"
REPOSITORY = "acme/api"
PATIENCE_SECONDS = 20.0
FAST = 60.0
"""How many times faster than recorded Quay runs: a build that takes eight seconds is over in an eighth of one."""

CONFIG = """
[server]
listen = "{listen}"
{public_url}

[store]
url = "sqlite:///{folder}/buildbot.db"
{store}

[forges.github]
kind = "github"
url = "{github}"
webhook_secrets = [{secrets}]
{credential}
{forge}

[registries.quay]
kind = "quay"
url = "{quay}"
token = "env:QUAY_TOKEN"
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


@dataclass
class Setting:
    """What a story's configuration says beyond the ordinary."""

    rules: str = RULE
    registry: str = QUICK
    store: str = ""
    forge: str = "writes_per_minute = 6000"
    credential: str = 'token = "env:GITHUB_TOKEN"'
    public_url: str = 'public_url = "https://builds.example.com"'
    listen: str = "127.0.0.1:0"
    secrets: str = '"env:GITHUB_WEBHOOK_SECRET"'


@dataclass
class World:
    """Everything that is there."""

    github: GitHub
    quay: Quay
    folder: Path
    environ: dict[str, str]
    setting: Setting = field(default_factory=Setting)
    bot_url: str = ""
    hook: Any = None

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
            "secrets": self.setting.secrets,
            "folder": str(self.folder),
            "store": self.setting.store,
            "github": self.github.url,
            "credential": self.setting.credential,
            "forge": self.setting.forge,
            "quay": self.quay.url,
            "registry": self.setting.registry,
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
        app = build_app(load(self.write_config(), self.environ))
        async with serving(app, lifespan=True) as url:
            self.hear_pushes(url)
            yield url

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

    def image_commit(self, tag: str, repository: str = REPOSITORY) -> str | None:
        """The commit that the image tag holds."""
        archive = self.quay.image(repository, tag)
        return archive.partition("/archive/")[2].partition(".tar.gz")[0] if archive else None


async def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds; fails with what it was waiting for."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {holds.__code__.co_names}")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def new_world(folder: Path) -> AsyncIterator[World]:
    """A GitHub and a Quay on loopback, with an account for the bot on both."""
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
        github.url = await stack.enter_async_context(serving(github.app))
        quay.url = await stack.enter_async_context(serving(quay.app))
        yield World(github, quay, folder, environ)
