"""What the engine asks of GitHub: post a status, resolve a ref or tag, describe a repository.

A status is posted once per call: the status loop is the retry, and a second copy would count against the 1 000 that a
commit takes per context. What is tried again and what is not is the `Conversation`'s affair, as at every forge.

How to authenticate is an `Auth`: a `TokenAuth`, or the `AppAuth` beside this file. `credential` names whose budget a
status spends, since GitHub counts per user or installation. Whose a token is need not be asked for that: one forge has
one token and so one budget, and it stays the same when the token is replaced by another of the same user.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from buildbot.domain.push import RefKind
from buildbot.domain.status import DESCRIPTION_LIMIT, CommitStatus
from buildbot.forges.auth import Auth, TokenAuth
from buildbot.forges.conversation import RETRY_PAUSE, Conversation, reading, sha_in, utc_now
from buildbot.forges.fields import Fields, shown
from buildbot.forges.github import refs, tree
from buildbot.forges.github.app_auth import AppAuth
from buildbot.forges.github.delivery_log import GitHubDeliveryLog
from buildbot.forges.github.dialect import GITHUB
from buildbot.forges.github.names import repository_path
from buildbot.forges.github.refusals import words_of
from buildbot.forges.names import is_sha, quoted
from buildbot.forges.paths import spelled_out
from buildbot.forges.statuses import fitting_address, fitting_name, fitting_text
from buildbot.ports import RefList, Refused, Repository, StatusTarget, Vanished

__all__ = ["Auth", "GitHubApi", "TokenAuth", "TokenOwner"]

CONTEXT_LIMIT = 255
DEEPEST_TAG = 5
FILES_LIMIT = 300
_FORGE = GITHUB.forge


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
        retry_pause: timedelta = RETRY_PAUSE,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._talk = Conversation(
            client, GITHUB, auth, api_url=api_url, request_timeout=request_timeout, retry_pause=retry_pause, now=now
        )
        self._auth = auth
        self.delivery_log = GitHubDeliveryLog(self._talk, auth if isinstance(auth, AppAuth) else None)

    async def credential(self, full_name: str) -> str:
        """ "installation:<id>" for an App, else "token:<host>"."""
        return await self._auth.credential(full_name) or f"token:{self._talk.host}"

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a commit status, once. `Vanished`: no such commit (yet). `Refused`: never will be, in GitHub's words.

        A 201 is taken at its word, whatever its body: sending again would only make a second status. Sends at most
        140 characters of the description and 255 of the context, and `target_url` only if it is http(s).
        """
        doing = f"a status of {target.full_name}"
        if not is_sha(target.sha):
            raise Refused(f"GitHub would refuse {doing}: {shown(target.sha)} is not a whole commit id")
        path = f"{repository_path(target.full_name)}/statuses/{target.sha}"
        answer = await self._talk.ask(target.full_name, "POST", path, _status_body(target.context, status))
        if answer.status == 404 and isinstance(answer.document, dict):
            raise Refused(
                f"GitHub refused {doing}: the credential does not see the repository,"
                f" or may not write its commit statuses ({words_of(answer)})"
            )
        if answer.status != 201:
            raise self._talk.failure(answer, doing)

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that a tag's object finally points to, through at most five tags of tags.

        A lightweight tag's object is the commit itself, which GitHub does not show as a tag; then it is returned.
        """
        try:
            return await self._peeled(full_name, tag_object)
        except Vanished:
            path = f"{repository_path(full_name)}/commits/{quoted(tag_object)}"
            commit = await self._read(full_name, path, f"to show commit {tag_object} of {full_name}")
            return sha_in(commit, "sha", _FORGE)

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a ref ("refs/heads/main", "refs/tags/v1") right now. `Vanished`: no such ref."""
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise Refused(f"{shown(ref)} is neither a branch nor a tag")
        path = f"{repository_path(full_name)}/git/ref/{quoted(ref.removeprefix('refs/'))}"
        found = await self._read(full_name, path, f"to show {ref} of {full_name}")
        if reading(lambda: found.name("ref"), _FORGE) != ref:
            raise Vanished(f"{full_name} has no {ref}")
        return await self._commit_at(full_name, found, DEEPEST_TAG)

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now, under its present name."""
        found = await self._read(full_name, repository_path(full_name), f"to show {full_name}")
        return reading(lambda: _repository(found), _FORGE)

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        """The paths that differ between two commits, renamed ones under both names; None where GitHub cannot tell.

        GitHub compares from the merge base, which is the difference of the trees only where `after` lies ahead of
        `before`; it tells of 300 files at most without a flag; and of no commit that is gone (404).
        """
        path = f"{repository_path(full_name)}/compare/{quoted(before)}...{quoted(after)}?per_page=1"
        found = await self._talk.compared(full_name, path, f"to compare two commits of {full_name}")
        return None if found is None else reading(lambda: _differing(found), _FORGE)

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        """Whether a file is in a commit; symbolic links are followed. `Vanished`: the commit is not there.

        `Refused`: GitHub does not show the commits of the repository at all (404 in both places), which tells nothing.
        """
        place = f"{repository_path(full_name)}/contents/{quoted(path)}?ref={quoted(sha)}"
        answer = await self._talk.look(full_name, place, f"to show {shown(path)} in {sha} of {full_name}")
        if answer.status == 200:
            return isinstance(answer.document, dict) and answer.document.get("type") == "file"
        # The same 404 says that the file, the commit or the repository is not there: only the commit's own tells.
        doing = f"to show commit {sha} of {full_name}"
        commit = await self._talk.look(full_name, f"{repository_path(full_name)}/commits/{quoted(sha)}", doing)
        if commit.status == 404:
            raise Refused(f"GitHub refused {doing}: {words_of(commit)}")
        return False

    async def read_file(self, full_name: str, sha: str, path: str) -> bytes | None:
        """What a small file holds at a commit, see `tree`; None where there is none. `Vanished`: no such commit."""
        return await tree.read_file(self._talk, full_name, sha, path)

    async def gitlink(self, full_name: str, sha: str, path: str) -> str | None:
        """The commit that a submodule is at, see `tree`; None where there is none. `Vanished`: no such commit."""
        return await tree.gitlink(self._talk, full_name, sha, path)

    async def root_names(self, full_name: str, sha: str) -> frozenset[str] | None:  # noqa: ARG002
        """None: archives always have a top directory."""
        return None

    def archive(self, full_name: str, sha: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The source as a tar.gz with one top directory, in pieces as they come, with the bot's credential.

        GitHub redirects to another host with a pass of its own, good for five minutes; the token stays here.
        """
        path = f"{repository_path(full_name)}/tarball/{quoted(sha)}"
        return self._talk.archive(full_name, path, f"the archive of {full_name} at {sha}")

    async def refs(self, full_name: str, kind: RefKind, etag: str | None = None) -> RefList | None:
        """All branches, or all tags; None where they are still those that `etag` stands for."""
        return await refs.list_refs(self._talk, full_name, kind, etag)

    async def commit_message(self, full_name: str, sha: str) -> str:
        """A commit's message. `Vanished`: it is not there."""
        return await refs.commit_message(self._talk, full_name, sha)

    async def user(self) -> TokenOwner:
        """Whose token it is (`GET /user`). `Refused`: GitHub does not say, as for an App's token."""
        answer = await self._talk.read("", "/user", "to show whose token it is")
        scopes = answer.headers.get("x-oauth-scopes")
        return TokenOwner(
            login=reading(lambda: answer.fields.name("login"), _FORGE),
            scopes=None if scopes is None else frozenset(filter(None, scopes.replace(" ", "").split(","))),
            expires=answer.headers.get("github-authentication-token-expiration"),
        )

    async def _peeled(self, full_name: str, tag_object: str, hops: int = DEEPEST_TAG) -> str:
        path = f"{repository_path(full_name)}/git/tags/{quoted(tag_object)}"
        tag = await self._read(full_name, path, f"to show tag object {tag_object} of {full_name}")
        return await self._commit_at(full_name, tag, hops - 1)

    async def _commit_at(self, full_name: str, holder: Fields, hops: int) -> str:
        pointed = reading(lambda: holder.within("object"), _FORGE)
        kind, sha = reading(lambda: pointed.name("type"), _FORGE), sha_in(pointed, "sha", _FORGE)
        if kind == "commit":
            return sha
        if kind != "tag" or hops == 0:
            raise Refused(f"a tag of {full_name} leads to {shown(kind)} {sha}, not to a commit")
        return await self._peeled(full_name, sha, hops)

    async def _read(self, full_name: str, path: str, doing: str) -> Fields:
        return (await self._talk.read(full_name, path, doing)).fields


def _repository(found: Fields) -> Repository:
    return Repository(
        id=str(found.number("id")),
        full_name=found.name("full_name"),
        private=found.flag("private"),
        default_branch=found.name("default_branch"),
        html_url=found.maybe_name("html_url") or "",
    )


def _status_body(context: str, status: CommitStatus) -> dict[str, object]:
    body: dict[str, object] = {
        "state": str(status.state),
        "description": fitting_text(status.description, DESCRIPTION_LIMIT),
        "context": fitting_name(context, CONTEXT_LIMIT),
    }
    if address := fitting_address(status.target_url):
        body["target_url"] = address
    return body


def _differing(comparison: Fields) -> tuple[str, ...] | None:
    match comparison.name("status"):
        case "identical":
            return ()
        case "ahead":
            files = comparison.maybe_each("files")
        case _:
            return None
    if files is None or len(files) >= FILES_LIMIT:
        return None
    told = [file.maybe_raw(key) for file in files for key in ("filename", "previous_filename")]
    return spelled_out(path for path in told if path)
