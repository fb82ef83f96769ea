"""A GitHub to try a bot against: one object on which users push, and one application that bots talk to.

The application is laid out as Enterprise Server is: the API under `/api/v3` beside the site, archives packed under
`/_codeload`, webhooks with Enterprise's headers. It answers, refuses, limits, redirects and redelivers as GitHub does,
and `faults` lets the network and the service fail. It can also be steered from another process, see `github_control`.

Nothing happens by itself and nothing runs in the background: an act of a user (`commit_and_push`, `push_tag`, …) sends
its webhooks before it returns, one after the other, and says what was answered. With `deliver=False` they wait in
`outbox` instead, and the caller may send them with `deliver` in any order, repeatedly, under another GUID or tampered
with, or never. So a test decides what a network would leave to chance.

Left out: pull requests, checks, and every event but `ping`, `push`, `create` and `delete`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from buildbot.sandbox import github_payloads as payloads
from buildbot.sandbox.faults import Exchange, FaultyNetwork
from buildbot.sandbox.git_repository import Change, Person, RefUpdate, Repository, Status
from buildbot.sandbox.github_accounts import App, Installation
from buildbot.sandbox.github_api import api_app
from buildbot.sandbox.github_archives import archive_routes
from buildbot.sandbox.github_control import control_routes
from buildbot.sandbox.github_faults import API_PATH, GitHubFaults
from buildbot.sandbox.github_hooks import Attempt, ContentType, Delivery, Hook, Hookshot
from buildbot.sandbox.github_payloads import Json, Site
from buildbot.sandbox.github_state import State, utc_now
from buildbot.sandbox.pushing import Push as PushOf
from buildbot.sandbox.pushing import Pushing

__all__ = ["Change", "Exchange", "GitHub", "Push", "utc_now"]

ENTERPRISE_VERSION = "3.17.0"
APP_PERMISSIONS = {"metadata": "read", "contents": "read", "statuses": "write"}
_FIRST_FILES = {"Dockerfile": "FROM busybox\n"}


Push = PushOf[Delivery, Attempt]


class GitHub(Pushing[Delivery, Attempt]):
    """The sandbox. `url` is where it is reached and may be changed, say once a server knows its port."""

    most_tags_announced = 3

    def __init__(
        self,
        url: str = "http://github.test",
        now: Callable[[], datetime] = utc_now,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Webhooks go out over `client`, which may also be set later (`hookshot.client`) and is never closed here."""
        super().__init__()
        self.hookshot = Hookshot(now, client)
        self.state = State(_site(url), now, self.hookshot)
        self.accounts = self.state.accounts
        self.faults = GitHubFaults(self.state, sleep)
        self.calls: list[Exchange] = []
        self.app = Starlette(
            routes=[*control_routes(self), Mount(API_PATH, api_app(self.state)), *archive_routes(self.state)],
            middleware=[Middleware(FaultyNetwork, faults=self.faults, exchanges=self.calls, api_path=API_PATH)],
        )

    @property
    def url(self) -> str:
        """The site's address, without a slash at the end."""
        return self.state.site.url

    @url.setter
    def url(self, url: str) -> None:
        self.state.site = _site(url)

    @property
    def api_url(self) -> str:
        """The API's address."""
        return self.state.site.api_url

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
        owner, now = self.accounts.person(full_name.partition("/")[0]), self.state.now()
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
            raise LookupError(f"the sandbox GitHub has no repository {named}; add it with add_repository")
        return found

    def rename(self, repository: Repository | str, full_name: str) -> Repository:
        """Rename a repository, or transfer it to another owner; the former name leads to it from then on."""
        it = self.repository(repository)
        it.full_name, it.owner = full_name, self.accounts.person(full_name.partition("/")[0])
        self.state.names[full_name.lower()] = it.id
        return it

    def set_private(self, repository: Repository | str, private: bool = True) -> None:
        """Hide a repository from everybody without rights, or show it."""
        self.repository(repository).private = private

    def statuses(self, repository: Repository | str, sha: str) -> list[Status]:
        """The statuses of a commit, oldest first."""
        return self.repository(repository).statuses_of(sha)

    # Accounts

    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""
        return self.accounts.person(login)

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.state.now()

    def add_collaborator(self, repository: Repository | str, login: str, role: str = "write") -> None:
        """Give an account rights: `read`, `write` or `admin`."""
        self.repository(repository).collaborators[self.accounts.person(login).login] = role

    def issue_token(
        self,
        login: str,
        *,
        scopes: Iterable[str] = ("repo:status",),
        permissions: Mapping[str, str] | None = None,
        repositories: Iterable[Repository | str] | None = None,
        collaborator: Repository | str | None = None,
        role: str = "write",
    ) -> str:
        """A token of the account: classic with `scopes`, or fine-grained if `permissions` are given.

        A fine-grained one may be limited to `repositories`. `collaborator` is a repository on which to give the account
        a `role` on the way, because a token can do no more than its owner.
        """
        if collaborator is not None:
            self.add_collaborator(collaborator, login, role)
        if permissions is None:
            return self.accounts.issue_classic(login, scopes).token
        selected = None if repositories is None else [self.repository(one) for one in repositories]
        return self.accounts.issue_fine_grained(login, permissions, selected).token

    def add_app(
        self,
        slug: str = "quay-buildbot",
        *,
        owner: str = "acme",
        permissions: Mapping[str, str] = APP_PERMISSIONS,
        public_key: str | None = None,
        hook_url: str | None = None,
        secret: str | None = None,
    ) -> App:
        """A GitHub App. Without a `public_key` (PEM) it comes with a key pair; with a `hook_url` it hears of pushes."""
        app = self.accounts.add_app(slug, owner, permissions, public_key)
        if hook_url is not None:
            hook = Hook(next(self.state.ids), hook_url, self.state.now(), secret, events=("push",), app_id=app.id)
            self.state.hooks.append(hook)
        return app

    def install(self, app: App, account: str, repositories: Iterable[Repository | str] | None = None) -> Installation:
        """Install an App on an account, for some of its repositories or all."""
        selected = None if repositories is None else [self.repository(one) for one in repositories]
        return self.accounts.install(app, account, selected)

    # Hooks

    def add_hook(
        self,
        repository: Repository | str,
        url: str,
        *,
        secret: str | None = None,
        content_type: ContentType = "json",
        events: tuple[str, ...] = ("push",),
        ping: bool = False,
    ) -> Hook:
        """A hook of a repository. `ping` puts GitHub's greeting in the outbox, for `deliver` or `flush` to send."""
        id_, of = next(self.state.ids), self.repository(repository).id
        hook = Hook(id_, url, self.state.now(), secret, content_type, events, repository_id=of)
        self.state.hooks.append(hook)
        if ping:
            self.ping(hook)
        return hook

    def add_organisation_hook(self, login: str, url: str, *, secret: str | None = None) -> Hook:
        """A hook of an organisation, which hears of pushes to all of its repositories."""
        id_ = next(self.state.ids)
        hook = Hook(id_, url, self.state.now(), secret, events=("push",), organization=self.person(login).login)
        self.state.hooks.append(hook)
        return hook

    def switch_off(self, hook: Hook) -> Hook:
        """Switch a hook off: nothing is sent to it, nor written in its log, until it is added again."""
        off = replace(hook, active=False)
        self.state.hooks[self.state.hooks.index(hook)] = off
        return off

    def ping(self, hook: Hook) -> Delivery:
        """GitHub's greeting to a new hook, put in the outbox. An App's tells of no repository."""
        site = self.state.site
        if hook.repository_id is None:
            payload = payloads.ping(hook.describe(f"{site.api_url}/app"), {})
        else:
            it = self.state.repositories[hook.repository_id]
            about = {"repository": payloads.repository(site, it), "sender": payloads.user(site, it.owner)}
            payload = payloads.ping(hook.describe(site.api(it)), about)
        delivery = self._delivery(hook, str(uuid.uuid4()), "ping", payload)
        self.outbox.append(delivery)
        return delivery

    async def deliver(
        self,
        delivery: Delivery,
        *,
        guid: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Attempt:
        """Send a delivery, held back or not, for the first time or again; for the arguments see `Hookshot.send`."""
        self.take_out(delivery)
        return await self.hookshot.send(delivery, guid=guid, body=body, headers=headers)

    def _announced(self, it: Repository, update: RefUpdate, by: str) -> Iterable[Delivery]:
        site, person = self.state.site, self.accounts.person(by)
        events = {"push": payloads.push(site, it, update, person)}
        if update.created:
            events["create"] = payloads.create(site, it, update, person)
        if update.deleted:
            events["delete"] = payloads.delete(site, it, update, person)
        for event, payload in events.items():
            guid = str(uuid.uuid4())
            for hook, more in self._hearing(it, event):
                delivery = self._delivery(hook, guid, event, payload | more)
                # GitHub sends nothing at all rather than a payload that is too large.
                if len(delivery.body) <= self.hookshot.largest_payload_bytes:
                    yield delivery

    def _hearing(self, it: Repository, event: str) -> Iterable[tuple[Hook, Json]]:
        for hook in self.state.hooks:
            if not hook.hears(event):
                continue
            if hook.repository_id == it.id or (hook.organization or "").lower() == it.owner.login.lower():
                yield hook, {}
            elif hook.app_id and (found := self.accounts.installation_on(hook.app_id, it)):
                yield hook, {"installation": payloads.installation(found.id)}

    def _delivery(self, hook: Hook, guid: str, event: str, payload: Json) -> Delivery:
        host = self.url.partition("://")[2]
        headers = (("X-GitHub-Enterprise-Version", ENTERPRISE_VERSION), ("X-GitHub-Enterprise-Host", host))
        return Delivery(next(self.state.ids), guid, event, hook, payload, headers)


def _site(url: str) -> Site:
    url = url.rstrip("/")
    return Site(url, url + API_PATH)
