"""Who may do what at the sandbox's Quay: users' roles, OAuth tokens with scopes, robots.

The effective right is the lesser of a token's scope and the granting user's role, as recorded: a user is admin of the
namespace of his own name, an admin of a namespace has all its repositories whether they exist or not, and what a
token is worth shows only where it is needed: a revoked, expired or mistyped one is the same as none at all.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from enum import IntEnum

_LETTERS = string.ascii_letters + string.digits
SCOPES = frozenset(
    {"repo:read", "repo:write", "repo:admin", "repo:create", "org:admin", "user:read", "user:admin", "super:user"}
)


class Role(IntEnum):
    """A right on a repository; a higher one holds the lower ones."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


STATES = {"NORMAL": 0, "READ_ONLY": 1, "MIRROR": 2, "MARKED_FOR_DELETION": 3, "ORG_MIRROR": 4}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository; `state` is one of `STATES`, and only NORMAL takes builds."""

    name: str
    public: bool = False
    state: str = "NORMAL"


@dataclass(frozen=True, slots=True)
class Grant:
    """A token's user and scopes."""

    user: str
    scopes: frozenset[str]

    @property
    def is_broken(self) -> bool:
        """Whether a scope is stored that Quay does not know: every request with such a token answers 500."""
        return not self.scopes <= SCOPES

    @property
    def repository_role(self) -> Role:
        """The highest role on a repository that the scopes allow."""
        return max((role for role in Role if f"repo:{role.name.lower()}" in self.scopes), default=Role.NONE)


@dataclass(slots=True)
class Access:
    """Repositories, roles and credentials."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    superusers: set[str] = field(default_factory=set)
    _roles: dict[tuple[str, str], Role] = field(default_factory=dict)
    _tokens: dict[str, Grant] = field(default_factory=dict)
    _passwords: dict[str, str] = field(default_factory=dict, repr=False)

    def issue(self, user: str, scopes: frozenset[str]) -> str:
        """A new OAuth access token: 40 letters and digits."""
        token = "".join(secrets.choice(_LETTERS) for _ in range(40))
        self._tokens[token] = Grant(user, scopes)
        return token

    def revoke(self, token: str) -> None:
        """Ends a token; an unknown one is no error."""
        self._tokens.pop(token, None)

    def grant_of(self, token: str) -> Grant | None:
        """What a token stands for, or None."""
        return self._tokens.get(token)

    def add_account(self, name: str, password: str) -> None:
        """A user, or a robot (`namespace+name`), who can log in with a password."""
        self._passwords[name] = password

    def is_robot(self, name: str) -> bool:
        """Whether there is a robot of that full name."""
        return "+" in name and name in self._passwords

    def log_in(self, name: str, password: str) -> Grant | None:
        """Basic authentication, which the build API does not take but the log archive does."""
        if name == "$oauthtoken":
            return self.grant_of(password)
        if self._passwords.get(name) != password:
            return None
        return Grant(name, SCOPES)

    def set_role(self, where: str, user: str, role: Role) -> None:
        """A user's role on a repository (`namespace/name`) or on all that exist in a namespace."""
        self._roles[where, user] = role

    def role(self, grant: Grant | None, repository: str, *, superusers_may_all: bool = False) -> Role:
        """The effective role of a caller; being public is not part of it."""
        if grant is None:
            return Role.NONE
        if superusers_may_all and grant.user in self.superusers:
            return min(grant.repository_role, Role.ADMIN)
        return min(grant.repository_role, self._own_role(grant.user, repository))

    def administers(self, grant: Grant, namespace: str) -> bool:
        """Whether a caller may use the robots of a namespace: needs the scope `org:admin` as well."""
        is_admin = namespace == grant.user or self._roles.get((namespace, grant.user)) == Role.ADMIN
        return is_admin and "org:admin" in grant.scopes

    def _own_role(self, user: str, repository: str) -> Role:
        namespace = repository.partition("/")[0]
        everywhere = Role.ADMIN if namespace == user else self._roles.get((namespace, user), Role.NONE)
        if everywhere == Role.ADMIN:
            return Role.ADMIN
        if repository not in self.repositories:
            return Role.NONE
        return max(everywhere, self._roles.get((repository, user), Role.NONE))
