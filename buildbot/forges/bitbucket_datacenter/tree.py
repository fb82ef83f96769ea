"""What a commit's tree has at a path, asked of Bitbucket Data Center: a file's lines, the commit of a submodule.

`browse` shows a file line by line, and a directory as its `children`, among them submodules (type "SUBMODULE"). That
the `contentId` of one is the commit it is at is how git lists trees; it is not documented. Should it be anything else,
it is no commit of the submodule's repository, and asking for that fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from buildbot.forges.bitbucket_datacenter.dialect import DATA_CENTER
from buildbot.forges.bitbucket_datacenter.names import repository_path
from buildbot.forges.bitbucket_datacenter.refusals import NO_PATH, is_called
from buildbot.forges.conversation import Conversation, reading, sha_in
from buildbot.forges.fields import Fields, shown, storable
from buildbot.forges.names import quoted
from buildbot.ports import Refused

PER_PAGE = 1000
PAGES = 20
_FORGE = DATA_CENTER.forge


async def read_file(talk: Conversation, full_name: str, sha: str, path: str) -> bytes | None:
    """As `ports.Forge.read_file`, of a text file; its lines come without what ended them, and end in a newline here."""
    text, is_file = "", False
    async for page in _pages(talk, full_name, sha, path):
        lines = reading(partial(page.maybe_each, "lines"), _FORGE)
        if lines is None:
            return None
        is_file, text = True, text + "".join(f"{_text(line)}\n" for line in lines)
    return text.encode() if is_file else None


async def gitlink(talk: Conversation, full_name: str, sha: str, path: str) -> str | None:
    """As `ports.Forge.gitlink`. Raises Refused where the directory has more than 20 000 entries before it."""
    folder, _, name = path.rpartition("/")
    async for page in _pages(talk, full_name, sha, folder):
        for child in reading(partial(_children, page), _FORGE):
            if reading(partial(_name, child), _FORGE) == name:
                is_submodule = reading(partial(child.maybe_raw, "type"), _FORGE) == "SUBMODULE"
                return sha_in(child, "contentId", _FORGE) if is_submodule else None
    return None


async def _pages(talk: Conversation, full_name: str, sha: str, path: str) -> AsyncIterator[Fields]:
    doing = f"to show {shown(path)} in {sha} of {full_name}"
    start: int | None = 0
    for _ in range(PAGES):
        query = f"at={quoted(sha)}&limit={PER_PAGE}&start={start}"
        place = f"{repository_path(full_name)}/browse/{quoted(path)}".rstrip("/")
        answer = await talk.look(full_name, f"{place}?{query}", doing)
        if answer.status == 404:
            if is_called(answer, NO_PATH):
                return
            raise talk.failure(answer, doing)
        yield answer.fields
        if (start := reading(partial(_next_start, answer.fields), _FORGE)) is None:
            return
    raise Refused(f"{shown(path)} in {full_name} has more lines or entries than the bot looks through")


def _children(page: Fields) -> list[Fields]:
    children = page.maybe_within("children")
    return [] if children is None else children.maybe_each("values") or []


def _name(child: Fields) -> str | None:
    path = child.maybe_within("path")
    return None if path is None else path.maybe_raw("toString")


def _text(line: Fields) -> str:
    return storable(reading(partial(line.maybe_raw, "text"), _FORGE) or "")


def _next_start(page: Fields) -> int | None:
    listed = page.maybe_within("children") or page
    return None if listed.maybe_flag("isLastPage") is not False else listed.maybe_number("nextPageStart")
