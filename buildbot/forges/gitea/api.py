"""What the engine asks of Gitea and Forgejo: post a status, resolve a ref or tag, compare, look for a file, an archive.

A status is posted once per call: every POST adds a row, there is no rule that would refuse a second copy. Why it was
not taken is not always said. Gitea answers 500 for a commit that it does not have, and also when it is in trouble;
Forgejo answers 404 for that, and both for a repository that the token may not see. So after either answer the commit is
looked for, and if it is not there the repository: a commit that is really missing is `Vanished`, which the engine gives
two minutes and then stops, instead of a 500 that it would repeat for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from buildbot.domain.push import RefKind, kind_of, name_of
from buildbot.domain.status import CommitStatus
from buildbot.forges.auth import Auth
from buildbot.forges.conversation import RETRY_PAUSE, Conversation, UserBudget, reading, sha_in, utc_now
from buildbot.forges.exchange import Answer
from buildbot.forges.fields import Fields, shown
from buildbot.forges.gitea import refs, tree
from buildbot.forges.gitea.changed_paths import compared_paths
from buildbot.forges.gitea.delivery_log import DELIVERY_LOG
from buildbot.forges.gitea.dialect import GITEA
from buildbot.forges.gitea.names import repository_path
from buildbot.forges.gitea.refusals import words_of
from buildbot.forges.names import is_sha, quoted
from buildbot.forges.push_fields import repository_number
from buildbot.forges.statuses import fitting_address, fitting_name, fitting_text
from buildbot.ports import CallError, RefList, Refused, Repository, StatusTarget, Vanished

DESCRIPTION_LIMIT = 1000  # no limit is known; these keep a mistake of ours small
CONTEXT_LIMIT = 255
_FORGE = GITEA.forge


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose token it is. What the token may do is not shown by any version."""

    login: str


class GiteaApi:
    """A `ports.Forge` over the API of Gitea and Forgejo, version 1. The client is the caller's, who also closes it.

    `api_url` is "{url}/api/v1". `retry_pause` is the first pause between tries of a read; later ones double.
    """

    delivery_log = DELIVERY_LOG

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
            client, GITEA, auth, api_url=api_url, request_timeout=request_timeout, retry_pause=retry_pause, now=now
        )
        self._auth = auth
        self._budget = UserBudget(self._login, self._talk.host)

    async def credential(self, full_name: str) -> str:
        """ "user:<login>", or "token:<host>" where the token may not ask (it needs the scope `read:user`)."""
        return await self._auth.credential(full_name) or await self._budget.name()

    async def post_status(self, target: StatusTarget, status: CommitStatus) -> None:
        """Post a commit status, once. `Vanished`: no such commit (yet). `Refused`: never will be, in Gitea's words.

        A 201 is taken at its word, whatever its body: sending again would only make a second status.
        """
        doing = f"a status of {target.full_name}"
        if not is_sha(target.sha):
            raise Refused(f"Gitea would refuse {doing}: {shown(target.sha)} is not a whole commit id")
        path = f"{repository_path(target.full_name)}/statuses/{target.sha}"
        answer = await self._talk.ask(target.full_name, "POST", path, _status_body(target.context, status))
        if answer.status == 201:
            return
        if answer.status in {404, 500} and isinstance(answer.document, dict):
            raise await self._why_not_taken(target, answer, doing)
        raise self._talk.failure(answer, doing)

    async def commit_of_tag(self, full_name: str, tag_object: str) -> str:
        """The commit that a tag's object finally points to; a lightweight tag's object is the commit itself.

        Asked as a commit: both peel a tag's object there, while `git/tags` answers 400 to everything else.
        """
        return sha_in(await self._commit(full_name, tag_object), "sha", _FORGE)

    async def head(self, full_name: str, ref: str) -> str:
        """The commit at the tip of a ref ("refs/heads/main", "refs/tags/v1") right now. `Vanished`: no such ref."""
        if not ref.startswith(("refs/heads/", "refs/tags/")):
            raise Refused(f"{shown(ref)} is neither a branch nor a tag")
        kind, key = ("branches", "id") if kind_of(ref) is RefKind.BRANCH else ("tags", "sha")
        path = f"{repository_path(full_name)}/{kind}/{quoted(name_of(ref))}"
        found = await self._read(full_name, path, f"to show {ref} of {full_name}")
        if reading(lambda: found.name("name"), _FORGE) != name_of(ref):
            raise Vanished(f"{full_name} has no {ref}")
        return sha_in(reading(lambda: found.within("commit"), _FORGE), key, _FORGE)

    async def repository(self, full_name: str) -> Repository:
        """The repository as it is now, under its present name. `default_branch` is "" while it is empty.

        One that is limited to signed-in people (`internal`) counts as private: it needs a credential.
        """
        found = await self._read(full_name, repository_path(full_name), f"to show {full_name}")
        return reading(lambda: _repository(found), _FORGE)

    async def changed_paths(self, full_name: str, before: str, after: str) -> tuple[str, ...] | None:
        """The paths that differ between two commits; None where that cannot be told, see `changed_paths`.

        It cannot be told after a force push, over more than 8 MB of commits, and when one of the two is gone.
        """
        path = f"{repository_path(full_name)}/compare/{quoted(before)}...{quoted(after)}?stat=false&verification=false"
        found = await self._talk.compared(full_name, path, f"to compare two commits of {full_name}")
        return None if found is None else reading(lambda: compared_paths(found, before, after), _FORGE)

    async def has_file(self, full_name: str, sha: str, path: str) -> bool:
        """Whether a file, or a symbolic link, is in a commit. `Vanished`: the commit is not there."""
        place = f"{repository_path(full_name)}/contents/{quoted(path)}?ref={quoted(sha)}"
        answer = await self._talk.look(full_name, place, f"to show {shown(path)} in {sha} of {full_name}")
        if answer.status == 200:
            return isinstance(answer.document, dict) and answer.document.get("type") in {"file", "symlink"}
        # The same 404 says that the file, the commit or the repository is not there: only the commit's own tells.
        await self._commit(full_name, sha)
        return False

    async def read_file(self, full_name: str, sha: str, path: str) -> bytes | None:
        """What a small file holds at a commit, see `tree`; None where there is none. `Vanished`: no such commit."""
        return await tree.read_file(self._talk, full_name, sha, path)

    async def gitlink(self, full_name: str, sha: str, path: str) -> str | None:
        """The commit that a submodule is at, see `tree`; None where there is none. `Vanished`: no such commit."""
        return await tree.gitlink(self._talk, full_name, sha, path)

    async def root_names(self, full_name: str, sha: str) -> frozenset[str] | None:
        """What is at the root of a commit's tree: with `PREFIX_ARCHIVE_FILES = false` its archive has no directory
        around that, and nothing else tells."""
        return await tree.root_names(self._talk, full_name, sha)

    def archive(self, full_name: str, sha: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The source as a tar.gz, in pieces as they come, with the bot's credential.

        The first one of a commit is slow: it is made when it is asked for. Where archives lie in object storage a
        signed address of another host is redirected to, and the token stays here.
        """
        path = f"{repository_path(full_name)}/archive/{quoted(sha)}.tar.gz"
        return self._talk.archive(full_name, path, f"the archive of {full_name} at {sha}")

    async def refs(self, full_name: str, kind: RefKind, etag: str | None = None) -> RefList | None:
        """All branches, or all tags; None where they are still those that `etag` stands for."""
        return await refs.list_refs(self._talk, full_name, kind, etag)

    async def commit_message(self, full_name: str, sha: str) -> str:
        """A commit's message. `Vanished`: it is not there."""
        return await refs.commit_message(self._talk, full_name, sha)

    async def user(self) -> TokenOwner:
        """Whose token it is. `Refused`: the token lacks the scope `read:user`."""
        found = await self._read("", "/user", "to show whose token it is")
        return TokenOwner(reading(lambda: found.name("login"), _FORGE))

    async def _login(self) -> str:
        return (await self.user()).login

    async def _commit(self, full_name: str, sha: str) -> Fields:
        path = f"{repository_path(full_name)}/git/commits/{quoted(sha)}?{tree.BRIEFLY}"
        return await self._read(full_name, path, f"to show commit {sha} of {full_name}")

    async def _why_not_taken(self, target: StatusTarget, answer: Answer, doing: str) -> CallError:
        try:
            return await self._missing(target, words_of(answer)) or self._talk.failure(answer, doing)
        except CallError:
            return self._talk.failure(answer, doing)

    async def _missing(self, target: StatusTarget, said: str) -> CallError | None:
        if await _is_there(self._commit(target.full_name, target.sha)):
            return None
        if await _is_there(self.repository(target.full_name)):
            return Vanished(f"{target.full_name} has no commit {target.sha} ({said})")
        return Refused(f"the token does not see the repository {target.full_name}, or it is gone ({said})")

    async def _read(self, full_name: str, path: str, doing: str) -> Fields:
        return (await self._talk.read(full_name, path, doing)).fields


async def _is_there(asking: Awaitable[object]) -> bool:
    try:
        await asking
    except Vanished:
        return False
    return True


def _status_body(context: str, status: CommitStatus) -> dict[str, object]:
    body: dict[str, object] = {
        "state": str(status.state),
        "description": fitting_text(status.description, DESCRIPTION_LIMIT),
        "context": fitting_name(context, CONTEXT_LIMIT),
    }
    if address := fitting_address(status.target_url):
        body["target_url"] = address
    return body


def _repository(found: Fields) -> Repository:
    return Repository(
        id=repository_number(found),
        full_name=found.name("full_name"),
        private=found.flag("private") or bool(found.maybe_flag("internal")),
        default_branch=found.maybe_text("default_branch") or "",
        html_url=found.name("html_url"),
    )
