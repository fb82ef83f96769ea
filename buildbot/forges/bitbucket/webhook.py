"""Bitbucket Cloud's deliveries, read: which signature counts, what a body holds, what a push means. Pure.

One delivery tells of all refs that one push moved, so it may be several PushEvents; it may also be none. Each change
has an `old` and a `new` end, null where the ref did not or does not exist. What is no branch or tag (`named_branch` and
`bookmark`, from the time of Mercurial) is left out.

`new.target.hash` is the commit, of annotated tags too; the tag's object is not in the payload, so `before` and `after`
are commits on this forge. Three things Bitbucket does not tell:

- *What a push changed.* There are no lists of files: `changed_paths` is always None, and the API is asked instead.
- *When it happened.* All times in it are the commits'.
- *The default branch.* `Source.default_branch` is None, which means "unknown": an image tag template that needs it
  (`{default_branch?latest}`) is left out of a build for which nobody has asked the API.

The archive's top directory has twelve digits of the commit in its name, which a template of `{sha}` cannot say; the
commit is known here, so it is written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from buildbot.domain.push import Archive, Ignored, PushEvent, Source
from buildbot.forges.bitbucket.deliveries import PREFIXES, event_of, signature_check, told_by
from buildbot.forges.bitbucket.names import is_full_name
from buildbot.forges.bodies import decoded_json, header_word
from buildbot.forges.fields import Fields, shown
from buildbot.forges.names import quoted
from buildbot.forges.push_fields import object_id, short_ref_in, web_address
from buildbot.ports import Verifier

ARCHIVE_SHA_DIGITS = 12
_UUID = re.compile(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}")


class BitbucketWebhook:
    """A `ports.Webhook` for bitbucket.org.

    `forge` is the forge's key in the configuration, by which a `Source` names it; `url` is where people and builders
    find repositories ("https://bitbucket.org").
    """

    def __init__(self, *, forge: str, url: str) -> None:
        self._forge = forge
        self._url = url.rstrip("/")

    def verifier(self, headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
        """A running check of `X-Hub-Signature`. Raises BadSignature saying what to do when it cannot pass."""
        return signature_check(headers, secrets)

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(`X-Request-UUID`, `X-Event-Key`). The first is believed to be kept when a delivery is tried again."""
        return header_word(headers, "X-Request-UUID"), event_of(headers)

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload, which Bitbucket sends as JSON only."""
        return decoded_json(headers, body, "Bitbucket")

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """A PushEvent for each branch and tag that was moved, deletions included; everything else is Ignored."""
        if event != "repo:push":
            return Ignored(f"the event {shown(event)} asks for no build; only pushes do")
        delivery = Fields(payload)
        changes = delivery.within("push").maybe_each("changes") or []
        source, pusher = self._source(delivery.within("repository")), _pusher(delivery.maybe_within("actor"))
        return told_by(self._push(change, source, pusher) for change in changes)

    def archive(self, source: Source, commit: str) -> Archive:
        """Where a builder would fetch a repository's source, as every delivery of it says."""
        return archive_at(self._url, source, commit)

    def _push(self, change: Fields, source: Source, pusher: str | None) -> PushEvent | None:
        old, new = change.maybe_within("old"), change.maybe_within("new")
        ref = _ref(change, new or old)
        if ref is None:
            return None
        before, commit = _commit(old), _commit(new)
        return PushEvent(
            source=source,
            ref=ref,
            before=before,
            after=commit,
            commit=commit,
            archive=archive_at(self._url, source, commit),
            forced=change.maybe_flag("forced"),
            message=None if new is None else new.within("target").maybe_text("message"),
            pusher=pusher,
            compare_url=_page(change),
        )

    def _source(self, repository: Fields) -> Source:
        uuid, full_name = repository.name("uuid"), repository.name("full_name")
        if not _UUID.fullmatch(uuid):
            raise repository.mistake("uuid", "is not a UUID in braces")
        if not is_full_name(full_name):
            raise repository.mistake("full_name", "is not workspace/name")
        return Source(
            forge=self._forge,
            repository_id=uuid,
            full_name=full_name,
            private=repository.flag("is_private"),
            html_url=_page(repository),
        )


def archive_at(url: str, source: Source, commit: str | None) -> Archive:
    """A commit's archive at the site `url`: the zip.

    A tar.gz is sent as application/x-tar-gz, which Quay's builder does not take.
    """
    address = f"{url.rstrip('/')}/{quoted(source.full_name)}/get/{{sha}}.zip"
    return Archive(url=address, root=f"/{top_directory(source.full_name, commit)}" if commit else "")


def top_directory(full_name: str, sha: str) -> str:
    """The single directory at the top of an archive of the commit."""
    return f"{full_name.replace('/', '-')}-{sha[:ARCHIVE_SHA_DIGITS]}"


def _ref(change: Fields, end: Fields | None) -> str | None:
    if end is None:
        raise change.mistake("new", "and `old` are both null")
    prefix = PREFIXES.get(end.name("type"))
    return None if prefix is None else short_ref_in(end, "name", prefix)


def _commit(end: Fields | None) -> str | None:
    return None if end is None else object_id(end.within("target"), "hash")


def _page(fields: Fields) -> str | None:
    links = fields.maybe_within("links")
    html = None if links is None else links.maybe_within("html")
    return None if html is None else web_address(html, "href")


def _pusher(actor: Fields | None) -> str | None:
    if actor is None:
        return None
    names = [actor.maybe_text(key) for key in ("nickname", "username", "display_name")]
    return next((name for name in names if name), None)
