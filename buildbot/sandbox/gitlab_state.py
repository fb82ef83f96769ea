"""Everything the sandbox GitLab remembers: projects under present and former paths, people, tokens, hooks, limits."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from buildbot.sandbox.git_repository import Person, Repository
from buildbot.sandbox.gitlab_hooks import Delivery, Hook, HookSender

ROLES = ("none", "guest", "reporter", "developer", "maintainer", "owner")
VISIBILITY_LEVELS = {"private": 0, "internal": 10, "public": 20}


def utc_now() -> datetime:
    """The clock of the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Token:
    """A personal, project or group access token: of whom, with which scopes, until when."""

    text: str = field(repr=False)
    person: Person
    scopes: frozenset[str]
    expires_at: datetime | None = None


@dataclass(slots=True)
class State:
    """The sandbox's memory. `names` leads from lower-case paths, also former ones, to projects' ids.

    `diff_limit` is the most files that a comparison shows. `throttled_calls` of the API are answered 429, and
    `busy_calls` that post a status 409.
    """

    url: str
    now: Callable[[], datetime]
    sender: HookSender
    projects: dict[int, Repository] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    visibility: dict[int, str] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    hooks: list[Hook] = field(default_factory=list)
    outbox: list[Delivery] = field(default_factory=list)
    diff_limit: int = 1000
    throttled_calls: int = 0
    retry_after: int | None = None
    busy_calls: int = 0
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(4001))

    @property
    def api_url(self) -> str:
        """The API's address."""
        return f"{self.url}/api/v4"

    def person(self, username: str) -> Person:
        """The account of that name, made on first mention."""
        found = self.people.get(username.lower())
        return found or self.people.setdefault(username.lower(), Person(next(self.ids), username))

    def find(self, path: str) -> Repository | None:
        """The project that has, or once had, this path; GitLab compares paths without case."""
        return self.projects.get(self.names.get(path.lower(), 0))

    def issue(self, username: str, scopes: Iterable[str], expires_at: datetime | None = None) -> Token:
        """A new token of the account."""
        token = Token("glpat-" + secrets.token_urlsafe(20), self.person(username), frozenset(scopes), expires_at)
        return self.tokens.setdefault(token.text, token)

    def role(self, person: Person | None, it: Repository) -> str:
        """What the person is in the project: one of `ROLES`."""
        if person is None:
            return "none"
        return "owner" if person == it.owner else it.collaborators.get(person.login, "none")

    def may_see(self, person: Person | None, it: Repository) -> bool:
        """Public for all, internal for everybody with an account, private for members."""
        visibility = self.visibility[it.id]
        return visibility == "public" or (visibility == "internal" and person is not None) or self.is_member(person, it)

    def is_member(self, person: Person | None, it: Repository) -> bool:
        """The person has a role in the project."""
        return self.role(person, it) != "none"
