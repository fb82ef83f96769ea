"""What a commit's tree has at a path, asked of GitLab: a file with its content, the commit of a submodule.

A file is shown by its path; a submodule only in the list of the directory that it is in, page by page, as an entry of
the type "commit" whose id is the commit it is at (GitLab's repository API).
"""

from __future__ import annotations

import posixpath

from buildbot.forges.contents import file_content
from buildbot.forges.conversation import Conversation, reading, sha_in
from buildbot.forges.fields import Fields, shown
from buildbot.forges.gitlab.dialect import GITLAB
from buildbot.forges.gitlab.names import project_path
from buildbot.forges.gitlab.refusals import NO_FILE, words_of
from buildbot.forges.names import quoted_whole
from buildbot.ports import Refused

ENTRIES_PER_PAGE = 100
PAGES = 100
_FORGE = GITLAB.forge


async def read_file(talk: Conversation, full_name: str, sha: str, path: str) -> bytes | None:
    """As `ports.Forge.read_file`."""
    place = f"{project_path(full_name)}/repository/files/{quoted_whole(path)}?ref={quoted_whole(sha)}"
    doing = f"to show {shown(path)} in {sha} of {full_name}"
    answer = await talk.look(full_name, place, doing)
    if answer.status == 200:
        return file_content(answer.fields, _FORGE)
    if NO_FILE in words_of(answer):
        return None
    raise talk.failure(answer, doing)


async def gitlink(talk: Conversation, full_name: str, sha: str, path: str) -> str | None:
    """As `ports.Forge.gitlink`. Raises Refused where the directory has more than 10 000 entries before it."""
    folder, doing = posixpath.dirname(path), f"to list the directory of {shown(path)} in {sha} of {full_name}"
    query = f"ref={quoted_whole(sha)}&path={quoted_whole(folder)}&per_page={ENTRIES_PER_PAGE}"
    for page in range(1, PAGES + 1):
        answer = await talk.look(full_name, f"{project_path(full_name)}/repository/tree?{query}&page={page}", doing)
        if answer.status == 404:  # of the commit, the directory or the project: only the commit's own tells
            await talk.read(full_name, f"{project_path(full_name)}/repository/commits/{quoted_whole(sha)}", doing)
            return None
        entries = answer.members
        if (entry := _entry(entries, path)) is not None:
            return sha_in(entry, "id", _FORGE) if reading(lambda: entry.name("type"), _FORGE) == "commit" else None
        if len(entries) < ENTRIES_PER_PAGE:
            return None
    raise Refused(f"the directory of {shown(path)} in {full_name} has more entries than the bot looks through")


def _entry(entries: list[Fields], path: str) -> Fields | None:
    return reading(lambda: next((one for one in entries if one.maybe_raw("path") == path), None), _FORGE)
