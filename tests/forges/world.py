"""What the forges' common contract needs of each: its sandbox, its adapter and its webhook, under the same names.

A further forge derives a `ForgeWorld` in `<forge>/world.py` and adds a line to `WORLDS` in `test_contract`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx

from buildbot.bootstrap import ForgeApi
from buildbot.domain.push import Ignored, PushEvent
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.ports import Forge, RefReader, StatusTarget, Webhook
from buildbot.sandbox.faults import Faults
from buildbot.sandbox.pushing import Push, Pushing

REPO = "acme/api"
SECRET = "hush-hush-hush"
HOOK_URL = "https://builds.test/webhooks/forge"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TIMEOUT = timedelta(seconds=20)
AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A commit status as people see it at the forge, in the bot's words."""

    state: StatusState
    context: str
    description: str | None
    target_url: str | None


class ForgeWorld(ABC):
    """A sandbox with `acme/api`, public, one commit on main; a user `ci-bot` that may write statuses there.

    `budget` is whose calls the statuses of `ci-bot` spend; `tells_tag_objects` whether a delivery shows the object of
    an annotated tag, or its commit at once; `tells_gitlinks` whether the API tells which commit a submodule is at;
    `may_lack_top_directory` whether archives may have none around the source.
    """

    name: ClassVar[str]
    budget: ClassVar[str] = "user:ci-bot"
    tells_tag_objects: ClassVar[bool] = True
    tells_gitlinks: ClassVar[bool] = True
    may_lack_top_directory: ClassVar[bool] = False
    sandbox: Pushing[Any, Any]
    faults: Faults
    forge: Forge
    webhook: Webhook

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    @classmethod
    @abstractmethod
    def new_sandbox(cls) -> Any:
        """A sandbox with nothing in it, whose clock says `NOW`; it has the application as `app`."""

    @abstractmethod
    def forge_with(self, token: str) -> Forge:
        """The adapter with another token."""

    @abstractmethod
    def token_of(self, login: str) -> str:
        """A new token of an account, good for whatever the account may do."""

    @property
    def refs(self) -> RefReader:
        """The adapter as what is asked for branches and tags."""
        reader = self.forge
        assert isinstance(reader, ForgeApi)
        return reader

    async def post(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a status with the adapter."""
        await self.forge.post_status(target, status)

    @abstractmethod
    def add_hook(self, secret: str) -> None:
        """Let pushes to the repository be told to `HOOK_URL`."""

    @abstractmethod
    def hide(self, full_name: str = REPO) -> None:
        """Make the repository private."""

    def add_private(self, full_name: str, files: Mapping[str, str | None]) -> str:
        """Another private repository, in which `ci-bot` may do what it may in `acme/api`; returns its only commit."""
        made = self.sandbox.add_repository(full_name, files=files)  # type: ignore[attr-defined]  # all have it
        made.collaborators.update(self.sandbox.repository(REPO).collaborators)
        self.hide(full_name)
        return str(made.refs["refs/heads/main"])

    @abstractmethod
    def rename(self, full_name: str) -> None:
        """Give the repository another name."""

    @abstractmethod
    def shown(self, sha: str) -> list[Shown]:
        """The statuses that people see on a commit now."""

    @abstractmethod
    def headers(self, delivery: Any) -> dict[str, str]:
        """The headers of a delivery as it would be sent now."""

    def repository_id(self) -> str:
        """The repository's id as deliveries and the API tell it."""
        return str(self.sandbox.repository(REPO).id)

    @property
    def head(self) -> str:
        """The commit that main points to."""
        return self.sandbox.repository(REPO).refs["refs/heads/main"]

    def target(self, sha: str, ref: str = "refs/heads/main") -> StatusTarget:
        """Where a status of a commit goes."""
        return StatusTarget(REPO, sha, ref, "quay/api")

    def read(self, push: Push[Any, Any]) -> PushEvent:
        """What the adapter reads in the one delivery of a push."""
        for delivery in push.deliveries:
            headers = wire_headers(self.headers(delivery))
            _, event = self.webhook.identify(headers)
            read = self.webhook.read(event, self.webhook.decode(headers, delivery.body))
            if not isinstance(read, Ignored):
                (one,) = read
                return one
        raise AssertionError(f"no delivery of {push} is read as a push")


def wire_headers(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Headers as the endpoint hands them over: lower-case names, bytes."""
    return {name.lower(): value.encode() for name, value in headers.items()}
