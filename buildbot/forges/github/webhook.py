"""GitHub's deliveries, read: which signature counts, what a body holds, what a push means. Pure.

Only `X-Hub-Signature-256` counts. GitHub sends the SHA-1 `X-Hub-Signature` beside it for old receivers; to take
either would let whoever can forge SHA-1 choose. The event is what the header says, never what the body looks like
(Enterprise's `cache_sync` has `ref`, `before` and `after` and is no push), and the signature covers a form's bytes as
sent.

What the bot cannot do without (the ref, both ends of the move, the repository's id, name and privacy) is required and
checked for shape. What only enriches is optional, as it is in old Enterprise versions; where it is present it must
have the right type, because a payload that is wrong in one field is not to be trusted in another.

The commit of a push is `head_commit.id`: an annotated tag's `after` is the tag object, not a commit. Where
`head_commit` is null, a branch's `after` is its commit, and a tag's commit is unknown until the forge is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from buildbot.domain.push import Archive, Ignored, PushEvent, RefKind, Source, kind_of
from buildbot.forges.bodies import decoded, header_word
from buildbot.forges.fields import Fields, shown
from buildbot.forges.github.changed_paths import proven_paths
from buildbot.forges.github.names import is_full_name
from buildbot.forges.names import quoted
from buildbot.forges.push_fields import BUILT_REFS, end_of_move, object_id, ref_in, repository_number, web_address
from buildbot.forges.signatures import HmacSha256Verifier, digest_from_hub_signature
from buildbot.ports import BadSignature, Verifier

LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, where datetime ends


class GitHubWebhook:
    """A `ports.Webhook` for github.com and Enterprise Server.

    `forge` is the forge's key in the configuration, by which a `Source` names it; `url` is where people and builders
    find repositories ("https://github.com").
    """

    def __init__(self, *, forge: str, url: str) -> None:
        self._forge = forge
        self._url = url.rstrip("/")

    def verifier(self, headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
        """A running check of `X-Hub-Signature-256`. Raises BadSignature saying what to do when it cannot pass."""
        signature = headers.get("x-hub-signature-256", b"")
        if not signature:
            raise BadSignature(_why_unsigned(headers))
        digest = digest_from_hub_signature(signature)
        if digest is None:
            raise BadSignature("X-Hub-Signature-256 is not `sha256=` and 64 hexadecimal digits")
        return HmacSha256Verifier(secrets, digest)

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(`X-GitHub-Delivery`, `X-GitHub-Event`). The first is one per event: every hook and redelivery shares it."""
        return header_word(headers, "X-GitHub-Delivery"), header_word(headers, "X-GitHub-Event")

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload: JSON, or the `payload` field of a form, in UTF-8 and nested no deeper than 64.

        Text in it is as sent: it may hold NULs and lone surrogates, which `json.dumps` writes as ASCII escapes.
        """
        return decoded(headers, body, "GitHub")

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """One PushEvent for a push to a branch or tag, deletions included; everything else is Ignored."""
        if event == "ping":
            return Ignored(_pong(Fields(payload)))
        if event != "push":
            return Ignored(f"the event {shown(event)} asks for no build; only pushes do")
        ref = ref_in(Fields(payload))
        if not ref.startswith(BUILT_REFS):
            return Ignored(f"{shown(ref)} is neither a branch nor a tag")
        return (self._push(Fields(payload), ref),)

    def archive(self, source: Source, commit: str) -> Archive:  # noqa: ARG002  # the same for every commit
        """Where a builder would fetch a repository's source, as every delivery of it says."""
        return archive_at(self._url, source)

    def _push(self, push: Fields, ref: str) -> PushEvent:
        repository, head = push.within("repository"), push.maybe_within("head_commit")
        source = self._source(repository)
        before, after = end_of_move(push, "before"), end_of_move(push, "after")
        return PushEvent(
            source=source,
            ref=ref,
            before=before,
            after=after,
            commit=_commit(ref, after, head),
            archive=archive_at(self._url, source),
            pushed_at=_pushed_at(repository),
            forced=push.maybe_flag("forced"),
            changed_paths=_changed_paths(push, ref, before, after),
            message=None if head is None else head.maybe_text("message"),
            pusher=_pusher(push),
            compare_url=web_address(push, "compare"),
        )

    def _source(self, repository: Fields) -> Source:
        number, full_name = repository_number(repository), repository.name("full_name")
        if not is_full_name(full_name):
            raise repository.mistake("full_name", "is not owner/name")
        return Source(
            forge=self._forge,
            repository_id=number,
            full_name=full_name,
            private=repository.flag("private"),
            default_branch=repository.maybe_name("default_branch"),
            html_url=web_address(repository, "html_url"),
        )


def archive_at(url: str, source: Source) -> Archive:
    """A repository's archive at the site `url`."""
    address = f"{url.rstrip('/')}/{quoted(source.full_name)}/archive/{{sha}}.tar.gz"
    return Archive(url=address, root=f"/{source.name}-{{sha}}")


def _why_unsigned(headers: Mapping[str, bytes]) -> str:
    if headers.get("x-hub-signature"):
        return "signed with SHA-1 only (X-Hub-Signature); X-Hub-Signature-256 is needed: see that no proxy drops it"
    return (
        "not signed: X-Hub-Signature-256 is missing; give the webhook's settings a secret,"
        " the same as one of the forge's `webhook_secrets`"
    )


def _pong(ping: Fields) -> str:
    about = [
        None if one is None else one.maybe_text(key)
        for one, key in (
            (ping.maybe_within("repository"), "full_name"),
            (ping.maybe_within("organization"), "login"),
            (ping.maybe_within("hook"), "type"),
        )
    ]
    subject = next((shown(name) for name in about if name), "GitHub")
    return f"ping: the webhook of {subject} works; waiting for pushes"


def _commit(ref: str, after: str | None, head: Fields | None) -> str | None:
    if after is None:
        return None
    if head is not None:
        return object_id(head, "id")
    return after if kind_of(ref) is RefKind.BRANCH else None


def _changed_paths(push: Fields, ref: str, before: str | None, after: str | None) -> tuple[str, ...] | None:
    if before is None or after is None or kind_of(ref) is RefKind.TAG:
        return None
    return proven_paths(push, after)


def _pushed_at(repository: Fields) -> datetime | None:
    seconds = repository.maybe_number("pushed_at")
    if seconds is None:
        return None
    if not 0 <= seconds <= LAST_SECOND:
        raise repository.mistake("pushed_at", "is not a time in Unix seconds")
    return datetime.fromtimestamp(seconds, UTC)


def _pusher(push: Fields) -> str | None:
    pusher, sender = push.maybe_within("pusher"), push.maybe_within("sender")
    name = None if pusher is None else pusher.maybe_text("name")
    login = None if sender is None else sender.maybe_text("login")
    return name or login
