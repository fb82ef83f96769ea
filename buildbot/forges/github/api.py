"""What the engine asks of GitHub: post a status, resolve a ref or tag, describe a repository.

A status is posted once per call: the status loop is the retry, and a second copy would count against the 1 000 that a
commit takes per context. The one exception is a 401 with a credential that can be renewed (an App's): it is renewed
once and the call repeated once. Reads are tried up to three times within seconds, and only after a lost connection or
a 5xx: a timeout has already cost its time, and a refusal would only be repeated.

How to authenticate is an `Auth`: `TokenAuth` here, `AppAuth` beside it. `credential` names whose budget a status
spends, since GitHub counts per user or installation: two tokens of one user are one budget.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import httpx
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from buildbot.domain.status import DESCRIPTION_LIMIT, CommitStatus
from buildbot.forges.fields import Fields, shown, storable
from buildbot.forges.github.exchange import Answer, Exchange
from buildbot.forges.github.names import is_sha, quoted, repository_path
from buildbot.forges.github.refusals import failure_of, words_of
from buildbot.ports import (
    BadPayload,
    CredentialRefused,
    Refused,
    Repository,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)

CONTEXT_LIMIT = 255
DEEPEST_TAG = 5
READ_TRIES = 3
READ_TRIES_WITHIN = timedelta(seconds=4)
_CONTEXT_DIGEST_DIGITS = 12
_T = TypeVar("_T")


class Auth(Protocol):
    """How to be somebody at GitHub. All raise `CallError`s."""

    async def token(self, full_name: str) -> str:
        """A token for calls about this repository."""

    async def renewed(self, full_name: str, refused: str) -> str | None:
        """A token in place of one that got 401, None if there is no other."""

    async def credential(self, full_name: str) -> str | None:
        """The name of the budget that the token spends, None if it is that of the token's user."""


class TokenAuth:
    """A personal access token, classic or fine-grained. Raises ValueError for what no header can carry."""

    def __init__(self, token: str) -> None:
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise ValueError("the GitHub token is empty or holds characters that no token has")
        self._token = token

    async def token(self, full_name: str) -> str:  # noqa: ARG002  # the same for every repository
        """The token."""
        return self._token

    async def renewed(self, full_name: str, refused: str) -> str | None:  # noqa: ARG002
        """None: only a person can make another."""
        return None

    async def credential(self, full_name: str) -> str | None:  # noqa: ARG002
        """None: the token's user has to be asked for."""
        return None


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose token it is. `scopes` is None for tokens without any (all but classic ones); `expires` is GitHub's text."""

    login: str
    scopes: frozenset[str] | None
    expires: str | None


class GitHubApi:
    """A `ports.Forge` over GitHub's REST API. The client is the caller's, who also closes it.

    `api_url` is "https://api.github.com" or an Enterprise Server's "{url}/api/v3". `retry_pause` is the first pause
    between tries of a read; later ones double, with jitter.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        api_url: str,
        auth: Auth,
        request_timeout: timedelta,
        retry_pause: timedelta = timedelta(milliseconds=300),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._exchange = Exchange(client, api_url=api_url, request_timeout=request_timeout)
        self._auth = auth
        self._retry_pause = retry_pause
        self._now = now
        self._users_budget: str | None = None
        self._asking_for_user = asyncio.Lock()

    async def credential(self, full_name: str) -> str:
        """ "installation:<id>", "user:<login>", or "token:<host>" where GitHub does not say whose token it is."""
        named = await self._auth.credential(full_name)
        if named is not None:
            return named
        async with self._asking_for_user:
            if self._users_budget is None:
                self._users_budget = await self._ask_for_budget()
            return self._users_budget or self._nameless_budget

    async def post_status(self, full_name: str, sha: str, context: str, status: CommitStatus) -> None:
        """Post a commit status, once. `Vanished`: no such commit (yet). `Refused`: never will be, in GitHub's words.

        A 201 is taken at its word, whatever its body: sending again would only make a second status. Sends at most
        140 characters of the description and 255 of the context, and `target_url` only if it is http(s).
        """
        doing = f"a status of {full_name}"
        if not is_sha(sha):
            raise Refused(f"GitHub would refuse {doing}: {shown(sha)} is not a whole commit id")
        path = f"{repository_path(full_name)}/statuses/{sha}"
        answer = await self._ask(full_name, "POST", path, _status_body(context, status))
        if answer.status == 404 and isinstance(answer.document, dict):
            raise Refused(
                f"GitHub refused {doing}: the credential does not see the repository,"
                f" or may not write its commit statuses ({words_of(answer)})"
            )
        if answer.status != 201:
            raise failure_of(answer, doing, self._now())

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that a tag's object finally points to, through at most five tags of tags.

        A lightweight tag's object is the commit itself, which GitHub does not show as a tag; then it is returned.
        """
        try:
            return await self._peeled(full_name, tag_object)
        except Vanished:
            path = f"{repository_path(full_name)}/commits/{quoted(tag_object)}"
            commit = await self._read(full_name, path, f"to show commit {tag_object} of {full_name}")
            return _sha(commit, "sha")

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a ref ("refs/heads/main", "refs/tags/v1") right now. `Vanished`: no such ref."""
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise Refused(f"{shown(ref)} is neither a branch nor a tag")
        path = f"{repository_path(full_name)}/git/ref/{quoted(ref.removeprefix('refs/'))}"
        found = await self._read(full_name, path, f"to show {ref} of {full_name}")
        if _reading(lambda: found.name("ref")) != ref:
            raise Vanished(f"{full_name} has no {ref}")
        return await self._commit_at(full_name, found, DEEPEST_TAG)

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now, under its present name."""
        found = await self._read(full_name, repository_path(full_name), f"to show {full_name}")
        return _reading(
            lambda: Repository(
                id=str(found.number("id")),
                full_name=found.name("full_name"),
                private=found.flag("private"),
                default_branch=found.name("default_branch"),
                html_url=found.name("html_url"),
            )
        )

    async def user(self) -> TokenOwner:
        """Whose token it is (`GET /user`). `Refused`: GitHub does not say, as for an App's token."""
        answer = await self._tried("", "/user", "to show whose token it is")
        scopes = answer.headers.get("x-oauth-scopes")
        return TokenOwner(
            login=_reading(lambda: answer.fields.name("login")),
            scopes=None if scopes is None else frozenset(filter(None, scopes.replace(" ", "").split(","))),
            expires=answer.headers.get("github-authentication-token-expiration"),
        )

    @property
    def _nameless_budget(self) -> str:
        return f"token:{self._exchange.host}"

    async def _ask_for_budget(self) -> str | None:
        """The name of the budget, None to ask again next time: a status must not wait for what only paces it."""
        try:
            return f"user:{(await self.user()).login}"
        except (Refused, Vanished):
            return self._nameless_budget
        except (Unavailable, Unanswered):
            return None

    async def _peeled(self, full_name: str, tag_object: str, hops: int = DEEPEST_TAG) -> str:
        path = f"{repository_path(full_name)}/git/tags/{quoted(tag_object)}"
        tag = await self._read(full_name, path, f"to show tag object {tag_object} of {full_name}")
        return await self._commit_at(full_name, tag, hops - 1)

    async def _commit_at(self, full_name: str, holder: Fields, hops: int) -> str:
        pointed = _reading(lambda: holder.within("object"))
        kind, sha = _reading(lambda: pointed.name("type")), _sha(pointed, "sha")
        if kind == "commit":
            return sha
        if kind != "tag" or hops == 0:
            raise Refused(f"a tag of {full_name} leads to {shown(kind)} {sha}, not to a commit")
        return await self._peeled(full_name, sha, hops)

    async def _read(self, full_name: str, path: str, doing: str) -> Fields:
        return (await self._tried(full_name, path, doing)).fields

    async def _tried(self, full_name: str, path: str, doing: str) -> Answer:
        tries = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(READ_TRIES) | stop_after_delay(READ_TRIES_WITHIN),
            wait=wait_random_exponential(multiplier=self._retry_pause.total_seconds(), max=2),
            reraise=True,
        )
        return await tries(self._read_once, full_name, path, doing)

    async def _read_once(self, full_name: str, path: str, doing: str) -> Answer:
        answer = await self._ask(full_name, "GET", path)
        if answer.status == 409:
            raise Vanished(f"GitHub refused {doing}: {words_of(answer)}")  # "Git Repository is empty."
        self._expect(answer, 200, doing)
        return answer

    def _expect(self, answer: Answer, status: int, doing: str) -> None:
        if answer.status != status:
            raise failure_of(answer, doing, self._now())
        _ = answer.fields

    async def _ask(self, full_name: str, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        token = await self._auth.token(full_name)
        answer = await self._exchange.send(method, path, token, body)
        if not _is_refused_credential(answer):
            return answer
        fresh = await self._auth.renewed(full_name, token)
        if fresh is not None:
            answer = await self._exchange.send(method, path, fresh, body)
        if not _is_refused_credential(answer):
            return answer
        raise CredentialRefused(
            f"GitHub does not accept the credential for {full_name or 'its user'} (wrong, expired or revoked):"
            f" {words_of(answer)}"
        )


def _is_refused_credential(answer: Answer) -> bool:
    return answer.status == 401 and isinstance(answer.document, dict)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, Unanswered) and not error.timed_out)


def _reading(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except BadPayload as error:
        raise Unanswered(f"GitHub's answer makes no sense: {error}") from error


def _sha(fields: Fields, key: str) -> str:
    sha = _reading(lambda: fields.name(key))
    if not is_sha(sha):
        raise Unanswered(f"GitHub's answer makes no sense: {key} is {shown(sha)}")
    return sha


def _status_body(context: str, status: CommitStatus) -> dict[str, object]:
    description = storable(status.description)
    if len(description) > DESCRIPTION_LIMIT:
        description = description[: DESCRIPTION_LIMIT - 1] + "…"
    body: dict[str, object] = {
        "state": str(status.state),
        "description": description,
        "context": _fitting_context(storable(context)),
    }
    if status.target_url is not None and status.target_url.startswith(("https://", "http://")):
        body["target_url"] = status.target_url
    return body


def _fitting_context(context: str) -> str:
    # Cut alone, two long contexts could become one; lower case, since GitHub compares contexts without case.
    if len(context) <= CONTEXT_LIMIT:
        return context
    digest = hashlib.sha256(context.lower().encode()).hexdigest()[:_CONTEXT_DIGEST_DIGITS]
    return f"{context[: CONTEXT_LIMIT - len(digest) - 1]}~{digest}"
