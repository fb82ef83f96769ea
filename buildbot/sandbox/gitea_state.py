"""Everything the sandbox Gitea remembers: repositories under present and former names, people, tokens, hooks."""

from __future__ import annotations

import itertools
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from buildbot.sandbox.git_repository import Person, Repository
from buildbot.sandbox.gitea_hooks import Delivery, Hook, HookSender, Json

ROLES = ("none", "read", "write", "admin")
COMMITS_LISTED = {False: 5, True: 15}


def utc_now() -> datetime:
    """The clock of the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token: of whom, with which scopes ("write:repository", "read:user")."""

    text: str = field(repr=False)
    person: Person
    scopes: frozenset[str]

    def may(self, area: str, needed: str) -> bool:
        """The token has the scope to read or write that area; writing includes reading."""
        return not self.scopes.isdisjoint({"all", f"write:{area}", f"{needed}:{area}"})


@dataclass(slots=True)
class State:
    """The sandbox's memory. `names` leads from lower-case names, also former ones, to repositories' ids.

    `is_forgejo` chooses between the two where they differ. `storage_url` is where archives are redirected to, None
    while they are sent from here; `prefixes_archives` is whether they have a top directory. `throttled_calls` of the
    API are answered 429 by a proxy, `troubled_calls` that post a status 500.
    """

    url: str
    now: Callable[[], datetime]
    sender: HookSender
    is_forgejo: bool
    repositories: dict[int, Repository] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    storage_url: str | None = None
    prefixes_archives: bool = True
    throttled_calls: int = 0
    retry_after: int | None = None
    troubled_calls: int = 0
    passes: set[str] = field(default_factory=set)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(301))

    @property
    def api_url(self) -> str:
        """The API's address."""
        return f"{self.url}/api/v1"

    @property
    def commits_listed(self) -> int:
        """How many commits a push tells of at most."""
        return COMMITS_LISTED[self.is_forgejo]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of webhook headers whose signature is bare."""
        return ("Forgejo", "Gitea", "Gogs") if self.is_forgejo else ("Gitea", "Gogs")

    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""
        found = self.people.get(login.lower())
        return found or self.people.setdefault(login.lower(), Person(next(self.ids), login))

    def find(self, full_name: str) -> Repository | None:
        """The repository that has, or once had, this name; names are compared without case."""
        return self.repositories.get(self.names.get(full_name.lower(), 0))

    def delivery(self, hook: Hook, event: str, payload: Json) -> Delivery:
        """A new delivery of an event to a hook."""
        return Delivery(str(uuid.uuid4()), event, hook, payload, self.families)

    def issue(self, login: str, scopes: Iterable[str]) -> Token:
        """A new token of the account."""
        token = Token(secrets.token_hex(20), self.person(login), frozenset(scopes))
        return self.tokens.setdefault(token.text, token)

    def role(self, person: Person | None, it: Repository) -> str:
        """What the person may do with the repository: one of `ROLES`."""
        if person is not None and person == it.owner:
            return "admin"
        granted = it.collaborators.get(person.login, "none") if person else "none"
        return "read" if granted == "none" and not it.private else granted
