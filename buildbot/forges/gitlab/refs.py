"""GitLab's branches and tags: two lists of pages, tags that were updated last first.

A tag's `target` is its object, as `after` of its push is. Nothing stands for a list when it is asked for again.
"""

from __future__ import annotations

from buildbot.domain.push import RefKind
from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.fields import Fields
from buildbot.forges.gitlab.dialect import GITLAB
from buildbot.forges.gitlab.names import project_path
from buildbot.forges.names import quoted_whole
from buildbot.forges.refs import every_page, known, message, named
from buildbot.ports import ListedRef, RefList

PER_PAGE = 100
_FORGE = GITLAB.forge
_PARTS = {RefKind.BRANCH: "branches?", RefKind.TAG: "tags?order_by=updated&sort=desc&"}


async def list_refs(talk: Conversation, full_name: str, kind: RefKind, etag: str | None) -> RefList:  # noqa: ARG001
    """All refs of a kind."""
    path = f"{project_path(full_name)}/repository/{_PARTS[kind]}per_page={PER_PAGE}&page="
    doing = f"to list the {kind}s of {full_name}"

    async def page(number: str) -> tuple[list[ListedRef], str | None]:
        listed = (await talk.read_list(full_name, path + number, doing)).members
        following = str(int(number) + 1) if len(listed) == PER_PAGE else None
        return known(_ref(one, kind) for one in listed), following

    return await every_page(page, "1")


async def commit_message(talk: Conversation, full_name: str, sha: str) -> str:
    """A commit's message."""
    path = f"{project_path(full_name)}/repository/commits/{quoted_whole(sha)}?stats=false"
    found = (await talk.read(full_name, path, f"to show commit {sha} of {full_name}")).fields
    return message(found, _FORGE)


def _ref(one: Fields, kind: RefKind) -> ListedRef | None:
    commit = reading(lambda: one.within("commit").maybe_raw("id"), _FORGE)
    sha = commit if kind is RefKind.BRANCH else reading(lambda: one.maybe_raw("target"), _FORGE)
    return named(reading(lambda: one.maybe_raw("name"), _FORGE), sha, commit, _FORGE)
