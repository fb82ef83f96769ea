"""The programs that are compared, each ready to be started: the bot itself and the baselines.

The bot is the real one, `buildbot serve` on a configuration in a folder of its own. It is not paced, since the
baselines are not: what it is allowed is in `Settings`, and is told beside every table.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.benchmarks.processes import Command, free_port
from tests.benchmarks.pushes import SECRET, repository_of

OURS, BARE, ROWS, BOT = "quay-buildbot", "(a) bare route", "(b) one row each", "(c) gidgethub bot"
BOT_TELLS_FIRST = "(c) that posts its pending first"
HAS_GIDGETHUB = all(importlib.util.find_spec(name) for name in ("gidgethub", "aiohttp"))
CONFIG = """
[server]
listen = "127.0.0.1:{port}"
public_url = "https://builds.example.com"

[store]
url = "{store}"

[forges.github]
kind = "github"
url = "https://github.com"
api_url = "{github}"
webhook_secrets = ["env:HOOK_SECRET"]
{credential}
writes_per_minute = {writes_per_minute}

[registries.quay]
kind = "quay"
url = "{quay}"
token = "env:QUAY_TOKEN"
poll_interval = "{poll_interval}"
polls_per_second = {polls_per_second}
"""
RULE = """
[[rules]]
name = "{name}"
source = "{full_name}"
branches = ["**"]
repository = "{full_name}"
image_tags = ["{{ref}}", "sha-{{short_sha}}"]
"""


def private_key() -> str:
    """A private key for an App."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


ENVIRON = {
    "HOOK_SECRET": SECRET,
    "QUAY_TOKEN": "quay-token-of-the-bench",
    "GITHUB_TOKEN": "github-token-of-the-bench",
    "APP_KEY": private_key(),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How the bot is configured: one rule for each of so many repositories, and what it is allowed to ask.

    `app_id`: it acts as this GitHub App, and not with a token.
    """

    repositories: int
    poll_interval: str = "1s"
    polls_per_second: int = 1000
    writes_per_minute: int = 10_000
    app_id: int | None = None

    def told(self) -> str:
        """The settings in words, for the reader of a table."""
        pace = f"poll_interval {self.poll_interval}, polls_per_second {self.polls_per_second}"
        return f"{pace}, writes_per_minute {self.writes_per_minute}"


def config_text(
    settings: Settings, quay: str, github: str | None = None, *, port: int = 0, store: str = "sqlite:///bench.db"
) -> str:
    """The bot's configuration, for a Quay and a GitHub API (at the same address if None). Its secrets: `ENVIRON`."""
    head = CONFIG.format(
        port=port,
        store=store,
        quay=quay,
        github=github or quay,
        credential=_TOKEN if settings.app_id is None else _APP.format(settings.app_id),
        writes_per_minute=settings.writes_per_minute,
        poll_interval=settings.poll_interval,
        polls_per_second=settings.polls_per_second,
    )
    rules = [RULE.format(name=f"service-{n}", full_name=repository_of(n)) for n in range(settings.repositories)]
    return head + "".join(rules)


def ours(folder: Path, settings: Settings, remote: str, store: str) -> Command:
    """The bot. `store`: the URL of its database."""
    port, config = free_port(), folder / "config.toml"
    config.write_text(config_text(settings, remote, port=port, store=store))
    arguments = ("-m", "buildbot", "serve", "-c", str(config))
    return Command(OURS, arguments, port, "/readyz", folder / "bot.log", ENVIRON)


_APP = 'app_id = {}\nprivate_key = "env:APP_KEY"'
_TOKEN = 'token = "env:GITHUB_TOKEN"'


def bare(folder: Path) -> Command:
    """Baseline (a)."""
    return _baseline(BARE, "bare", folder)


def rows(folder: Path) -> Command:
    """Baseline (b)."""
    return _baseline(ROWS, "rows", folder, str(folder / "rows.db"))


def bot(folder: Path, settings: Settings, remote: str, *, tells_first: bool = False) -> Command:
    """Baseline (c)."""
    (folder / "bot.pem").write_text(ENVIRON["APP_KEY"])
    key = ("--key", str(folder / "bot.pem")) if settings.app_id else ()
    order = ("--tells-first",) if tells_first else ()
    asked = ("--quay", remote, "--github", remote, "--repositories", str(settings.repositories), *key, *order)
    return _baseline(BOT_TELLS_FIRST if tells_first else BOT, "gidgethub_bot", folder, *asked)


def remote(folder: Path, *options: str) -> Command:
    """The quick Quay and GitHub."""
    port = free_port()
    arguments = ("-m", "tests.benchmarks.remote_process", str(port), *options)
    return Command("remote", arguments, port, "/ready", folder / "remote.log", {})


def _baseline(name: str, module: str, folder: Path, *options: str) -> Command:
    port = free_port()
    arguments: Sequence[str] = ("-m", f"tests.benchmarks.baselines.{module}", str(port), *options)
    return Command(name, arguments, port, "/ready", folder / f"{module}.log", {})


def webhook_path(name: str) -> str:
    """Where a program takes deliveries."""
    return "/webhooks/github" if name == OURS else "/webhook"
