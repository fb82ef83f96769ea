"""A Gitea, or a Forgejo, to try a bot against: one object on which users push, and one application that bots talk to.

The API lies under `/api/v1`, archives there and at the site's own URLs. It answers, refuses, redirects and signs as
the forges do where they agree, and where they differ as `forgejo` says; `faults` lets the network and the instance
fail. What users do (`pushing`) sends its webhooks before it returns, or keeps them in `outbox`.

A new ref is told by `push` and `create`, a deleted tag by `push` and `delete`, a deleted branch by `delete` alone.

Left out: organisations' hooks, hooks with the method GET, pull requests, repositories of SHA-256, limited visibility.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from buildbot.sandbox import gitea_payloads as payloads
from buildbot.sandbox.faults import Exchange, FaultyNetwork
from buildbot.sandbox.git_repository import Change, Person, RefUpdate, Repository, Status
from buildbot.sandbox.gitea_api import API_PATH, api_app
from buildbot.sandbox.gitea_archives import archive_routes
from buildbot.sandbox.gitea_faults import GiteaFaults
from buildbot.sandbox.gitea_hooks import (
    DEFAULT_EVENTS,
    Attempt,
    ContentType,
    Delivery,
    Hook,
    HookKind,
    HookSender,
    Json,
)
from buildbot.sandbox.gitea_state import ROLES, State, utc_now
from buildbot.sandbox.pushing import Push as PushOf
from buildbot.sandbox.pushing import Pushing

_FIRST_FILES = {"Dockerfile": "FROM busybox\n"}
ENOUGH_SCOPES = ("write:repository", "read:user")
Push = PushOf[Delivery, Attempt]


class Gitea(Pushing[Delivery, Attempt]):
    """The sandbox. `url` is where it is reached and may be changed, say once a server knows its port."""

    def __init__(
        self,
        url: str = "http://gitea.test",
        now: Callable[[], datetime] = utc_now,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        *,
        forgejo: bool = False,
    ) -> None:
        """Webhooks go out over `client`, which may also be set later (`sender.client`) and is never closed here."""
        super().__init__()
        self.sender = HookSender(now, client)
        self.state = State(url.rstrip("/"), now, self.sender, forgejo)
        self.faults = GiteaFaults(self.state, sleep)
        self.calls: list[Exchange] = []
        self.app = Starlette(
            routes=[Mount(API_PATH, api_app(self.state)), *archive_routes(self.state)],
            middleware=[Middleware(FaultyNetwork, faults=self.faults, exchanges=self.calls, api_path=API_PATH)],
        )

    @property
    def url(self) -> str:
        """The site's address, without a slash at the end."""
        return self.state.url

    @url.setter
    def url(self, url: str) -> None:
        self.state.url = url.rstrip("/")

    @property
    def api_url(self) -> str:
        """The API's address."""
        return self.state.api_url

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.state.now()

    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""
        return self.state.person(login)

    # Repositories

    def add_repository(
        self,
        full_name: str,
        *,
        private: bool = False,
        default_branch: str = "main",
        files: Mapping[str, str | None] | None = _FIRST_FILES,
    ) -> Repository:
        """A new repository of the account it is named after, with a first commit; `files=None` leaves it empty."""
        owner, now = self.person(full_name.partition("/")[0]), self.now()
        it = Repository(next(self.state.ids), full_name, owner, now, now, private, default_branch)
        self.state.repositories[it.id] = it
        self.state.names[full_name.lower()] = it.id
        if files is not None:
            first = it.commit(None, Change("Initial commit", files), owner, now)
            it.move(f"refs/heads/{default_branch}", first.sha, known=frozenset())
        return it

    def repository(self, named: Repository | str) -> Repository:
        """The repository of that name, also of a former one; `LookupError` if there is none."""
        found = named if isinstance(named, Repository) else self.state.find(named)
        if found is None:
            raise LookupError(f"the sandbox Gitea has no repository {named}; add it with add_repository")
        return found

    def rename(self, repository: Repository | str, full_name: str) -> Repository:
        """Rename a repository, or transfer it to another owner; the former name leads to it from then on."""
        it = self.repository(repository)
        it.full_name, it.owner = full_name, self.person(full_name.partition("/")[0])
        self.state.names[full_name.lower()] = it.id
        return it

    def set_private(self, repository: Repository | str, private: bool = True) -> None:
        """Hide a repository from everybody without rights, or show it."""
        self.repository(repository).private = private

    def statuses(self, repository: Repository | str, sha: str) -> list[Status]:
        """The statuses of a commit, oldest first."""
        return self.repository(repository).statuses_of(sha)

    # Accounts

    def add_collaborator(self, repository: Repository | str, login: str, role: str = "write") -> None:
        """Give an account rights: `read`, `write` or `admin`."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is none of {', '.join(ROLES)}")
        self.repository(repository).collaborators[self.person(login).login] = role

    def issue_token(
        self,
        login: str,
        *,
        scopes: Iterable[str] = ENOUGH_SCOPES,
        collaborator: Repository | str | None = None,
        role: str = "write",
    ) -> str:
        """A token of the account. `collaborator` is a repository on which to give it a `role` on the way."""
        if collaborator is not None:
            self.add_collaborator(collaborator, login, role)
        return self.state.issue(login, scopes).text

    # Hooks

    def add_hook(
        self,
        repository: Repository | str,
        url: str,
        *,
        secret: str = "",
        content_type: ContentType = "json",
        events: tuple[str, ...] = DEFAULT_EVENTS,
        kind: HookKind | None = None,
    ) -> Hook:
        """A hook of a repository. `kind` is the forge's own unless said otherwise; Gitea has only its own."""
        own: HookKind = "forgejo" if self.state.is_forgejo else "gitea"
        if kind == "forgejo" and not self.state.is_forgejo:
            raise ValueError("Gitea has no hooks of Forgejo's kind")
        of = self.repository(repository).id
        hook = Hook(next(self.state.ids), url, of, secret, content_type, events, kind or own)
        self.state.hooks.append(hook)
        return hook

    async def deliver(
        self,
        delivery: Delivery,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Attempt:
        """Send a delivery, held back or not, for the first time or again; for the arguments see `HookSender.send`."""
        self.take_out(delivery)
        return await self.sender.send(delivery, body=body, headers=headers)

    async def test_hook(self, hook: Hook) -> Attempt:
        """The Test button: a push whose `before` is its `after`."""
        it = self.state.repositories[hook.repository_id]
        payload = payloads.test(self.state, it, it.resolve(it.default_branch))
        return await self.sender.send(self.state.delivery(hook, "push", payload))

    def _announced(self, it: Repository, update: RefUpdate, by: str) -> Iterable[Delivery]:
        for event in _events(update):
            for hook in self.state.hooks:
                if hook.repository_id == it.id and hook.hears(event):
                    yield self.state.delivery(hook, event, self._payload(event, it, update, by, hook.kind))

    def _payload(self, event: str, it: Repository, update: RefUpdate, by: str, kind: HookKind) -> Json:
        person = self.person(by)
        match event:
            case "create":
                return payloads.create(self.state, it, update, person, kind)
            case "delete":
                return payloads.delete(self.state, it, update, person, kind)
            case _:
                return payloads.push(self.state, it, update, person)


def _events(update: RefUpdate) -> tuple[str, ...]:
    if update.created:
        return ("push", "create")
    if not update.deleted:
        return ("push",)
    return ("push", "delete") if update.is_tag else ("delete",)
