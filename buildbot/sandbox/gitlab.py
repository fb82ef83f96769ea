"""A GitLab to try a bot against: one object on which users push, and one application that bots talk to.

The API lies under `/api/v4`, projects below groups of any depth, archives at the site's own URLs. It answers, refuses,
redirects and signs as GitLab 19.1 does, and `faults` lets the network and the instance fail. What users do (`pushing`)
sends its webhooks before it returns, or keeps them in `outbox`.

Left out: pipelines behind statuses, groups' own hooks, merge requests, and limits of archives.
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

from buildbot.sandbox import gitlab_payloads as payloads
from buildbot.sandbox.faults import Exchange, FaultyNetwork
from buildbot.sandbox.git_repository import Change, Person, RefUpdate, Repository, Status, full_ref
from buildbot.sandbox.gitlab_api import API_PATH, Api
from buildbot.sandbox.gitlab_archives import archive_routes
from buildbot.sandbox.gitlab_faults import GitLabFaults
from buildbot.sandbox.gitlab_hooks import Attempt, Delivery, Hook, HookSender
from buildbot.sandbox.gitlab_state import VISIBILITY_LEVELS, State, utc_now
from buildbot.sandbox.pushing import Push as PushOf
from buildbot.sandbox.pushing import Pushing

_FIRST_FILES = {"Dockerfile": "FROM busybox\n"}
_EVENTS = {"push": "Push Hook", "tag_push": "Tag Push Hook", "pipeline": "Pipeline Hook"}
Push = PushOf[Delivery, Attempt]


class GitLab(Pushing[Delivery, Attempt]):
    """The sandbox. `url` is where it is reached and may be changed, say once a server knows its port."""

    most_tags_announced = 3

    def __init__(
        self,
        url: str = "http://gitlab.test",
        now: Callable[[], datetime] = utc_now,
        client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Webhooks go out over `client`, which may also be set later (`sender.client`) and is never closed here."""
        super().__init__()
        self.sender = HookSender(now, client)
        self.state = State(url.rstrip("/"), now, self.sender)
        self.outbox = self.state.outbox
        self.faults = GitLabFaults(self.state, sleep)
        self.calls: list[Exchange] = []
        self.app = Starlette(
            routes=[Mount(API_PATH, Api(self.state)), *archive_routes(self.state)],
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

    # Projects

    def add_repository(
        self,
        full_name: str,
        *,
        visibility: str = "public",
        default_branch: str = "main",
        files: Mapping[str, str | None] | None = _FIRST_FILES,
    ) -> Repository:
        """A new project below the groups that its path names, with a first commit; `files=None` leaves it empty.

        `visibility` is "public", "internal" or "private".
        """
        owner, now = self.person(full_name.partition("/")[0]), self.now()
        it = Repository(next(self.state.ids), full_name, owner, now, now, visibility != "public", default_branch)
        self.state.projects[it.id] = it
        self.state.names[full_name.lower()] = it.id
        self.set_visibility(it, visibility)
        if files is not None:
            first = it.commit(None, Change("Initial commit", files), owner, now)
            it.move(f"refs/heads/{default_branch}", first.sha, known=frozenset())
        return it

    def repository(self, named: Repository | str) -> Repository:
        """The project of that path, also of a former one; `LookupError` if there is none."""
        found = named if isinstance(named, Repository) else self.state.find(named)
        if found is None:
            raise LookupError(f"the sandbox GitLab has no project {named}; add it with add_repository")
        return found

    def rename(self, repository: Repository | str, full_name: str) -> Repository:
        """Rename a project, or move it to other groups; the former path leads to it from then on."""
        it = self.repository(repository)
        it.full_name = full_name
        self.state.names[full_name.lower()] = it.id
        return it

    def set_visibility(self, repository: Repository | str, visibility: str) -> None:
        """Show a project to everybody ("public"), everybody with an account ("internal"), or members ("private")."""
        if visibility not in VISIBILITY_LEVELS:
            raise ValueError(f"{visibility!r} is none of {', '.join(VISIBILITY_LEVELS)}")
        it = self.repository(repository)
        it.private = visibility != "public"
        self.state.visibility[it.id] = visibility

    def statuses(self, repository: Repository | str, sha: str) -> list[Status]:
        """The statuses of a commit as they stand, in the order they began."""
        return self.repository(repository).statuses_of(sha)

    # Accounts

    def add_member(self, repository: Repository | str, login: str, role: str = "developer") -> None:
        """Give an account a role: `guest`, `reporter`, `developer`, `maintainer` or `owner`."""
        self.repository(repository).collaborators[self.person(login).login] = role

    def issue_token(
        self,
        login: str,
        *,
        scopes: Iterable[str] = ("api",),
        member: Repository | str | None = None,
        role: str = "developer",
        expires_at: datetime | None = None,
    ) -> str:
        """A token of the account. `member` is a project in which to give it a `role` on the way."""
        if member is not None:
            self.add_member(member, login, role)
        return self.state.issue(login, scopes, expires_at).text

    # Hooks

    def add_hook(
        self,
        repository: Repository | str,
        url: str,
        *,
        token: str | None = None,
        signing_token: str | None = None,
        push_events: bool = True,
        tag_push_events: bool = True,
        pipeline_events: bool = False,
    ) -> Hook:
        """A hook of a project. `token` is sent along, `signing_token` (whsec_…) signs."""
        return self._keep(
            Hook(
                next(self.state.ids),
                str(uuid.uuid4()),
                url,
                token,
                signing_token,
                push_events,
                tag_push_events,
                pipeline_events,
                project_id=self.repository(repository).id,
            )
        )

    def add_system_hook(self, url: str, *, token: str | None = None, signing_token: str | None = None) -> Hook:
        """A hook of the instance, which hears of every push."""
        return self._keep(Hook(next(self.state.ids), str(uuid.uuid4()), url, token, signing_token))

    async def deliver(
        self,
        delivery: Delivery,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Attempt:
        """Send a delivery, held back or not, for the first time or again; for the arguments see `HookSender.send`.

        Sent again it keeps its `Idempotency-Key`, as GitLab's "Resend" does.
        """
        self.take_out(delivery)
        return await self.sender.send(delivery, body=body, headers=headers)

    async def test_hook(self, hook: Hook, ref: str | None = None) -> Attempt:
        """The Test button: what looks like a push of the branch's last three commits, newest first.

        `before` is the id of the last commit listed; of a repository with one commit it is `after`.
        """
        it = self.state.projects[hook.project_id or 0]
        name = full_ref(ref or it.default_branch)
        head = it.resolve(name)
        commits = it.between("", head.sha)[-3:]
        update = RefUpdate(name, commits[0].sha, head.sha, head, commits)
        payload = payloads.push(self.state, it, update, it.owner, newest_first=True)
        return await self.sender.send(self._delivery(hook, str(uuid.uuid4()), "push", payload))

    def _keep(self, hook: Hook) -> Hook:
        self.state.hooks.append(hook)
        return hook

    def _announced(self, it: Repository, update: RefUpdate, by: str) -> Iterable[Delivery]:
        payload = payloads.push(self.state, it, update, self.person(by))
        event_uuid = str(uuid.uuid4())
        for hook in self.state.hooks:
            if hook.project_id in {None, it.id} and hook.hears(payload["object_kind"]):
                yield self._delivery(hook, event_uuid, payload["object_kind"], payload)

    def _delivery(self, hook: Hook, event_uuid: str, kind: str, payload: payloads.Json) -> Delivery:
        event = _EVENTS[kind] if hook.project_id is not None else "System Hook"
        return Delivery(str(uuid.uuid4()), event_uuid, event, hook, payload, self.url)
