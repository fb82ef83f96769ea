"""The forges at which the demo's story can be played, and all that the story needs to know of what is different there.

Each is a class of the same shape, so that the story is told once and asks a forge only for what forges differ in: the
bot's account, how a hook is proven, the words for a status, and where statuses are kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import httpx
from starlette.types import ASGIApp

from buildbot.sandbox.bitbucket import Bitbucket
from buildbot.sandbox.demo_pushes import with_pushes
from buildbot.sandbox.git_repository import Repository
from buildbot.sandbox.gitea import Gitea
from buildbot.sandbox.github import GitHub
from buildbot.sandbox.gitlab import GitLab

REPOSITORY = "acme/api"
SECRET = "the demo's webhook secret"  # noqa: S105  of a sandbox, on loopback
ACCOUNT = "ci-bot"
SOURCE = {
    "Dockerfile": "FROM busybox\nCOPY . /srv\n",
    "src/api.py": "print('hello')\n",
    "docs/index.md": "# The API\n",
}
Sandbox = GitHub | GitLab | Gitea | Bitbucket


class ForgeName(StrEnum):
    """A forge of the demo, by its `kind` in a configuration."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    FORGEJO = "forgejo"
    BITBUCKET = "bitbucket"


@dataclass(frozen=True, slots=True)
class Shown:
    """A status on a commit as people see it, its state in the forge's own word."""

    sha: str
    context: str
    state: str
    text: str


class DemoForge(ABC):
    """A sandbox with the demo's repository and an account for the bot.

    `words` are the forge's for the states `success`, `failure` and `error`; any other word of its is of a status that
    has not ended.
    """

    title: ClassVar[str]
    words: ClassVar[Mapping[str, str]] = {"success": "success", "failure": "failure", "error": "error"}
    sandbox: Sandbox
    token: str

    @property
    def app(self) -> ASGIApp:
        """What is to be served: the sandbox, which people can also push to from another process."""
        return with_pushes(self.sandbox, self.sandbox.app)

    @property
    def repository(self) -> Repository:
        """The demo's repository."""
        return self.sandbox.repository(REPOSITORY)

    @abstractmethod
    def send_over(self, client: httpx.AsyncClient) -> None:
        """Let webhooks go out over the client, which is the caller's."""

    @abstractmethod
    def tell_pushes(self, url: str) -> None:
        """Set a hook, proven by `SECRET`."""

    def statuses(self) -> list[Shown]:
        """All that the repository's commits show, oldest first; where a forge keeps former ones, those too."""
        return [Shown(one.sha, one.context, one.state, one.description or "") for one in self.repository.statuses]


class AtGitHub(DemoForge):
    """Enterprise Server, as on loopback; a classic token that may do no more than post statuses."""

    title = "GitHub"

    def __init__(self) -> None:
        self.sandbox: GitHub = GitHub()
        self.sandbox.add_repository(REPOSITORY, files=SOURCE)
        self.token = self.sandbox.issue_token(ACCOUNT, collaborator=REPOSITORY)

    @property
    def app(self) -> ASGIApp:
        return self.sandbox.app

    def send_over(self, client: httpx.AsyncClient) -> None:
        self.sandbox.hookshot.client = client

    def tell_pushes(self, url: str) -> None:
        self.sandbox.add_hook(REPOSITORY, url, secret=SECRET)


class AtGitLab(DemoForge):
    """A developer's token; GitLab has one word for a build that failed and one that could not run."""

    title = "GitLab"

    words: ClassVar[Mapping[str, str]] = {"success": "success", "failure": "failed", "error": "failed"}

    def __init__(self) -> None:
        self.sandbox: GitLab = GitLab()
        self.sandbox.add_repository(REPOSITORY, files=SOURCE)
        self.token = self.sandbox.issue_token(ACCOUNT, member=REPOSITORY)

    def send_over(self, client: httpx.AsyncClient) -> None:
        self.sandbox.sender.client = client

    def tell_pushes(self, url: str) -> None:
        self.sandbox.add_hook(REPOSITORY, url, token=SECRET)


class AtGitea(DemoForge):
    """A collaborator's token; Quay's builder cannot use the archives, so the bot passes the source on."""

    title = "Gitea"

    is_forgejo: ClassVar[bool] = False

    def __init__(self) -> None:
        self.sandbox: Gitea = Gitea(forgejo=self.is_forgejo)
        self.sandbox.add_repository(REPOSITORY, files=SOURCE)
        self.token = self.sandbox.issue_token(ACCOUNT, collaborator=REPOSITORY)

    def send_over(self, client: httpx.AsyncClient) -> None:
        self.sandbox.sender.client = client

    def tell_pushes(self, url: str) -> None:
        self.sandbox.add_hook(REPOSITORY, url, secret=SECRET)


class AtForgejo(AtGitea):
    """The same with Forgejo's headers, and archives that the builder can use."""

    title = "Forgejo"

    is_forgejo = True


class AtBitbucket(DemoForge):
    """Bitbucket Cloud: an access token, and a status per key, which the next one of the key replaces."""

    title = "Bitbucket"

    words: ClassVar[Mapping[str, str]] = {"success": "SUCCESSFUL", "failure": "FAILED", "error": "STOPPED"}

    def __init__(self) -> None:
        self.sandbox: Bitbucket = Bitbucket()
        self.sandbox.add_repository(REPOSITORY, files=SOURCE)
        self.token = self.sandbox.issue_access_token(ACCOUNT, collaborator=REPOSITORY)

    def send_over(self, client: httpx.AsyncClient) -> None:
        self.sandbox.sender.client = client

    def tell_pushes(self, url: str) -> None:
        self.sandbox.add_hook(REPOSITORY, url, secret=SECRET)

    def statuses(self) -> list[Shown]:
        posted = self.sandbox.state.statuses.values()
        return [Shown(one.sha, one.key, one.state, one.description or "") for one in posted]


FORGES: Mapping[ForgeName, Callable[[], DemoForge]] = {
    ForgeName.GITHUB: AtGitHub,
    ForgeName.GITLAB: AtGitLab,
    ForgeName.GITEA: AtGitea,
    ForgeName.FORGEJO: AtForgejo,
    ForgeName.BITBUCKET: AtBitbucket,
}
