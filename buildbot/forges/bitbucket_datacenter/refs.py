"""Bitbucket Data Center's branches and tags: two lists of pages, those that changed last first.

A tag's `hash` is its object, null of a lightweight one; a push tells the object. Nothing stands for a list when it is
asked for again.
"""

from __future__ import annotations

from buildbot.domain.push import RefKind
from buildbot.forges.bitbucket_datacenter.dialect import DATA_CENTER
from buildbot.forges.bitbucket_datacenter.names import repository_path
from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.fields import Fields
from buildbot.forges.names import quoted
from buildbot.forges.refs import PREFIXES, every_page, known, message, named
from buildbot.ports import ListedRef, RefList

PER_PAGE = 100
_FORGE = DATA_CENTER.forge
_PARTS = {RefKind.BRANCH: "branches", RefKind.TAG: "tags"}


async def list_refs(talk: Conversation, full_name: str, kind: RefKind, etag: str | None) -> RefList:  # noqa: ARG001
    """All refs of a kind."""
    path = f"{repository_path(full_name)}/{_PARTS[kind]}?orderBy=MODIFICATION&limit={PER_PAGE}&start="
    doing = f"to list the {kind} names of {full_name}"

    async def page(start: str) -> tuple[list[ListedRef], str | None]:
        found = (await talk.read(full_name, path + start, doing)).fields
        listed = reading(lambda: found.maybe_each("values"), _FORGE) or []
        is_last = reading(lambda: found.maybe_flag("isLastPage"), _FORGE) is not False
        following = None if is_last else reading(lambda: found.maybe_number("nextPageStart"), _FORGE)
        return known(_ref(one, kind) for one in listed), None if following is None else str(following)

    return await every_page(page, "0")


async def commit_message(talk: Conversation, full_name: str, sha: str) -> str:
    """A commit's message."""
    path = f"{repository_path(full_name)}/commits/{quoted(sha)}"
    found = (await talk.read(full_name, path, f"to show commit {sha} of {full_name}")).fields
    return message(found, _FORGE)


def _ref(one: Fields, kind: RefKind) -> ListedRef | None:
    whole = reading(lambda: one.maybe_raw("id"), _FORGE) or ""
    commit = reading(lambda: one.maybe_raw("latestCommit"), _FORGE)
    sha = reading(lambda: one.maybe_raw("hash"), _FORGE) or commit
    return named(whole.removeprefix(PREFIXES[kind]), sha, commit, _FORGE) if whole.startswith(PREFIXES[kind]) else None
