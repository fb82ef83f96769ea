"""What a commit's tree has at a path, asked of Gitea or Forgejo: a file with its content, the commit of a submodule."""

from __future__ import annotations

from functools import partial

from buildbot.forges.contents import file_in, gitlink_in, shown_at
from buildbot.forges.conversation import Conversation, reading
from buildbot.forges.fields import Fields, shown
from buildbot.forges.gitea.dialect import GITEA
from buildbot.forges.gitea.names import repository_path
from buildbot.forges.names import quoted

BRIEFLY = "stat=false&verification=false&files=false"


async def read_file(talk: Conversation, full_name: str, sha: str, path: str) -> bytes | None:
    """As `ports.Forge.read_file`; a symbolic link is none."""
    return file_in(await _at(talk, full_name, sha, path), GITEA.forge)


async def gitlink(talk: Conversation, full_name: str, sha: str, path: str) -> str | None:
    """As `ports.Forge.gitlink`."""
    return gitlink_in(await _at(talk, full_name, sha, path), GITEA.forge)


async def root_names(talk: Conversation, full_name: str, sha: str) -> frozenset[str]:
    """The names at the root of the tree. `Vanished`: the commit is not there."""
    place = f"{repository_path(full_name)}/contents?ref={quoted(sha)}"
    answer = await talk.read_list(full_name, place, f"to list what is in {sha} of {full_name}")
    return frozenset(reading(partial(entry.maybe_raw, "name"), GITEA.forge) or "" for entry in answer.members)


async def _at(talk: Conversation, full_name: str, sha: str, path: str) -> Fields | None:
    place = repository_path(full_name)
    return await shown_at(
        talk,
        full_name,
        f"{place}/contents/{quoted(path)}?ref={quoted(sha)}",
        f"{place}/git/commits/{quoted(sha)}?{BRIEFLY}",
        f"to show {shown(path)} in {sha} of {full_name}",
    )
