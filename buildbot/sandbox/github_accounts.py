"""Who calls, and what they may do: accounts, tokens of the three kinds, GitHub Apps and their installations.

The kinds differ in how they are refused, and a bot has to cope with each: a classic token without the scope gets 404
as if the repository did not exist; a fine-grained token and an installation token get 403 with a text of their own; an
expired installation token gets 401. `level` answers only what a caller may do; the API turns "not enough" into the
right refusal.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from buildbot.sandbox.git_repository import Person, Repository

Kind = Literal["classic", "fine-grained", "installation"]
LEVELS = ("none", "read", "write", "admin")
_NARROW_SCOPES = {"statuses": {"repo:status"}, "repository_hooks": {"admin:repo_hook"}}
DENIED_TO = {
    "fine-grained": "Resource not accessible by personal access token",
    "installation": "Resource not accessible by integration",
}
OPEN_TO_ALL = ("metadata", "contents", "statuses")
LONGEST_JWT = timedelta(minutes=10)


class BadJwt(Exception):
    """The JSON web token does not prove to be the App; the text is GitHub's."""


class NotGranted(Exception):
    """An installation token was asked to do more than the installation may."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a token stands for. Scopes belong to classic tokens, permissions and repositories to the others."""

    token: str = field(repr=False)
    person: Person
    kind: Kind
    scopes: frozenset[str] = frozenset()
    permissions: Mapping[str, str] = field(default_factory=dict)
    repository_ids: frozenset[int] | None = None
    installation_id: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """An App on an account. `repository_ids` of None means all of the account's repositories."""

    id: int
    app_id: int
    account: Person
    permissions: Mapping[str, str]
    repository_ids: frozenset[int] | None = None

    def covers(self, repository: Repository) -> bool:
        """The App is installed on this repository."""
        selected = self.repository_ids is None or repository.id in self.repository_ids
        return selected and repository.owner == self.account


@dataclass(frozen=True, slots=True)
class App:
    """A GitHub App. The private key is here only when the sandbox made the key pair."""

    id: int
    client_id: str
    slug: str
    owner: Person
    permissions: Mapping[str, str]
    public_key: str
    private_key: str | None = field(default=None, repr=False)


class Accounts:
    """Everybody who has an account, every token, every App."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.apps: dict[int, App] = {}
        self.installations: dict[int, Installation] = {}
        self.installation_token_lifetime = timedelta(hours=1)
        self._credentials: dict[str, Credential] = {}
        self._ids = itertools.count(1001)

    def person(self, login: str) -> Person:
        """The account of that name, made on first mention."""
        found = self.people.get(login.lower())
        return found or self.people.setdefault(login.lower(), Person(next(self._ids), login))

    def issue_classic(self, login: str, scopes: Iterable[str], token: str | None = None) -> Credential:
        """A classic personal access token."""
        text = token or "ghp_" + secrets.token_hex(18)
        return self._keep(Credential(text, self.person(login), "classic", scopes=frozenset(scopes)))

    def issue_fine_grained(
        self, login: str, permissions: Mapping[str, str], repositories: Iterable[Repository] | None = None
    ) -> Credential:
        """A fine-grained personal access token, for some repositories or all."""
        ids = None if repositories is None else frozenset(one.id for one in repositories)
        text = "github_pat_" + secrets.token_hex(35)
        credential = Credential(
            text, self.person(login), "fine-grained", permissions=dict(permissions), repository_ids=ids
        )
        return self._keep(credential)

    def revoke(self, token: str) -> None:
        """From now on the token is a bad credential."""
        self._credentials.pop(token, None)

    def credential(self, token: str, now: datetime) -> Credential | None:
        """What the token stands for; None if nobody issued it or it has expired."""
        found = self._credentials.get(token)
        return None if found is None or (found.expires_at and now >= found.expires_at) else found

    def add_app(self, slug: str, owner: str, permissions: Mapping[str, str], public_key: str | None = None) -> App:
        """Register an App; without a public key (PEM) the sandbox makes a key pair."""
        private_key = None
        if public_key is None:
            private_key, public_key = _key_pair()
        id_ = next(self._ids)
        app = App(id_, f"Iv23li{id_:014d}", slug, self.person(owner), dict(permissions), public_key, private_key)
        return self.apps.setdefault(id_, app)

    def install(self, app: App, account: str, repositories: Iterable[Repository] | None = None) -> Installation:
        """Install an App on an account, with all the permissions it asks for."""
        ids = None if repositories is None else frozenset(one.id for one in repositories)
        id_ = next(self._ids)
        made = Installation(id_, app.id, self.person(account), app.permissions, ids)
        return self.installations.setdefault(id_, made)

    def installation_on(self, app_id: int, repository: Repository) -> Installation | None:
        """The App's installation that covers the repository."""
        of_app = (one for one in self.installations.values() if one.app_id == app_id)
        return next((one for one in of_app if one.covers(repository)), None)

    def issue_installation(
        self,
        installation: Installation,
        now: datetime,
        permissions: Mapping[str, str] | None = None,
        repository_ids: frozenset[int] | None = None,
    ) -> Credential:
        """An installation token, as narrow as asked for, in GitHub's long form."""
        granted = installation.permissions
        for name, level in (permissions or {}).items():
            if LEVELS.index(granted.get(name, "none")) < LEVELS.index(level):
                raise NotGranted("The permissions requested are not granted to this installation.")
        claims = {"jti": secrets.token_hex(16), "iss": str(installation.app_id), "sub": str(installation.id)}
        return self._keep(
            Credential(
                token=f"ghs_{installation.app_id}_{jwt.encode(claims, secrets.token_hex(32), 'HS256')}",
                person=installation.account,
                kind="installation",
                permissions=dict(permissions or granted),
                repository_ids=installation.repository_ids if repository_ids is None else repository_ids,
                installation_id=installation.id,
                expires_at=now + self.installation_token_lifetime,
            )
        )

    def app_of(self, token: str, now: datetime) -> App:
        """The App that signed a JSON web token, if it did so by GitHub's rules."""
        undecodable = "A JSON web token could not be decoded"
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError:
            raise BadJwt(undecodable) from None
        app = next((one for one in self.apps.values() if issuer in (str(one.id), one.client_id)), None)
        if app is None:
            raise BadJwt("'Issuer' claim ('iss') must be the App's id or client id, as a string")
        try:
            # The times are checked by the sandbox's own clock, below.
            unchecked = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
            claims = jwt.decode(token, app.public_key, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]
        except jwt.PyJWTError:
            raise BadJwt(undecodable) from None
        _check_times(claims, now)
        return app

    def _keep(self, credential: Credential) -> Credential:
        self._credentials[credential.token] = credential
        return credential


def level(credential: Credential | None, repository: Repository, permission: str) -> str:
    """How far a caller may go: one of `LEVELS`. `metadata` is what makes a repository visible at all."""
    public = "none" if repository.private or permission not in OPEN_TO_ALL else "read"
    if credential is None:
        return public
    granted = (
        _classic(credential, repository, permission)
        if credential.kind == "classic"
        else _granular(credential, repository, permission)
    )
    return max(public, granted, key=LEVELS.index)


def _role(person: Person, repository: Repository, permission: str) -> str:
    role = "admin" if person == repository.owner else repository.collaborators.get(person.login, "none")
    return "none" if permission == "repository_hooks" and role != "admin" else role


def _classic(credential: Credential, repository: Repository, permission: str) -> str:
    sufficient = {"repo"} if repository.private else {"repo", "public_repo"}
    sufficient |= _NARROW_SCOPES.get(permission, set())
    return _role(credential.person, repository, permission) if credential.scopes & sufficient else "none"


def _granular(credential: Credential, repository: Repository, permission: str) -> str:
    role = _role(credential.person, repository, permission)
    selected = credential.repository_ids is None or repository.id in credential.repository_ids
    if not selected or role == "none":
        return "none"
    granted = "read" if permission == "metadata" else credential.permissions.get(permission, "none")
    return min(role, granted, key=LEVELS.index)


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or issued > now.timestamp():
        raise BadJwt("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
    if not isinstance(expires, int) or expires <= now.timestamp():
        raise BadJwt(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time "
            "at which the assertion expires"
        )
    if expires > (now + LONGEST_JWT).timestamp():
        raise BadJwt("'Expiration time' claim ('exp') is too far in the future")


def _key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
