"""A Bitbucket Cloud to try a bot against: one object on which users push, and one application that bots talk to.

The API lies under `/2.0` and the site beside it, on one host where the real ones have two. It answers, refuses,
redirects and signs as Bitbucket does, and `faults` lets the network and the service fail. What users do (`pushing`)
sends its webhooks before it returns, or keeps them in `outbox`; `push_refs` moves several refs in one push, and one
delivery tells of them all.

Left out: pull requests, projects and workspaces as things of their own, OAuth, and the limit of calls an hour, which
`faults.throttle` brings when it is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from buildbot.sandbox import bitbucket_payloads as payloads
from buildbot.sandbox.bitbucket_api import api_app
from buildbot.sandbox.bitbucket_archives import archive_routes
from buildbot.sandbox.bitbucket_faults import BitbucketFaults
from buildbot.sandbox.bitbucket_hooks import Attempt, Delivery, Hook, HookSender, new_uuid
from buildbot.sandbox.bitbucket_state import API_PATH, BuildStatus, State, utc_now
from buildbot.sandbox.faults import Exchange, FaultyNetwork
from buildbot.sandbox.git_repository import Change, Person, RefUpdate, Repository, full_ref
from buildbot.sandbox.pushing import Push as PushOf
from buildbot.sandbox.pushing import Pushing

FIRST_FILES = {"Dockerfile": "FROM busybox\n"}
Push = PushOf[Delivery, Attempt]


@dataclass(frozen=True, slots=True)
class PushOfSeveral:
    """What one push did to several refs, what is said about it, and what the hooks answered as far as it was sent."""

    updates: tuple[RefUpdate, ...]
    deliveries: tuple[Delivery, ...]
    attempts: tuple[Attempt, ...]


class Bitbucket(Pushing[Delivery, Attempt]):
    """The sandbox. `url` is where it is reached and may be changed, say once a server knows its port."""

    def __init__(
        self,
        url: str = "http://bitbucket.test",
        now: Callable[[], datetime] = utc_now,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Webhooks go out over `client`, which may also be set later (`sender.client`) and is never closed here."""
        super().__init__()
        self.sender = HookSender(now, client)
        self.state = State(url.rstrip("/"), now, self.sender, outbox=self.outbox)
        self.faults = BitbucketFaults(self.state, sleep)
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
        files: Mapping[str, str | None] | None = FIRST_FILES,
    ) -> Repository:
        """A new repository in the workspace that its name begins with; `files=None` leaves it empty."""
        owner, now = self.person(full_name.partition("/")[0]), self.now()
        it = self.state.add(Repository(next(self.state.ids), full_name, owner, now, now, private, default_branch))
        if files is not None:
            first = it.commit(None, Change("Initial commit", files), owner, now)
            it.move(f"refs/heads/{default_branch}", first.sha, known=frozenset())
        return it

    def repository(self, named: Repository | str) -> Repository:
        """The repository of that name, also of a former one; `LookupError` if there is none."""
        found = named if isinstance(named, Repository) else self.state.find(named)
        if found is None:
            raise LookupError(f"the sandbox Bitbucket has no repository {named}; add it with add_repository")
        return found

    def rename(self, repository: Repository | str, full_name: str) -> Repository:
        """Rename a repository; the former name leads to it from then on."""
        it = self.repository(repository)
        it.full_name = full_name
        self.state.names[full_name.lower()] = it.id
        return it

    def set_private(self, repository: Repository | str, private: bool = True) -> None:
        """Hide a repository from everybody without rights, or show it."""
        self.repository(repository).private = private

    def uuid(self, repository: Repository | str) -> str:
        """The repository's id, in braces."""
        return self.state.uuids[self.repository(repository).id]

    def statuses(self, repository: Repository | str, sha: str) -> list[BuildStatus]:
        """The statuses of a commit as they stand, one per key."""
        it = self.repository(repository)
        return [one for (id_, of, _), one in self.state.statuses.items() if (id_, of) == (it.id, sha)]

    # Accounts

    def add_collaborator(self, repository: Repository | str, login: str, level: str = "write") -> None:
        """Give an account rights: `read`, `write` or `admin`."""
        self.repository(repository).collaborators[self.person(login).login] = level

    def issue_access_token(
        self, login: str, *, scopes: Iterable[str] = ("repository",), collaborator: Repository | str | None = None
    ) -> str:
        """An access token, carried as `Bearer`; `collaborator` is a repository that its account may read."""
        if collaborator is not None:
            self.add_collaborator(collaborator, login, "read")
        return self.state.issue(login, scopes, is_access_token=True).text

    def issue_api_token(
        self, login: str, *, scopes: Iterable[str] = ("account", "repository"), collaborator: str | None = None
    ) -> str:
        """A person's API token as the bot is given it, "account:token", carried as `Basic`."""
        if collaborator is not None:
            self.add_collaborator(collaborator, login, "read")
        return f"{self.person(login).login}:{self.state.issue(login, scopes, is_access_token=False).text}"

    # Hooks

    def add_hook(
        self,
        repository: Repository | str,
        url: str,
        *,
        secret: str | None = None,
        events: tuple[str, ...] = ("repo:push",),
    ) -> Hook:
        """A hook of a repository."""
        hook = Hook(new_uuid(), url, self.repository(repository).id, secret, events)
        self.state.hooks.append(hook)
        return hook

    async def push_refs(
        self,
        repository: Repository | str,
        refs: Mapping[str, str | None],
        *,
        by: str = "ada",
        force: bool = False,
        deliver: bool = True,
    ) -> PushOfSeveral:
        """Move several refs to commits (or tag objects) in one push; None deletes one. One delivery tells of all."""
        it, known = self.repository(repository), frozenset(self.repository(repository).commits)
        updates = tuple(
            it.delete(full_ref(ref)) if to is None else it.move(full_ref(ref), to, known=known, force=force)
            for ref, to in refs.items()
        )
        deliveries = tuple(self._told(it, updates, by))
        self.outbox.extend(deliveries)
        attempts = tuple([await self.deliver(one) for one in deliveries] if deliver else [])
        return PushOfSeveral(updates, deliveries, attempts)

    async def deliver(
        self,
        delivery: Delivery,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Attempt:
        """Send a delivery, held back or not; a 5xx is tried again at once. For the arguments see `HookSender.send`."""
        self.take_out(delivery)
        return await self.sender.send(delivery, body=body, headers=headers)

    def _announced(self, it: Repository, update: RefUpdate, by: str) -> Iterable[Delivery]:
        return self._told(it, (update,), by)

    def _told(self, it: Repository, updates: Sequence[RefUpdate], by: str) -> Iterable[Delivery]:
        payload = payloads.push(self.state, it, updates, self.person(by))
        for hook in self.state.hooks:
            if hook.repository_id == it.id and "repo:push" in hook.events:
                delivery = Delivery(new_uuid().strip("{}"), "repo:push", hook, payload)
                # Over 256 KB Bitbucket sends nothing at all.
                if delivery.is_sent:
                    yield delivery
