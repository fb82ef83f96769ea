"""Everything the sandbox Bitbucket Data Center remembers: repositories below projects, people, tokens, builds."""

from __future__ import annotations

import base64
import binascii
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from buildbot.sandbox.bitbucket_hooks import Hook, HookSender
from buildbot.sandbox.bitbucket_state import LEVELS, BuildStatus
from buildbot.sandbox.git_repository import Person, Repository

API_PATH = "/rest/api/latest"


@dataclass(slots=True)
class State:
    """The sandbox's memory. `names` leads from lower-case `key/slug`, also former ones, to repositories' ids.

    `most_changes` is `page.max.changes`, past which a comparison shows no more; `throttled_calls` are answered 429.
    """

    url: str
    now: Callable[[], datetime]
    sender: HookSender
    repositories: dict[int, Repository] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    tokens: dict[str, Person] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    builds: dict[tuple[int, str, str], BuildStatus] = field(default_factory=dict)
    most_changes: int = 1000
    throttled_calls: int = 0
    retry_after: int | None = None
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def api_url(self) -> str:
        """The API's address."""
        return self.url + API_PATH

    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""
        found = self.people.get(login.lower())
        return found or self.people.setdefault(login.lower(), Person(next(self.ids), login))

    def find(self, full_name: str) -> Repository | None:
        """The repository that has, or once had, this `KEY/slug`."""
        return self.repositories.get(self.names.get(full_name.lower(), 0))

    def issue(self, login: str) -> str:
        """A new HTTP access token of the account."""
        text = base64.b64encode(secrets.token_bytes(30)).decode()
        self.tokens[text] = self.person(login)
        return text

    def caller(self, authorization: str) -> Person | None:
        """Whose `Authorization` it is: a token as `Bearer`, or as `Basic` with its account; None if nobody's."""
        kind, _, told = authorization.partition(" ")
        if kind == "Bearer":
            return self.tokens.get(told)
        account, _, text = _decoded(told).partition(":") if kind == "Basic" else ("", "", "")
        found = self.tokens.get(text)
        return found if found and found.login == account else None

    def may_read(self, person: Person | None, it: Repository) -> bool:
        """The caller sees the repository."""
        if not it.private or (person is not None and person == it.owner):
            return True
        return person is not None and it.collaborators.get(person.login, LEVELS[0]) != LEVELS[0]


def _decoded(basic: str) -> str:
    try:
        return base64.b64decode(basic, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
