"""What the engine asks of Bitbucket Cloud: post a status, resolve a ref, compare, look for a file, fetch an archive.

A commit has one status per key: posting again overwrites it, which only the account that made it, or an admin, may do.
A key holds forty characters, fewer than a context may have, so a long one is cut and told apart by a digest. A status
must have an address, so one without leads to the commit's page. Its branch is told (`refname`), since pull requests
show a status by it; a tag's name is not, because a branch may be called the same.

`credential` asks nobody: the API shows the user of a token only to a scope that the bot does not need, and an access
token has a budget of its own.

Archives come from the site, not from the API, and there with the token of a repository, project or workspace only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never
from urllib.parse import urlsplit

import httpx

from buildbot.domain.push import RefKind, kind_of, name_of
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.auth import Auth
from buildbot.forges.bitbucket import refs, tree
from buildbot.forges.bitbucket.credentials import TokenOwner, account_in
from buildbot.forges.bitbucket.delivery_log import DELIVERY_LOG
from buildbot.forges.bitbucket.dialect import BITBUCKET, SITE
from buildbot.forges.bitbucket.names import checked, repository_path
from buildbot.forges.bitbucket.refusals import is_repository_missing, words_of
from buildbot.forges.conversation import RETRY_PAUSE, Conversation, reading, sha_in, utc_now
from buildbot.forges.fields import Fields, shown
from buildbot.forges.names import is_sha, quoted
from buildbot.forges.paths import spelled_out
from buildbot.forges.statuses import fitting_address, fitting_name, fitting_text
from buildbot.ports import RefList, Refused, Repository, StatusTarget

DESCRIPTION_LIMIT = 255
KEY_LIMIT = 40
NAME_LIMIT = 255
DIFFSTAT_PAGES = 20
_FORGE = BITBUCKET.forge


class BitbucketApi:
    """A `ports.Forge` over Bitbucket Cloud's REST API. The client is the caller's, who also closes it.

    `api_url` is "https://api.bitbucket.org/2.0", `url` the site, "https://bitbucket.org". `retry_pause` is the first
    pause between tries of a read; later ones double.
    """

    forge = _FORGE
    delivery_log = DELIVERY_LOG

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        url: str,
        api_url: str,
        auth: Auth,
        request_timeout: timedelta,
        retry_pause: timedelta = RETRY_PAUSE,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        conversation = partial(
            Conversation, client, auth=auth, request_timeout=request_timeout, retry_pause=retry_pause, now=now
        )
        self._talk = conversation(BITBUCKET, api_url=api_url)
        self._site = conversation(SITE, api_url=url)
        self._url = url.rstrip("/")
        self._auth = auth

    async def credential(self, full_name: str) -> str:
        """ "user:<email>" for a person's API token, "token:<host>" for an access token; asks nobody."""
        account = account_in(await self._auth.token(full_name))
        return f"user:{account}" if account else f"token:{self._talk.host}"

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a commit status, once. `Vanished`: no such commit (yet). `Refused`: never will be, in Bitbucket's words.

        Sends at most 255 characters of the description and of the context, and 40 as its key.
        """
        doing = f"a status of {target.full_name}"
        if not is_sha(target.sha):
            raise Refused(f"Bitbucket would refuse {doing}: {shown(target.sha)} is not a whole commit id")
        path = f"{repository_path(target.full_name)}/commit/{target.sha}/statuses/build"
        answer = await self._talk.ask(target.full_name, "POST", path, self._status_body(target, status))
        if is_repository_missing(answer):
            raise Refused(f"Bitbucket refused {doing}: the token does not see the repository ({words_of(answer)})")
        if answer.status == 200:
            reading(lambda: answer.fields.name("key"), _FORGE)  # overwritten; a proxy's page says 200 too
        elif answer.status != 201:
            raise self._talk.failure(answer, doing)

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that a tag's object points to. Payloads tell the commit itself, which is answered as it is."""
        return sha_in(await self._commit(full_name, tag_object), "hash", _FORGE)

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a ref ("refs/heads/main", "refs/tags/v1") right now. `Vanished`: no such ref."""
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise Refused(f"{shown(ref)} is neither a branch nor a tag")
        kind = "branches" if kind_of(ref) is RefKind.BRANCH else "tags"
        path = f"{repository_path(full_name)}/refs/{kind}/{quoted(name_of(ref))}"
        found = (await self._talk.read(full_name, path, f"to show {ref} of {full_name}")).fields
        return sha_in(reading(lambda: found.within("target"), _FORGE), "hash", _FORGE)

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now, under its present name. `default_branch` is "" while it is empty."""
        answer = await self._talk.read(full_name, repository_path(full_name), f"to show {full_name}")
        return reading(lambda: _repository(answer.fields), _FORGE)

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        """The paths that differ between two commits, renamed ones under both names; None where it cannot be told.

        The newer commit comes first in the address, opposite to git, and `topic=false` makes it the difference of the
        trees. It cannot be told when a commit is gone, when Bitbucket gives up (555), and of more than 20 pages.
        """
        spec = f"{quoted(after)}..{quoted(before)}"
        path, query = f"{repository_path(full_name)}/diffstat/{spec}", "topic=false"
        told: set[str] = set()
        for _ in range(DIFFSTAT_PAGES):
            page = await self._talk.compared(full_name, f"{path}?{query}", f"to compare two commits of {full_name}")
            paths = None if page is None else reading(partial(_differing, page), _FORGE)
            if page is None or paths is None:
                return None
            told |= paths
            query = reading(partial(_next_query, page), _FORGE)
            if not query:
                return spelled_out(told)
        return None

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        """Whether a file is in a commit. `Vanished`: the commit is not there, or the repository."""
        place = f"{repository_path(full_name)}/src/{quoted(sha)}/{quoted(path)}?format=meta"
        answer = await self._talk.look(full_name, place, f"to show {shown(path)} in {sha} of {full_name}")
        if answer.status == 200:
            return isinstance(answer.document, dict) and answer.document.get("type") == "commit_file"
        # The same 404 says that the file, the commit or the repository is not there: only the commit's own tells.
        await self._commit(full_name, sha)
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
        """The source as a tar.gz with one top directory, in pieces as they come, with the bot's credential."""
        path = f"/{checked(full_name)}/get/{quoted(sha)}.tar.gz"
        return self._site.archive(full_name, path, f"the archive of {full_name} at {sha}")

    async def refs(self, full_name: str, kind: RefKind, etag: str | None = None) -> RefList | None:
        """All branches, or all tags; None where they are still those that `etag` stands for."""
        return await refs.list_refs(self._talk, full_name, kind, etag)

    async def commit_message(self, full_name: str, sha: str) -> str:
        """A commit's message. `Vanished`: it is not there."""
        return await refs.commit_message(self._talk, full_name, sha)

    async def user(self) -> TokenOwner:
        """Whose token it is. `Refused`: Bitbucket does not say, as it does only to a scope of its own."""
        answer = await self._talk.read("", "/user", "to show whose token it is")
        told, scopes = answer.fields, answer.headers.get("x-oauth-scopes")
        name = reading(lambda: told.maybe_name("nickname") or told.name("display_name"), _FORGE)
        return TokenOwner(name, None if scopes is None else frozenset(filter(None, scopes.replace(",", " ").split())))

    async def _commit(self, full_name: str, sha: str) -> Fields:
        path = f"{repository_path(full_name)}/commit/{quoted(sha)}"
        return (await self._talk.read(full_name, path, f"to show commit {sha} of {full_name}")).fields

    def _status_body(self, target: StatusTarget, status: CommitStatus) -> dict[str, object]:
        body: dict[str, object] = {
            "key": fitting_name(target.context, KEY_LIMIT),
            "state": state_of(status),
            "name": fitting_name(target.context, NAME_LIMIT),
            "url": fitting_address(status.target_url) or f"{self._url}/{target.full_name}/commits/{target.sha}",
            "description": fitting_text(status.description, DESCRIPTION_LIMIT),
        }
        if kind_of(target.ref) is RefKind.BRANCH:
            body["refname"] = name_of(target.ref)
        return body


def state_of(status: CommitStatus) -> str:
    """Bitbucket's word for a status. A build that could not run, or was cancelled, is one that was stopped."""
    match status.state:
        case StatusState.PENDING:
            return "INPROGRESS"
        case StatusState.SUCCESS:
            return "SUCCESSFUL"
        case StatusState.FAILURE:
            return "FAILED"
        case StatusState.ERROR:
            return "STOPPED"
        case _ as never:
            assert_never(never)


def _repository(found: Fields) -> Repository:
    main = found.maybe_within("mainbranch")
    return Repository(
        id=found.name("uuid"),
        full_name=found.name("full_name"),
        private=found.flag("is_private"),
        default_branch="" if main is None else main.name("name"),
        html_url=found.within("links").within("html").name("href"),
    )


def _differing(page: Fields) -> set[str] | None:
    changes = page.maybe_each("values")
    if changes is None:
        return None
    told: set[str] = set()
    for change in changes:
        ends = [end for end in (change.maybe_within("old"), change.maybe_within("new")) if end is not None]
        paths = [path for end in ends if (path := end.maybe_raw("path"))]
        if not paths or len(paths) != len(ends):
            return None
        told.update(paths)
    return told


def _next_query(page: Fields) -> str:
    # Of the address only the query is taken: the token goes nowhere but to the configured API.
    return urlsplit(page.maybe_name("next") or "").query
