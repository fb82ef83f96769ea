"""What a commit's tree has at a path, asked of Bitbucket Cloud: a file with its content, but no submodule's commit.

The API marks a submodule as one (`attributes`: "subrepository") and does not tell the commit it is at: what it shows as
`commit` is the one that was asked about (Bitbucket's OpenAPI document). To guess it from the history would be to build
what nobody asked for, so it is refused.
"""

from __future__ import annotations

from buildbot.forges.bitbucket.names import repository_path
from buildbot.forges.conversation import Conversation
from buildbot.forges.fields import shown
from buildbot.forges.names import quoted
from buildbot.ports import Refused

_SUBMODULE = "subrepository"


async def read_file(talk: Conversation, full_name: str, sha: str, path: str) -> bytes | None:
    """As `ports.Forge.read_file`."""
    answer = await talk.fetch(full_name, _place(full_name, sha, path), f"to show {shown(path)} in {sha} of {full_name}")
    if answer.status == 200:
        return answer.content
    await _check_commit(talk, full_name, sha)
    return None


async def gitlink(talk: Conversation, full_name: str, sha: str, path: str) -> str | None:
    """None where there is no submodule. Raises Refused where there is one."""
    doing = f"to show {shown(path)} in {sha} of {full_name}"
    answer = await talk.look(full_name, f"{_place(full_name, sha, path)}?format=meta", doing)
    if answer.status == 200:
        if not _is_submodule(answer.document):
            return None
        raise Refused(f"Bitbucket Cloud does not tell which commit the submodule {shown(path)} of {full_name} is at")
    await _check_commit(talk, full_name, sha)
    return None


def _place(full_name: str, sha: str, path: str) -> str:
    return f"{repository_path(full_name)}/src/{quoted(sha)}/{quoted(path)}"


def _is_submodule(meta: object) -> bool:
    attributes = meta.get("attributes") if isinstance(meta, dict) else None  # a list; documented as one of its words
    return isinstance(attributes, list | str) and _SUBMODULE in attributes


async def _check_commit(talk: Conversation, full_name: str, sha: str) -> None:
    # The same 404 says that the file, the commit or the repository is not there: only the commit's own tells.
    place = f"{repository_path(full_name)}/commit/{quoted(sha)}"
    await talk.read(full_name, place, f"to show commit {sha} of {full_name}")
