"""Acting as a GitHub App: installation tokens that may do no more than the bot does, renewed before they end.

The App proves itself with a JSON web token that it signs (RS256, 9 minutes, issued a minute in the past because clocks
differ) and uses for a minute; with that it finds the installation that covers a repository and gets a token for this
repository alone, for writing commit statuses and reading contents. A token lives an hour and is renewed five minutes
before its end; if that fails and the old one still holds, the old one is used. Each repository has a lock, so that a
burst of statuses asks for one token and not for twenty.

An account can install an App once. So the installation found for one repository is taken to be that of all the
account's repositories, and only where GitHub gives no token for one of them there, its own is asked for.

Narrowing is worth the token per repository: what leaks from one build's log cannot write to another repository. A
token is opaque and may be of any length (GitHub lengthens them, up to several hundred characters).

What signs is imported when there is a key: it holds 9 MiB, and a bot that has a token instead never needs it.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx

from buildbot.forges.exchange import Answer, Exchange
from buildbot.forges.fields import Fields
from buildbot.forges.github.dialect import GITHUB
from buildbot.forges.github.names import repository_path
from buildbot.forges.github.refusals import failure_of, words_of
from buildbot.ports import BadPayload, CallError, CredentialRefused, Refused, Unanswered

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PERMISSIONS = {"statuses": "write", "contents": "read"}
RENEWED_BEFORE_END = timedelta(minutes=5)
JWT_BACKDATED = timedelta(seconds=60)
JWT_LIFETIME = timedelta(minutes=9)
JWT_USED = timedelta(minutes=1)
"""Signing takes a millisecond, so that a burst signs once; and a clock that is put right is believed soon."""
_MOVED_TO = re.compile(r"/repositories/([0-9]{1,18})/installation")


@dataclass(frozen=True, slots=True)
class AppAccount:
    """The App as GitHub knows it: its name, what it asks for, and the events it is sent."""

    slug: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Installation:
    id: int
    repository: Mapping[str, object]  # how a token is narrowed: by name, or by id once the name has moved
    is_assumed: bool = False  # found for another repository of the account


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    expires_at: datetime


class AppAuth:
    """An `api.Auth` for a GitHub App. Raises ValueError at construction for a private key that cannot be used.

    `app_id` may be the App's id or its client id. The key is parsed once, which takes tens of milliseconds.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        api_url: str,
        app_id: int | str,
        private_key_pem: str,
        request_timeout: timedelta = timedelta(seconds=20),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._exchange = Exchange(client, GITHUB, api_url=api_url, request_timeout=request_timeout)
        self._app_id = str(app_id)
        self._key = _parsed(private_key_pem)
        self._now = now
        self._installations: dict[str, _Installation] = {}
        self._of_accounts: dict[str, int] = {}
        self._signed: tuple[datetime, str] | None = None
        self._tokens: dict[str, _Token] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._account_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def token(self, full_name: str) -> str:
        """An installation token for the repository that is good for some minutes yet.

        Raises Refused when the App is not installed there or was not granted enough, CredentialRefused when GitHub does
        not believe that we are the App.
        """
        async with self._locks[full_name.lower()]:
            held = self._tokens.get(full_name.lower())
            if held is not None and held.expires_at - self._now() > RENEWED_BEFORE_END:
                return held.value
            return await self._renewed_in_time(full_name, held)

    async def renewed(self, full_name: str, refused: str) -> str | None:
        """A token other than `refused`: another task's new one, or one asked for now from scratch."""
        async with self._locks[full_name.lower()]:
            held = self._tokens.pop(full_name.lower(), None)
            if held is None or held.value == refused:
                self._forget_installation(full_name)
                held = await self._issue(full_name)
            self._tokens[full_name.lower()] = held
            return held.value

    async def credential(self, full_name: str) -> str | None:
        """ "installation:<id>": all repositories of an installation share one budget."""
        async with self._locks[full_name.lower()]:
            return f"installation:{(await self._installation(full_name)).id}"

    async def app(self) -> AppAccount:
        """Who the App is, and what it asks for. Raises CredentialRefused for a wrong id or key."""
        answer = await self._as_app("GET", "/app")
        if answer.status != 200:
            raise failure_of(answer, "to show the App", self._now())
        try:
            return _account(answer.fields)
        except BadPayload as error:
            raise Unanswered(f"GitHub shows the App oddly: {error}") from error

    async def ask(self, method: str, path: str) -> Answer:
        """Ask as the App itself, not as one of its installations. Raises CredentialRefused for a wrong id or key."""
        return await self._as_app(method, path)

    async def _renewed_in_time(self, full_name: str, held: _Token | None) -> str:
        try:
            fresh = await self._issue(full_name)
        except CallError:
            if held is not None and held.expires_at > self._now():
                return held.value
            raise
        self._tokens[full_name.lower()] = fresh
        return fresh.value

    async def _issue(self, full_name: str) -> _Token:
        was_known = full_name.lower() in self._installations
        installation = await self._installation(full_name)
        may_be_wrong = was_known or installation.is_assumed
        body = {"permissions": PERMISSIONS, **installation.repository}
        answer = await self._as_app("POST", f"/app/installations/{installation.id}/access_tokens", body)
        if answer.status in {404, 422} and may_be_wrong:  # installed anew, renamed, moved, or never covered
            self._forget_installation(full_name)
            return await self._issue(full_name)
        return self._token_of(answer, full_name)

    def _token_of(self, answer: Answer, full_name: str) -> _Token:
        if answer.status in {404, 422} and isinstance(answer.document, dict):
            raise Refused(
                f"the GitHub App may not write commit statuses and read contents of {full_name}: {words_of(answer)};"
                " give it both permissions, and let the account's owner accept them"
            )
        if answer.status != 201:
            raise failure_of(answer, f"the App's token for {full_name}", self._now())
        try:
            expires_at = datetime.fromisoformat(answer.fields.name("expires_at")).astimezone(UTC)
            return _Token(answer.fields.name("token"), expires_at)
        except (BadPayload, ValueError) as error:
            raise Unanswered(f"GitHub's installation token makes no sense: {error}") from error

    async def _installation(self, full_name: str) -> _Installation:
        known = self._installations.get(full_name.lower())
        if known is None:
            known = self._installations[full_name.lower()] = await self._of_account(full_name)
        return known

    async def _of_account(self, full_name: str) -> _Installation:
        account = full_name.lower().partition("/")[0]
        lock = self._account_locks[account]
        is_first = not lock.locked()
        async with lock:
            if (assumed := self._of_accounts.get(account)) is not None:
                return _Installation(assumed, {"repositories": [full_name.rpartition("/")[2]]}, is_assumed=True)
            if is_first:
                return await self._noted_installation(full_name, account)
        return await self._noted_installation(full_name, account)  # what failed for the first is not waited for in line

    async def _noted_installation(self, full_name: str, account: str) -> _Installation:
        found = await self._found_installation(full_name)
        if "repositories" in found.repository:  # one that has moved may be another account's by now
            self._of_accounts[account] = found.id
        return found

    def _forget_installation(self, full_name: str) -> None:
        self._installations.pop(full_name.lower(), None)
        self._of_accounts.pop(full_name.lower().partition("/")[0], None)

    async def _found_installation(self, full_name: str) -> _Installation:
        answer = await self._as_app("GET", f"{repository_path(full_name)}/installation")
        if answer.status == 404 and isinstance(answer.document, dict):
            raise Refused(f"the GitHub App is not installed on {full_name}, or the repository does not exist")
        if answer.status != 200:
            raise failure_of(answer, f"the App's installation on {full_name}", self._now())
        moved = _MOVED_TO.search(answer.path)
        narrowed = {"repository_ids": [int(moved[1])]} if moved else {"repositories": [full_name.rpartition("/")[2]]}
        try:
            return _Installation(answer.fields.number("id"), narrowed)
        except BadPayload as error:
            raise Unanswered(f"GitHub shows the App's installation oddly: {error}") from error

    async def _as_app(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        answer = await self._exchange.send(method, path, self._signed_claims(), body)
        said = words_of(answer)
        if (answer.status == 401 and isinstance(answer.document, dict)) or "Integration not found" in said:
            raise CredentialRefused(
                f"GitHub does not accept the signature of App {self._app_id} ({said}):"
                " check `app_id`, `private_key` and this machine's clock"
            )
        return answer

    def _signed_claims(self) -> str:
        import jwt

        now = self._now()
        if self._signed is None or not self._signed[0] <= now < self._signed[0] + JWT_USED:
            claims = {"iat": now - JWT_BACKDATED, "exp": now + JWT_LIFETIME, "iss": self._app_id}
            self._signed = now, jwt.encode(claims, self._key, algorithm="RS256")
        return self._signed[1]


def _parsed(pem: str) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the GitHub App's private key is not an unencrypted PEM file as GitHub makes it") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the GitHub App's private key is not an RSA key")
    return key


def _account(app: Fields) -> AppAccount:
    asked = app.within("permissions")
    permissions = {key: level for key in PERMISSIONS if (level := asked.maybe_raw(key)) is not None}
    return AppAccount(app.name("slug"), permissions, tuple(app.maybe_raws("events") or ()))
