"""What an API shows at a path of a commit, where it shows it as JSON: a file with its content, or something else.

GitHub, GitLab, Gitea and Forgejo send a file's content as base64 in `content`. GitHub and the last two answer alike to
`contents/{path}?ref=`, also for submodules (`type` "submodule", `sha` the commit it is at: GitHub's OpenAPI document,
Gitea's services/repository/files/content.go).
"""

from __future__ import annotations

import binascii
from base64 import b64decode

from buildbot.forges.conversation import Conversation, reading, sha_in
from buildbot.forges.fields import Fields
from buildbot.ports import Refused, Unanswered


def file_content(shown: Fields, forge: str) -> bytes:
    """A file's content. Raises Refused where it is too large for the API to send it along, Unanswered for nonsense."""
    encoding = reading(lambda: shown.maybe_raw("encoding"), forge)
    content = reading(lambda: shown.maybe_raw("content"), forge)
    if encoding != "base64" or content is None:
        raise Refused(f"{forge} does not send what a file holds along: it is too large")
    try:
        return b64decode(content)
    except (binascii.Error, ValueError) as error:
        raise Unanswered(f"{forge}'s answer makes no sense: content is not base64") from error


def file_in(shown: Fields | None, forge: str) -> bytes | None:
    """The content of what `contents` shows, None where it is no file."""
    return file_content(shown, forge) if shown is not None and _is_a(shown, "file", forge) else None


def gitlink_in(shown: Fields | None, forge: str) -> str | None:
    """The commit of the submodule that `contents` shows, None where it is none."""
    return sha_in(shown, "sha", forge) if shown is not None and _is_a(shown, "submodule", forge) else None


async def shown_at(talk: Conversation, full_name: str, place: str, commit: str, doing: str) -> Fields | None:
    """What `contents` shows at the address `place`; None for a directory and where nothing is.

    The same 404 says that the path, the commit or the repository is not there; only that of `commit`, the address of
    the commit, tells them apart. Raises Vanished where that is missing.
    """
    answer = await talk.look(full_name, place, doing)
    if answer.status == 200:
        return answer.fields if isinstance(answer.document, dict) else None
    await talk.read(full_name, commit, doing)
    return None


def _is_a(shown: Fields, kind: str, forge: str) -> bool:
    return reading(lambda: shown.name("type"), forge) == kind
