"""A sandbox GitHub and Quay behind sockets, and commands that really talk to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from typer.testing import Result

from buildbot.sandbox.github import GitHub
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.serving import serving
from tests.cli.world import ENVIRON, RULES, Place


@dataclass
class Clock:
    """Quay's clock, turned by hand."""

    seconds: float = 1_795_453_200.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Sandboxes:
    """Both with one repository each, tokens that are enough, and a configuration of them."""

    github: GitHub
    quay: Quay
    place: Place
    clock: Clock

    async def run(self, *arguments: str) -> Result:
        """A command, in a thread of its own, while they answer."""
        return await asyncio.to_thread(self.place.run, *arguments)


@asynccontextmanager
async def sandboxes(folder: Path, rules: str = RULES) -> AsyncIterator[Sandboxes]:
    """They for as long as a block lasts."""
    clock = Clock()
    github, quay = GitHub(), Quay(clock=clock)
    async with serving(github.app) as github_url, serving(quay.app) as quay_url:
        github.url, quay.url = github_url, quay_url
        github.add_repository("acme/api")
        quay.add_repository("acme/api")
        quay.grant("acme", "builder", "admin")
        tokens = {
            "TOKEN": github.issue_token("ci-bot", scopes=("repo",), collaborator="acme/api"),
            "QUAY": quay.issue_token("builder", ("repo:admin", "repo:read")),
        }
        yield Sandboxes(github, quay, Place(folder, github_url, quay_url, ENVIRON | tokens).write(rules), clock)
