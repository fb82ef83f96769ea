"""A Bitbucket Data Center to try a bot against: users push, and one application that bots talk to.

The API lies under `/rest/api/latest`, repositories below projects (`KEY/slug`). It is as faithful as the adapters'
contract needs: pushes of one ref, build statuses, refs, comparisons, files and archives, the connection test, and the
network's faults. Left out beside what its bigger sibling `bitbucket` leaves out: the pauses for hooks that fail, and
pushes of several refs.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from buildbot.sandbox import bitbucket_datacenter_payloads as payloads
from buildbot.sandbox.bitbucket_datacenter_api import api_app
from buildbot.sandbox.bitbucket_datacenter_state import API_PATH, State
from buildbot.sandbox.bitbucket_hooks import DATA_CENTER, Attempt, Delivery, Hook, HookSender, Json, new_uuid
from buildbot.sandbox.bitbucket_state import BuildStatus, utc_now
from buildbot.sandbox.faults import Exchange, Faults, FaultyNetwork
from buildbot.sandbox.git_repository import Change, Person, RefUpdate, Repository
from buildbot.sandbox.pushing import Pushing

FIRST_FILES = {"Dockerfile": "FROM busybox\n"}


class BitbucketDataCenter(Pushing[Delivery, Attempt]):
    """The sandbox. `url` is where it is reached and may be changed, say once a server knows its port."""

    def __init__(
        self,
        url: str = "http://bitbucket-datacenter.test",
        now: Callable[[], datetime] = utc_now,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Webhooks go out over `client`, which may also be set later (`sender.client`) and is never closed here."""
        super().__init__()
        self.sender = HookSender(now, client)
        self.state = State(url.rstrip("/"), now, self.sender)
        self.faults = Faults("Bitbucket", sleep)
        self.calls: list[Exchange] = []
        self.app = Starlette(
            routes=[Mount(API_PATH, api_app(self.state))],
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

    def add_repository(
        self,
        full_name: str,
        *,
        private: bool = False,
        default_branch: str = "main",
        files: Mapping[str, str | None] | None = FIRST_FILES,
    ) -> Repository:
        """A new repository in the project that its name begins with; `files=None` leaves it empty."""
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
            raise LookupError(f"the sandbox Bitbucket has no repository {named}; add it with add_repository")
        return found

    def rename(self, repository: Repository | str, full_name: str) -> Repository:
        """Rename a repository, or move it to another project; the former name leads to it from then on."""
        it = self.repository(repository)
        it.full_name = full_name
        self.state.names[full_name.lower()] = it.id
        return it

    def set_private(self, repository: Repository | str, private: bool = True) -> None:
        """Hide a repository from everybody without rights, or show it."""
        self.repository(repository).private = private

    def statuses(self, repository: Repository | str, sha: str) -> list[BuildStatus]:
        """The builds of a commit as they stand, one per key."""
        it = self.repository(repository)
        return [one for (id_, of, _), one in self.state.builds.items() if (id_, of) == (it.id, sha)]

    def issue_token(self, login: str, *, collaborator: Repository | str | None = None) -> str:
        """An HTTP access token; `collaborator` is a repository that its account may read."""
        if collaborator is not None:
            self.repository(collaborator).collaborators[self.person(login).login] = "read"
        return self.state.issue(login)

    def add_hook(self, repository: Repository | str, url: str, *, secret: str | None = None) -> Hook:
        """A hook of a repository."""
        hook = Hook(new_uuid(), url, self.repository(repository).id, secret, ("repo:refs_changed",))
        self.state.hooks.append(hook)
        return hook

    async def test_hook(self, hook: Hook) -> Attempt:
        """The button to test the connection."""
        return await self.sender.send(_delivery(hook, "diagnostics:ping", {"test": True}))

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

    def _announced(self, it: Repository, update: RefUpdate, by: str) -> Iterable[Delivery]:
        payload = payloads.refs_changed(it, update, self.person(by), self.now())
        for hook in self.state.hooks:
            if hook.repository_id == it.id:
                yield _delivery(hook, "repo:refs_changed", payload)


def _delivery(hook: Hook, event: str, payload: Json) -> Delivery:
    return Delivery(str(uuid.uuid4()), event, hook, payload, DATA_CENTER)
