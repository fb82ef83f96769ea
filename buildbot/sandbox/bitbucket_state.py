"""Everything the sandbox Bitbucket Cloud remembers: repositories, people, tokens of both kinds, statuses by key."""

from __future__ import annotations

import base64
import binascii
import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from buildbot.sandbox.bitbucket_hooks import Delivery, Hook, HookSender, new_uuid
from buildbot.sandbox.git_repository import Person, Repository

API_PATH = "/2.0"
LEVELS = ("none", "read", "write", "admin")


def utc_now() -> datetime:
    """The clock of the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token (`Bearer`, for one repository or all), or a person's API token (`Basic`)."""

    text: str = field(repr=False)
    person: Person
    is_access_token: bool
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class BuildStatus:
    """The status of a commit under one key."""

    sha: str
    key: str
    state: str
    url: str
    name: str | None
    description: str | None
    refname: str | None
    creator: str
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class State:
    """The sandbox's memory. `names` leads from lower-case names, also former ones, to repositories' ids.

    `throttled_calls` of the API are answered 429, `timed_out_diffs` comparisons 555. `page_length` is how many changed
    paths a page shows.
    """

    url: str
    now: Callable[[], datetime]
    sender: HookSender
    repositories: dict[int, Repository] = field(default_factory=dict)
    uuids: dict[int, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    statuses: dict[tuple[int, str, str], BuildStatus] = field(default_factory=dict)
    outbox: list[Delivery] = field(default_factory=list)
    throttled_calls: int = 0
    retry_after: int | None = None
    timed_out_diffs: int = 0
    page_length: int = 500
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def api_url(self) -> str:
        """The API's address; the real one has a host of its own."""
        return self.url + API_PATH

    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""
        found = self.people.get(login.lower())
        return found or self.people.setdefault(login.lower(), Person(next(self.ids), login))

    def add(self, it: Repository) -> Repository:
        """Keep a new repository."""
        self.repositories[it.id], self.uuids[it.id] = it, new_uuid()
        self.names[it.full_name.lower()] = it.id
        return it

    def find(self, full_name: str) -> Repository | None:
        """The repository that has, or once had, this name."""
        return self.repositories.get(self.names.get(full_name.lower(), 0))

    def issue(self, login: str, scopes: Iterable[str], *, is_access_token: bool) -> Token:
        """A new token of the account."""
        text = ("ATCTT3xFfGN0" if is_access_token else "ATATT3xFfGF0") + secrets.token_urlsafe(24)
        return self.tokens.setdefault(text, Token(text, self.person(login), is_access_token, frozenset(scopes)))

    def token_in(self, authorization: str) -> Token | None:
        """Whose `Authorization` it is; None if nobody's: a token of the wrong kind, of another account, or unknown."""
        kind, _, told = authorization.partition(" ")
        if kind == "Bearer":
            found = self.tokens.get(told)
            return found if found and found.is_access_token else None
        account, _, text = _decoded(told).partition(":") if kind == "Basic" else ("", "", "")
        found = self.tokens.get(text)
        return found if found and not found.is_access_token and found.person.login == account else None

    def level(self, token: Token | None, it: Repository) -> str:
        """What the caller may do with the repository: one of `LEVELS`."""
        public = "none" if it.private else "read"
        if token is None:
            return public
        own = "admin" if token.person == it.owner else it.collaborators.get(token.person.login, "none")
        return max(public, own, key=LEVELS.index)

    def may_read(self, token: Token | None, it: Repository) -> bool:
        """The caller sees the repository."""
        return self.level(token, it) != "none"


def _decoded(basic: str) -> str:
    try:
        return base64.b64decode(basic, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
