"""Lists of branches and tags as every forge tells them: page by page, bounded, each with what its push would tell.

A name that git would not allow is left out of a list instead of spoiling it: what a rule cannot name nobody builds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from buildbot.domain.push import RefKind
from buildbot.forges.conversation import reading
from buildbot.forges.fields import Fields, shown
from buildbot.forges.names import is_sha
from buildbot.ports import ListedRef, RefList, Unanswered

MOST_PAGES = 20
PREFIXES = {RefKind.BRANCH: "refs/heads/", RefKind.TAG: "refs/tags/"}
NextPage = str | None


async def every_page(read: Callable[[str], Awaitable[tuple[list[ListedRef], NextPage]]], first: str) -> RefList:
    """All refs of a list that is read page by page: `read` answers a page's refs and what the next one is asked by."""
    found: list[ListedRef] = []
    following: NextPage = first
    for _ in range(MOST_PAGES):
        if following is None:
            break
        refs, following = await read(following)
        found.extend(refs)
    return RefList(tuple(found), is_whole=following is None)


def named(name: str | None, sha: str | None, commit: str | None, forge: str) -> ListedRef | None:
    """A ref of a list; None for one whose name cannot be read. Raises Unanswered where its object is no object."""
    if not name:
        return None
    for one in (sha, commit):
        if one is not None and not is_sha(one):
            raise Unanswered(f"{forge}'s answer makes no sense: {shown(name)} points to {shown(one)}")
    return ListedRef(name, sha, commit) if sha is not None else None


def known(refs: Iterable[ListedRef | None]) -> list[ListedRef]:
    """Those that could be read."""
    return [ref for ref in refs if ref is not None]


def moment(told: Fields, key: str, forge: str) -> datetime:
    """A time in ISO 8601. Raises Unanswered for anything else."""
    text = reading(lambda: told.name(key), forge)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unanswered(f"{forge}'s answer makes no sense: {key} is {shown(text)}") from None


def message(told: Fields, forge: str) -> str:
    """A commit's message, "" where there is none. Raises Unanswered."""
    return reading(lambda: told.maybe_text("message"), forge) or ""
