"""GitHub's branches and tags, by the endpoint that tells of both what a push would: `git/matching-refs`.

The lists of branches and tags that the site shows tell an annotated tag's commit and not its object, page by page.
This one tells the object, and it answers a conditional request with 304, which costs nothing of the rate limit: a
repository in which nothing happened is free. It is documented without pages; where a server does page it, the pages are
followed, and then nothing stands for all of them.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from buildbot.domain.push import RefKind
from buildbot.forges.conversation import Conversation, reading, sha_in
from buildbot.forges.exchange import Answer
from buildbot.forges.fields import Fields
from buildbot.forges.github.dialect import GITHUB
from buildbot.forges.github.names import repository_path
from buildbot.forges.github.refusals import EMPTY
from buildbot.forges.names import quoted
from buildbot.forges.refs import MOST_PAGES, PREFIXES, known, message, named
from buildbot.ports import ListedRef, RefList, Vanished

_FORGE = GITHUB.forge
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
_PARTS = {RefKind.BRANCH: "heads", RefKind.TAG: "tags"}


async def list_refs(talk: Conversation, full_name: str, kind: RefKind, etag: str | None) -> RefList | None:
    """All refs of a kind, None where they are still those that `etag` stands for."""
    path = f"{repository_path(full_name)}/git/matching-refs/{_PARTS[kind]}"
    doing = f"to list the {kind}s of {full_name}"
    try:
        first = await talk.list_unless(full_name, f"{path}?per_page=100", doing, etag)
    except Vanished as gone:
        if EMPTY in str(gone):
            return RefList(())
        raise
    if first is None:
        return None
    refs, following = _refs(first, kind), next_query(first)
    if following is None:
        return RefList(tuple(refs), first.headers.get("etag"))
    for _ in range(MOST_PAGES):
        page = await talk.read_list(full_name, f"{path}?{following}", doing)
        refs, following = refs + _refs(page, kind), next_query(page)
        if following is None:
            break
    return RefList(tuple(refs), is_whole=following is None)


async def commit_message(talk: Conversation, full_name: str, sha: str) -> str:
    """A commit's message."""
    path = f"{repository_path(full_name)}/git/commits/{quoted(sha)}"
    found = (await talk.read(full_name, path, f"to show commit {sha} of {full_name}")).fields
    return message(found, _FORGE)


def next_query(answer: Answer) -> str | None:
    """The query of the next page that an answer's `Link` leads to. Of the address only that is taken."""
    found = _NEXT.search(answer.headers.get("link", ""))
    return (urlsplit(found[1]).query or None) if found else None


def _refs(answer: Answer, kind: RefKind) -> list[ListedRef]:
    return known(_ref(one, kind) for one in answer.members)


def _ref(one: Fields, kind: RefKind) -> ListedRef | None:
    ref = reading(lambda: one.maybe_raw("ref"), _FORGE) or ""
    points_to = reading(lambda: one.within("object"), _FORGE)
    sha, is_commit = sha_in(points_to, "sha", _FORGE), points_to.maybe_raw("type") == "commit"
    if not ref.startswith(PREFIXES[kind]):
        return None
    return named(ref.removeprefix(PREFIXES[kind]), sha, sha if is_commit else None, _FORGE)
