"""Bitbucket Cloud's branches and tags: two lists of pages, each naming the next; tags of the newest commits first.

A tag's `target` is the commit also of an annotated one, as it is in payloads. Nothing stands for a list when it is
asked for again.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from buildbot.domain.push import RefKind
from buildbot.forges.bitbucket.dialect import BITBUCKET
from buildbot.forges.bitbucket.names import repository_path
from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.fields import Fields
from buildbot.forges.names import quoted
from buildbot.forges.refs import every_page, known, message, named
from buildbot.ports import ListedRef, RefList

_FORGE = BITBUCKET.forge
_PARTS = {RefKind.BRANCH: "branches", RefKind.TAG: "tags"}


async def list_refs(talk: Conversation, full_name: str, kind: RefKind, etag: str | None) -> RefList:  # noqa: ARG001
    """All refs of a kind."""
    path = f"{repository_path(full_name)}/refs/{_PARTS[kind]}"
    doing = f"to list the {kind} names of {full_name}"

    async def page(query: str) -> tuple[list[ListedRef], str | None]:
        found = (await talk.read(full_name, f"{path}?{query}", doing)).fields
        listed = reading(lambda: found.maybe_each("values"), _FORGE) or []
        following = urlsplit(reading(lambda: found.maybe_name("next"), _FORGE) or "").query
        return known(_ref(one) for one in listed), following or None

    return await every_page(page, "pagelen=100&sort=-target.date")


async def commit_message(talk: Conversation, full_name: str, sha: str) -> str:
    """A commit's message."""
    path = f"{repository_path(full_name)}/commit/{quoted(sha)}"
    found = (await talk.read(full_name, path, f"to show commit {sha} of {full_name}")).fields
    return message(found, _FORGE)


def _ref(one: Fields) -> ListedRef | None:
    target = reading(lambda: one.maybe_within("target"), _FORGE)
    sha = None if target is None else reading(lambda: target.maybe_raw("hash"), _FORGE)
    return named(reading(lambda: one.maybe_raw("name"), _FORGE), sha, sha, _FORGE)
