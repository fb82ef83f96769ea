"""What the engine asks of GitLab: post a status, resolve a ref or tag, compare, look for a file, fetch an archive.

A status is posted once per call. GitLab updates one that is pending or running, makes a new one after a final one, and
refuses to move a status to where it is: that refusal means that an earlier, lost call was heard, so it is no error.
What says "pending" to the bot is `pending` while the build waits and `running` once Quay works on it.

The ref is told with every status: without it GitLab takes the first branch that contains the commit, and the status of
a tag would appear on another branch's pipeline. A project that was renamed or moved answers reads with a redirect, but
writes with 405; then the status is sent again by the project's number, which is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

import httpx

from buildbot.domain.push import RefKind, kind_of, name_of
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.forges.auth import Auth
from buildbot.forges.conversation import RETRY_PAUSE, Conversation, UserBudget, reading, sha_in, utc_now
from buildbot.forges.exchange import Answer
from buildbot.forges.fields import Fields, shown
from buildbot.forges.gitlab import refs, tree
from buildbot.forges.gitlab.delivery_log import GitLabDeliveryLog
from buildbot.forges.gitlab.dialect import GITLAB
from buildbot.forges.gitlab.names import project_path
from buildbot.forges.gitlab.refusals import MOVED, NO_COMMIT, NO_FILE, state_before, words_of
from buildbot.forges.names import is_sha, quoted_whole
from buildbot.forges.paths import spelled_out
from buildbot.forges.push_fields import repository_number
from buildbot.forges.statuses import fitting_address, fitting_name, fitting_text
from buildbot.ports import RefList, Refused, Repository, StatusTarget, Vanished

DESCRIPTION_LIMIT = 255
NAME_LIMIT = 255
DIFFS_LIMIT = 1000  # an instance's limit may be raised, but is not lower than this
TAGS_PER_PAGE = 100
TAG_PAGES = 10
RUNNING_STAGES = frozenset({"building", "retrying"})
_FORGE = GITLAB.forge


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose token it is. `scopes` is None where GitLab does not show them; `expires` is GitLab's date."""

    username: str
    scopes: frozenset[str] | None = None
    expires: str | None = None


class GitLabApi:
    """A `ports.Forge` over GitLab's REST API, version 4. The client is the caller's, who also closes it.

    `api_url` is "{url}/api/v4". `retry_pause` is the first pause between tries of a read; later ones double.
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
            client, GITLAB, auth, api_url=api_url, request_timeout=request_timeout, retry_pause=retry_pause, now=now
        )
        self._auth = auth
        self._budget = UserBudget(self._username, self._talk.host)
        self.delivery_log = GitLabDeliveryLog(self._talk)

    async def credential(self, full_name: str) -> str:
        """ "user:<username>" (project and group tokens have users of their own), or "token:<host>" where untold."""
        return await self._auth.credential(full_name) or await self._budget.name()

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a commit status, once. `Vanished`: no such commit (yet). `Refused`: never will be, in GitLab's words.

        Returns also where the status is already as wanted, or further. Sends at most 255 characters of the description
        and of the context, and `target_url` only if it is http(s).
        """
        doing = f"a status of {target.full_name}"
        if not is_sha(target.sha):
            raise Refused(f"GitLab would refuse {doing}: {shown(target.sha)} is not a whole commit id")
        answer = await self._post(target, project_path(target.full_name), status)
        if answer.status == 405 and MOVED in words_of(answer):
            number = (await self.repository(target.full_name)).id
            answer = await self._post(target, f"/projects/{number}", status)
        if answer.status == 201 or _is_done(answer, status):
            return
        if answer.status == 404 and isinstance(answer.document, dict) and NO_COMMIT not in words_of(answer):
            raise Refused(f"GitLab refused {doing}: {_why_not_found(words_of(answer))}")
        raise self._talk.failure(answer, doing)

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that a tag's object finally points to.

        GitLab may show the commit behind a tag's object when asked for the object; it is not documented to, so where it
        does not, the tag is looked for among the project's, newest first, 1 000 at most.
        """
        path = f"{project_path(full_name)}/repository/commits/{quoted_whole(tag_object)}"
        answer = await self._talk.look(full_name, path, f"to show {tag_object} of {full_name}")
        if answer.status == 200:
            return sha_in(answer.fields, "id", _FORGE)
        return await self._commit_of_listed_tag(full_name, tag_object)

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a ref ("refs/heads/main", "refs/tags/v1") right now. `Vanished`: no such ref."""
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise Refused(f"{shown(ref)} is neither a branch nor a tag")
        kind = "branches" if kind_of(ref) is RefKind.BRANCH else "tags"
        path = f"{project_path(full_name)}/repository/{kind}/{quoted_whole(name_of(ref))}"
        found = (await self._talk.read(full_name, path, f"to show {ref} of {full_name}")).fields
        return sha_in(reading(lambda: found.within("commit"), _FORGE), "id", _FORGE)

    async def repository(self, full_name: str) -> Repository:
        """The project as it is now, under its present path. Internal ones count as private: they need a credential.

        `default_branch` is "" while the repository is empty.
        """
        answer = await self._talk.read(full_name, project_path(full_name), f"to show {full_name}")
        return reading(lambda: _repository(answer.fields), _FORGE)

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        """The paths that differ between two commits, renamed ones under both names; None where GitLab cannot tell.

        Two-dot (`straight`), so that it is the difference of the trees also after a force push. It cannot tell after
        `compare_timeout`, at 1 000 files (some instance's limit), and when a commit is gone.
        """
        query = f"from={quoted_whole(before)}&to={quoted_whole(after)}&straight=true"
        path = f"{project_path(full_name)}/repository/compare?{query}"
        found = await self._talk.compared(full_name, path, f"to compare two commits of {full_name}")
        return None if found is None else reading(lambda: _differing(found), _FORGE)

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        """Whether a file is in a commit. `Vanished`: the commit is not there, or the project."""
        place = f"{project_path(full_name)}/repository/files/{quoted_whole(path)}?ref={quoted_whole(sha)}"
        doing = f"to show {shown(path)} in {sha} of {full_name}"
        answer = await self._talk.look(full_name, place, doing)
        if answer.status == 404 and NO_FILE in words_of(answer):
            return False
        if answer.status == 404:
            raise self._talk.failure(answer, doing)
        return True

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
        path = f"{project_path(full_name)}/repository/archive.tar.gz?sha={quoted_whole(sha)}"
        return self._talk.archive(full_name, path, f"the archive of {full_name} at {sha}")

    async def refs(self, full_name: str, kind: RefKind, etag: str | None = None) -> RefList | None:
        """All branches, or all tags; None where they are still those that `etag` stands for."""
        return await refs.list_refs(self._talk, full_name, kind, etag)

    async def commit_message(self, full_name: str, sha: str) -> str:
        """A commit's message. `Vanished`: it is not there."""
        return await refs.commit_message(self._talk, full_name, sha)

    async def user(self) -> TokenOwner:
        """Whose token it is, with its scopes and end where it is one of GitLab's own (OAuth's do not show them)."""
        username = await self._username()
        answer = await self._talk.ask("", "GET", "/personal_access_tokens/self")
        if answer.status != 200 or not isinstance(answer.document, dict):
            return TokenOwner(username)
        told = answer.fields
        scopes = reading(lambda: told.maybe_raws("scopes"), _FORGE)
        expires = reading(lambda: told.maybe_text("expires_at"), _FORGE)
        return TokenOwner(username, None if scopes is None else frozenset(scopes), expires)

    async def _username(self) -> str:
        answer = await self._talk.read("", "/user", "to show whose token it is")
        return reading(lambda: answer.fields.name("username"), _FORGE)

    async def _post(self, target: StatusTarget, project: str, status: CommitStatus) -> Answer:
        return await self._talk.ask(
            target.full_name, "POST", f"{project}/statuses/{target.sha}", _status_body(target, status)
        )

    async def _commit_of_listed_tag(self, full_name: str, tag_object: str) -> str:
        tags = f"{project_path(full_name)}/repository/tags?order_by=updated&sort=desc&per_page={TAGS_PER_PAGE}"
        doing = f"to list the tags of {full_name}"
        for page in range(1, TAG_PAGES + 1):
            listed = (await self._talk.read_list(full_name, f"{tags}&page={page}", doing)).members
            if (tag := _with_object(listed, tag_object)) is not None:
                return sha_in(tag, "id", _FORGE)
            if len(listed) < TAGS_PER_PAGE:
                break
        raise Vanished(f"{full_name} has no tag whose object is {tag_object}")


def state_of(status: CommitStatus) -> str:
    """GitLab's word for a status. It has no error: a build that could not run has failed as well."""
    match status.state:
        case StatusState.PENDING:
            return "running" if status.stage in RUNNING_STAGES else "pending"
        case StatusState.SUCCESS:
            return "success"
        case StatusState.FAILURE | StatusState.ERROR:
            return "failed"
        case _ as never:
            assert_never(never)


def _with_object(tags: list[Fields], tag_object: str) -> Fields | None:
    """The commit of the tag among `tags` that has this object."""
    return reading(
        lambda: next((tag.within("commit") for tag in tags if tag.maybe_raw("target") == tag_object), None), _FORGE
    )


def _is_done(answer: Answer, status: CommitStatus) -> bool:
    stands = state_before(answer)
    return stands is not None and (not status.state.is_final or stands == state_of(status))


def _why_not_found(said: str) -> str:
    if "References for commit" in said:
        return f"no branch or tag contains the commit any more ({said})"
    return f"the token does not see the project ({said})"


def _status_body(target: StatusTarget, status: CommitStatus) -> dict[str, object]:
    body: dict[str, object] = {
        "state": state_of(status),
        "name": fitting_name(target.context, NAME_LIMIT),
        "ref": name_of(target.ref),
        "description": fitting_text(status.description, DESCRIPTION_LIMIT),
    }
    if address := fitting_address(status.target_url):
        body["target_url"] = address
    return body


def _repository(found: Fields) -> Repository:
    return Repository(
        id=repository_number(found),
        full_name=found.name("path_with_namespace"),
        private=found.name("visibility") != "public",
        default_branch=found.maybe_name("default_branch") or "",
        html_url=found.name("web_url"),
    )


def _differing(comparison: Fields) -> tuple[str, ...] | None:
    diffs = comparison.maybe_each("diffs")
    if diffs is None or len(diffs) >= DIFFS_LIMIT or comparison.maybe_flag("compare_timeout") is not False:
        return None
    told = [diff.maybe_raw(key) for diff in diffs for key in ("old_path", "new_path")]
    return None if None in told else spelled_out(path for path in told if path)
