"""The world of the stories about source: any forge, a Quay whose builder really fetches, and the bot between them.

The bot's public address is its own on loopback, so the builder comes back to it for what the forge would not give.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from buildbot.bootstrap import build_app
from buildbot.config import load
from buildbot.domain.status import StatusState
from buildbot.sandbox.git_repository import Change
from buildbot.sandbox.gitlab import GitLab
from buildbot.sandbox.pushing import Push
from buildbot.sandbox.quay import Quay
from buildbot.sandbox.quay_builder import Builder, Finding
from buildbot.sandbox.quay_builds import Build
from buildbot.sandbox.serving import listen, serving, url_of
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.bitbucket_datacenter.world import BitbucketDataCenterWorld
from tests.forges.gitea.world import ForgejoWorld, GiteaWorld
from tests.forges.github.world import GitHubWorld
from tests.forges.gitlab.world import GitLabWorld
from tests.forges.world import REPO, ForgeWorld, Shown
from tests.stories.world import FAST, NO_ROUNDS, QUICK, Watch, all_serving, until

FORGES: tuple[type[ForgeWorld], ...] = (
    GitHubWorld,
    GitLabWorld,
    GiteaWorld,
    ForgejoWorld,
    BitbucketWorld,
    BitbucketDataCenterWorld,
)
SECRET = "a secret of the hook"
CONTEXT = "quay/api"
CONFIG = """
[server]
{public_url}
{rounds}

[store]
url = "sqlite:///{folder}/buildbot.db"

[forges.source]
kind = "{kind}"
url = "{forge}"
api_url = "{api}"
webhook_secrets = ["env:WEBHOOK_SECRET"]
token = "env:FORGE_TOKEN"
writes_per_minute = 6000

[registries.quay]
kind = "quay"
url = "{quay}"
token = "env:QUAY_TOKEN"
{registry}

[[rules]]
name = "api"
source = "acme/api"
branches = ["main", "feature/*"]
repository = "acme/api"
{rule}
"""


@dataclass
class ForgeStory:
    """Everything that is there. `rule` is what the rule says beyond the ordinary; `is_public`: builders reach the
    bot."""

    forge: ForgeWorld
    sandbox: Any
    quay: Quay
    folder: Path
    environ: dict[str, str]
    rule: str = ""
    is_public: bool = True
    bot_url: str = ""
    watch: Watch = field(default_factory=Watch)
    rounds: str = NO_ROUNDS
    port: int = 0

    def write_config(self, bot_url: str) -> Path:
        """Write the configuration of a bot that is at this address."""
        values = {
            "public_url": f'public_url = "{bot_url}"' if self.is_public else "",
            "rounds": self.rounds,
            "folder": str(self.folder),
            "kind": self.forge.name,
            "forge": self.sandbox.url,
            "api": self.sandbox.api_url,
            "quay": self.quay.url,
            "registry": QUICK,
            "rule": self.rule,
        }
        file, text = self.folder / "config.toml", CONFIG
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        file.write_text(text)
        return file

    @asynccontextmanager
    async def bot(self) -> AsyncIterator[None]:
        """Run the bot in this process while the block lasts, always at one address; the forge's hook is set to it."""
        with listen(self.port) as listening:
            is_first = not self.port
            self.bot_url, self.port = url_of(listening), listening.getsockname()[1]
            app = build_app(load(self.write_config(self.bot_url), self.environ), self.watch.clock())
            async with serving(app, listening=listening, lifespan=True):
                if is_first:
                    self._hear_pushes(f"{self.bot_url}/webhooks/source")
                yield

    def _hear_pushes(self, url: str) -> None:
        if isinstance(self.sandbox, GitLab):
            self.sandbox.add_hook(REPO, url, token=SECRET)
        else:
            self.sandbox.add_hook(REPO, url, secret=SECRET)

    async def push(self, **files: str) -> Push[Any, Any]:
        """One commit on main; `__` in a file's name stands for a slash."""
        named = {name.replace("__", "/"): content for name, content in files.items()}
        return await self.push_change(Change("Change something", named))

    async def push_change(self, change: Change) -> Push[Any, Any]:
        """One commit on main."""
        push: Push[Any, Any] = await self.sandbox.push_commits(REPO, [change])
        assert [attempt.status_code for attempt in push.attempts] in ([200], [202]), [
            one.answer for one in push.attempts
        ]
        return push

    async def force_push(self, **files: str) -> Push[Any, Any]:
        """The last commit on main replaced by another."""
        named = {name.replace("__", "/"): content for name, content in files.items()}
        push: Push[Any, Any] = await self.sandbox.commit_and_push(REPO, files=named, force=True)
        return push

    async def push_branch(self, branch: str, **files: str) -> Push[Any, Any]:
        """One commit on a branch, which begins at main where it is new."""
        named = {name.replace("__", "/"): content for name, content in files.items()}
        push: Push[Any, Any] = await self.sandbox.commit_and_push(REPO, ref=branch, files=named)
        return push

    async def remove(self, file: str) -> Push[Any, Any]:
        """One commit on main that removes a file."""
        push: Push[Any, Any] = await self.sandbox.commit_and_push(REPO, files={file: None})
        return push

    async def final_status(self, sha: str) -> Shown:
        """Wait for the commit's status to be final."""
        await until(lambda: any(one.state is not StatusState.PENDING for one in self.forge.shown(sha)))
        (status,) = self.forge.shown(sha)
        return status

    @property
    def build(self) -> Build:
        """The only build at Quay."""
        (build,) = self.quay.builds
        return build

    @property
    def package(self) -> Finding:
        """What the builder found behind the only build's address."""
        package = self.build.request.package
        assert package is not None
        return package

    @property
    def is_relayed(self) -> bool:
        """Whether the only build's source comes from the bot; else it comes from the forge."""
        address = str(self.build.archive_url)
        assert address.startswith((f"{self.bot_url}/archives/", f"{self.sandbox.url}/")), address
        return address.startswith(self.bot_url)

    async def archive(self) -> httpx.Response:
        """What the only build's address answers now."""
        async with httpx.AsyncClient() as client:
            return await client.get(str(self.build.archive_url))

    async def steps(self, push: Push[Any, Any]) -> list[str]:
        """The history of the build of a push, as its page tells it."""
        return [step["what"] for step in (await self.page(push))["steps"]]

    async def page(self, push: Push[Any, Any]) -> Any:
        """The page of the build of a push, as programs read it."""
        (answer,) = [json.loads(attempt.answer) for attempt in push.attempts]
        (build,) = answer["builds"]
        async with httpx.AsyncClient(headers={"Accept": "application/json"}) as client:
            return (await client.get(f"{self.bot_url}/builds/{build['id']}")).raise_for_status().json()


@asynccontextmanager
async def forge_story(kind: type[ForgeWorld], folder: Path) -> AsyncIterator[ForgeStory]:
    """A forge of that kind and a Quay on loopback, with an account for the bot on both."""
    sandbox, quay = kind.new_sandbox(), Quay(speed=FAST)
    quay.add_repository("acme/api")
    quay.grant("acme", "builder", "admin")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient())
        sandbox.url, quay.url = await stack.enter_async_context(all_serving(sandbox.app, quay.app))
        quay.builder = Builder(await stack.enter_async_context(httpx.AsyncClient()))
        sender = sandbox.hookshot if hasattr(sandbox, "hookshot") else sandbox.sender
        sender.client = client
        forge = kind(client, sandbox)  # type: ignore[call-arg]  # each takes the sandbox of its kind
        environ = {
            "FORGE_TOKEN": forge.token_of("ci-bot"),
            "WEBHOOK_SECRET": SECRET,
            "QUAY_TOKEN": quay.issue_token("builder"),
        }
        yield ForgeStory(forge, sandbox, quay, folder, environ)
