"""What the engine asks of Bitbucket Data Center: post a status, resolve a ref, compare, look for a file, an archive.

A commit has one status per key, posted again it is overwritten. A key holds 255 characters, an address 450; a status
without an address that fits leads to the commit's page. Its ref is told in full.

Whose budget of calls a token spends is its account's, which no endpoint shows; but every answer names it in a header,
`X-AUSERNAME`.

A ref's tip is asked for as the first commit that is reachable from the *full* ref: the list of branches filters by
substring, and a short name may be a branch's as well as a tag's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import assert_never
from urllib.parse import unquote

import httpx

from buildbot.domain.push import RefKind
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.auth import Auth
from buildbot.forges.bitbucket.credentials import TokenOwner
from buildbot.forges.bitbucket_datacenter import refs, tree
from buildbot.forges.bitbucket_datacenter.delivery_log import DELIVERY_LOG
from buildbot.forges.bitbucket_datacenter.dialect import DATA_CENTER
from buildbot.forges.bitbucket_datacenter.names import repository_path
from buildbot.forges.bitbucket_datacenter.refusals import NO_PATH, is_called, is_repository_missing, words_of
from buildbot.forges.conversation import RETRY_PAUSE, Conversation, UserBudget, reading, sha_in, utc_now
from buildbot.forges.fields import Fields, shown, storable
from buildbot.forges.names import is_sha, quoted, quoted_whole
from buildbot.forges.paths import spelled_out
from buildbot.forges.push_fields import repository_number
from buildbot.forges.statuses import fitting_address, fitting_name, fitting_text
from buildbot.ports import RefList, Refused, Repository, StatusTarget, Vanished

DESCRIPTION_LIMIT = 255
KEY_LIMIT = 255
URL_LIMIT = 450
CHANGES_ASKED = 1000
TAGS_PER_PAGE = 100
TAG_PAGES = 10
TOP_DIRECTORY = "source"
_FORGE = DATA_CENTER.forge


class BitbucketDataCenterApi:
    """A `ports.Forge` over Bitbucket Data Center's REST API. The client is the caller's, who also closes it.

    `api_url` is "{url}/rest/api/latest", `url` the site. `retry_pause` is the first pause between tries of a read;
    later ones double.
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
        self._talk = Conversation(
            client,
            DATA_CENTER,
            auth,
            api_url=api_url,
            request_timeout=request_timeout,
            retry_pause=retry_pause,
            now=now,
        )
        self._url = url.rstrip("/")
        self._budget = UserBudget(self._account, self._talk.host)

    async def credential(self, full_name: str) -> str:  # noqa: ARG002  # one token for every repository
        """ "user:<name>", or "token:<host>" where Bitbucket does not say whose token it is."""
        return await self._budget.name()

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a commit status, once. `Vanished`: no such commit (yet). `Refused`: never will be, in Bitbucket's words.

        Sends at most 255 characters of the description and of the context.
        """
        doing = f"a status of {target.full_name}"
        if not is_sha(target.sha):
            raise Refused(f"Bitbucket would refuse {doing}: {shown(target.sha)} is not a whole commit id")
        path = f"{repository_path(target.full_name)}/commits/{target.sha}/builds"
        answer = await self._talk.ask(target.full_name, "POST", path, self._status_body(target, status))
        if is_repository_missing(answer):
            raise Refused(f"Bitbucket refused {doing}: the repository is not there ({words_of(answer)})")
        if answer.status != 204:
            raise self._talk.failure(answer, doing)

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that a tag's object finally points to; of a lightweight tag the commit is answered as it is.

        Bitbucket is not documented to show the commit behind a tag's object; where it does not, the tag is looked for
        among the repository's, 1 000 at most, those of the newest commits first.
        """
        path = f"{repository_path(full_name)}/commits/{quoted(tag_object)}"
        answer = await self._talk.look(full_name, path, f"to show {tag_object} of {full_name}")
        if answer.status == 200:
            return sha_in(answer.fields, "id", _FORGE)
        return await self._commit_of_listed_tag(full_name, tag_object)

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a ref ("refs/heads/main", "refs/tags/v1") right now. `Vanished`: no such ref."""
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise Refused(f"{shown(ref)} is neither a branch nor a tag")
        path = f"{repository_path(full_name)}/commits?until={quoted_whole(ref)}&limit=1"
        found = (await self._talk.read(full_name, path, f"to show {ref} of {full_name}")).fields
        commits = reading(lambda: found.maybe_each("values"), _FORGE)
        if not commits:
            raise Vanished(f"{full_name} has no {ref}")
        return sha_in(commits[0], "id", _FORGE)

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now, under its present name. `default_branch` is "" while it is empty."""
        place = repository_path(full_name)
        found = (await self._talk.read(full_name, place, f"to show {full_name}")).fields
        answer = await self._talk.look(full_name, f"{place}/default-branch", f"the default branch of {full_name}")
        branch = "" if answer.status == 404 else reading(lambda: answer.fields.name("displayId"), _FORGE)
        return reading(lambda: _repository(found, branch, self._url), _FORGE)

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        """The paths that differ between two commits, renamed ones under both names; None where it cannot be told.

        That is when a commit is gone, and when there are as many as the server lists at most: past that limit it
        neither says that there are more nor shows them.
        """
        query = f"since={quoted(before)}&until={quoted(after)}&limit={CHANGES_ASKED}"
        path = f"{repository_path(full_name)}/changes?{query}"
        found = await self._talk.compared(full_name, path, f"to compare two commits of {full_name}")
        return None if found is None else reading(lambda: _differing(found), _FORGE)

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        """Whether a file is in a commit. `Vanished`: the commit is not there, or the repository."""
        place = f"{repository_path(full_name)}/browse/{quoted(path)}?at={quoted(sha)}&type=true"
        doing = f"to show {shown(path)} in {sha} of {full_name}"
        answer = await self._talk.look(full_name, place, doing)
        if answer.status == 200:
            return isinstance(answer.document, dict) and answer.document.get("type") == "FILE"
        if is_called(answer, NO_PATH):
            return False
        raise self._talk.failure(answer, doing)

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
        """The source as a tar.gz, in pieces as they come, with the bot's credential.

        Data Center puts no directory around it by itself; it is asked to, so that all forges' archives are alike.
        """
        query = f"at={quoted(sha)}&format=tar.gz&prefix={TOP_DIRECTORY}/"
        path = f"{repository_path(full_name)}/archive?{query}"
        return self._talk.archive(full_name, path, f"the archive of {full_name} at {sha}")

    async def refs(self, full_name: str, kind: RefKind, etag: str | None = None) -> RefList | None:
        """All branches, or all tags; None where they are still those that `etag` stands for."""
        return await refs.list_refs(self._talk, full_name, kind, etag)

    async def commit_message(self, full_name: str, sha: str) -> str:
        """A commit's message. `Vanished`: it is not there."""
        return await refs.commit_message(self._talk, full_name, sha)

    async def user(self) -> TokenOwner:
        """Whose token it is. `Refused`: Bitbucket does not say."""
        return TokenOwner(await self._account())

    async def _account(self) -> str:
        answer = await self._talk.read("", "/application-properties", "to show whose token it is")
        name = storable(unquote(answer.headers.get("x-ausername", ""), errors="replace"))
        if not name or name == "anonymous":
            raise Refused("Bitbucket does not say whose token it is (X-AUSERNAME)")
        return name

    async def _commit_of_listed_tag(self, full_name: str, tag_object: str) -> str:
        tags = f"{repository_path(full_name)}/tags?orderBy=MODIFICATION&limit={TAGS_PER_PAGE}"
        start: int | None = 0
        for _ in range(TAG_PAGES):
            page = (
                await self._talk.read(full_name, f"{tags}&start={start}", f"to list the tags of {full_name}")
            ).fields
            commit, start = _with_object(page, tag_object), _next_start(page)
            if commit is not None:
                return commit
            if start is None:
                break
        raise Vanished(f"{full_name} has no tag whose object is {tag_object}")

    def _status_body(self, target: StatusTarget, status: CommitStatus) -> dict[str, object]:
        address = fitting_address(status.target_url) or ""
        own_page = f"{self._url}{repository_path(target.full_name)}/commits/{target.sha}"
        return {
            "key": fitting_name(target.context, KEY_LIMIT),
            "state": state_of(status),
            "name": fitting_name(target.context, KEY_LIMIT),
            "url": address if 0 < len(address) <= URL_LIMIT else own_page,
            "description": fitting_text(status.description, DESCRIPTION_LIMIT),
            "ref": target.ref,
        }


def state_of(status: CommitStatus) -> str:
    """Bitbucket's word for a status. CANCELLED would say more of an error, but older versions refuse the word."""
    match status.state:
        case StatusState.PENDING:
            return "INPROGRESS"
        case StatusState.SUCCESS:
            return "SUCCESSFUL"
        case StatusState.FAILURE | StatusState.ERROR:
            return "FAILED"
        case _ as never:
            assert_never(never)


def _repository(found: Fields, default_branch: str, url: str) -> Repository:
    project = found.within("project")
    full_name = f"{project.name('key')}/{found.name('slug')}"
    return Repository(
        id=repository_number(found),
        full_name=full_name,
        private=not (found.maybe_flag("public") or project.maybe_flag("public")),
        default_branch=default_branch,
        html_url=url + repository_path(full_name),
    )


def _differing(page: Fields) -> tuple[str, ...] | None:
    changes, limit = page.maybe_each("values"), page.number("limit")
    if changes is None or len(changes) >= limit or page.maybe_flag("isLastPage") is not True:
        return None
    told = [_path(change, key) for change in changes for key in ("path", "srcPath")]
    return spelled_out(path for path in told if path) if all(told[::2]) else None


def _path(change: Fields, key: str) -> str | None:
    path = change.maybe_within(key)
    return None if path is None else path.maybe_raw("toString")


def _with_object(page: Fields, tag_object: str) -> str | None:
    tags = reading(lambda: page.maybe_each("values"), _FORGE) or []
    found = next((tag for tag in tags if tag.maybe_raw("hash") == tag_object), None)
    return None if found is None else sha_in(found, "latestCommit", _FORGE)


def _next_start(page: Fields) -> int | None:
    if reading(lambda: page.maybe_flag("isLastPage"), _FORGE) is not False:
        return None
    return reading(lambda: page.maybe_number("nextPageStart"), _FORGE)
