"""Gitea's and Forgejo's branches and tags: two lists of pages, of at most fifty unless the server allows more.

A tag's `id` is its object, as `after` of its push is. How many a page holds is the server's affair, whose limit may be
lower, so an empty page is the end, or what `X-Total-Count` says. Nothing stands for a list when it is asked for again.
"""

from __future__ import annotations

from buildbot.domain.push import RefKind
from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.fields import Fields
from buildbot.forges.gitea.dialect import GITEA
from buildbot.forges.gitea.names import repository_path
from buildbot.forges.names import quoted
from buildbot.forges.refs import every_page, known, message, named
from buildbot.ports import ListedRef, RefList

PER_PAGE = 50
_FORGE = GITEA.forge
_PARTS = {RefKind.BRANCH: "branches", RefKind.TAG: "tags"}


async def list_refs(talk: Conversation, full_name: str, kind: RefKind, etag: str | None) -> RefList:  # noqa: ARG001
    """All refs of a kind."""
    path = f"{repository_path(full_name)}/{_PARTS[kind]}?limit={PER_PAGE}&page="
    doing = f"to list the {kind}s of {full_name}"

    async def page(place: str) -> tuple[list[ListedRef], str | None]:
        number, _, before = place.partition(" ")
        answer = await talk.read_list(full_name, path + number, doing)
        total, so_far = answer.headers.get("x-total-count", ""), int(before) + len(answer.members)
        is_last = not answer.members or (total.isdecimal() and int(total) <= so_far)
        return known(_ref(one, kind) for one in answer.members), None if is_last else f"{int(number) + 1} {so_far}"

    return await every_page(page, "1 0")


async def commit_message(talk: Conversation, full_name: str, sha: str) -> str:
    """A commit's message."""
    path = f"{repository_path(full_name)}/git/commits/{quoted(sha)}?stat=false&verification=false&files=false"
    found = (await talk.read(full_name, path, f"to show commit {sha} of {full_name}")).fields
    return message(reading(lambda: found.within("commit"), _FORGE), _FORGE)


def _ref(one: Fields, kind: RefKind) -> ListedRef | None:
    commit = reading(lambda: one.within("commit").maybe_raw("id" if kind is RefKind.BRANCH else "sha"), _FORGE)
    sha = commit if kind is RefKind.BRANCH else reading(lambda: one.maybe_raw("id"), _FORGE)
    return named(reading(lambda: one.maybe_raw("name"), _FORGE), sha, commit, _FORGE)
