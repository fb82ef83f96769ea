"""A configuration in a folder, the real command line in this process, and builds put into the store by its port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from typer.testing import CliRunner, Result

from buildbot.cli import app
from buildbot.domain.build import Build, BuildPhase, BuildRequest, LogDigest, Seen
from buildbot.domain.push import Source
from buildbot.domain.status import status_of
from buildbot.ports import BuildChange, Commission, Store
from buildbot.store.sql_store import SqlStore

T = TypeVar("T")
ENVIRON = {"HOOK": "the secret of the hook", "TOKEN": "ghp_token", "QUAY": "quaytoken"}
SHA = "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"
OTHER_SHA = "2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c"
NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)

CONFIG = """
[server]
public_url = "https://builds.example.com"

[store]
url = "{store}"

[forges.github]
kind = "github"
url = "{github}"
webhook_secrets = ["env:HOOK"]
token = "env:TOKEN"

[registries.quay]
kind = "quay"
url = "{quay}"
token = "env:QUAY"
"""
RULES = """
[[rules]]
name = "api"
source = "acme/api"
branches = ["main", "release/*", "!release/old"]
tags = ["v*"]
repository = "acme/api"
image_tags = ["{ref}", "sha-{short_sha}", "{default_branch?latest}", "{version}"]

[[rules]]
name = "docs"
source = "acme/*"
branches = ["**"]
paths = ["docs/**"]
repository = "acme/docs"
dockerfile = "docs/Dockerfile"
supersede = "queued"
pull_robot = "acme+puller"

[[rules]]
name = "web"
source = "acme/web"
branches = ["main"]
repository = "acme/web"
"""


@dataclass(frozen=True)
class Place:
    """A folder with a configuration, and the command line in it."""

    folder: Path
    github: str = "https://github.com"
    quay: str = "https://quay.io"
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))

    @property
    def file(self) -> Path:
        return self.folder / "config.toml"

    @property
    def database(self) -> Path:
        return self.folder / "buildbot.db"

    def write(self, rules: str = RULES, **replaced: str) -> Place:
        """Write the configuration; returns the place."""
        values = {"store": "sqlite:///buildbot.db", "github": self.github, "quay": self.quay} | replaced
        self.file.write_text(CONFIG.format(**values) + rules)
        return self

    def run(self, *arguments: str, environ: dict[str, str] | None = None) -> Result:
        """A command with this configuration; whatever goes wrong in it must end in an exit code."""
        env: dict[str, str | None] = dict.fromkeys(ENVIRON) | {"BUILDBOT_CONFIG": str(self.file)}
        result = CliRunner().invoke(app, arguments, env=env | (self.environ if environ is None else environ))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    def document(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def store(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What `work` makes of the store."""

        async def working() -> T:
            return await work(store)

        with SqlStore(f"sqlite:///{self.database}") as store:
            return asyncio.run(working())

    def plan(self, ref: str = "refs/heads/main", sha: str = SHA, at: datetime = NOW, **replaced: Any) -> Build:
        """A build that is planned."""
        source, request = source_and_request(ref, sha, **replaced)
        commission = Commission(source, ref, sha, request, "ada")
        return self.store(lambda store: store.commission(commission, at, status_of))

    def see(self, build: Build, phase: BuildPhase = BuildPhase.SUCCEEDED, **seen: Any) -> Build:
        """The build as if that had been seen of it."""
        after, now = _seen(build, phase, seen), build.created_at + timedelta(minutes=2)

        async def seeing(store: Store) -> Build:
            claims = await store.claim_repositories("test", now, timedelta(seconds=10), 100)
            claim = next(claim for claim in claims if build.id in {held.id for held in claim.builds})
            change = BuildChange(after, status_of(after), is_news=True, steps=(f"{phase}",))
            await store.save(claim, [change], now)
            await store.give_up_claims("test")
            return (await store.story(build.id)).build

        return self.store(seeing)


def source_and_request(ref: str, sha: str, **replaced: Any) -> tuple[Source, BuildRequest]:
    """What is asked for a ref, with parts of the request replaced."""
    source = Source("github", "7", replaced.pop("full_name", "acme/api"), html_url="https://github.com/acme/api")
    usual: dict[str, Any] = {
        "rule": "api",
        "registry": "quay",
        "repository": "acme/api",
        "image_tags": (ref.rpartition("/")[2], f"sha-{sha[:7]}"),
        "archive_url": f"https://github.com/acme/api/archive/{sha}.tar.gz",
        "context": f"/api-{sha}",
        "dockerfile_path": f"/api-{sha}/Dockerfile",
        "status_context": "quay/api",
    }
    return source, BuildRequest(**usual | replaced)


def _seen(build: Build, phase: BuildPhase, seen: dict[str, Any]) -> Build:
    ended = build.created_at + timedelta(minutes=2) if phase.is_final else None
    usual: dict[str, Any] = {"quay_id": "ccfa0b59-6888-45fb-8788-a8533c74fcef", "attempt": 1, "finished_at": ended}
    return replace(build, seen=replace(Seen(phase=phase), **usual | seen))


FAILED_LOG = LogDigest(attempts=3, failed_step="2/3: RUN make", last_line="make: ***", tail=("Step 2/3", "make: ***"))
