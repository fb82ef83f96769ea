"""Gitea's and Forgejo's deliveries, read: which signature counts, what a body holds, what a push means. Pure.

Both send the headers of several families side by side, down to GitHub's; only `X-Forgejo-*` and `X-Gitea-*` count here.
A hook without a secret has the signature headers all the same, empty: that is unsigned. A form is signed over the JSON
in it, see `form_signature`.

Forgejo is known by its own headers, and that matters for one thing: the archives of its API come with a content type
that Quay's builder knows, while Gitea's come as `application/octet-stream`, which it takes for a Dockerfile. `read`
sees no headers, so `decode` writes the family into what it decodes. A payload of an old version has the hook's secret
in clear at its top; `decode` drops it, so that nothing can keep or log it.

Deleting a branch sends no push, only `delete`, without the commit that was there: it becomes a deletion whose `before`
is unknown. A deleted tag sends both, so that `delete` is ignored. The ref in it is short where the hook is of Gitea's
kind and whole in Forgejo's; a branch that is really called `refs/heads/…` is misread in the first.

There is no time of the push and no flag of force in a payload, so `pushed_at` and `forced` are unknown; for what that
means to `changed_paths` see there. Versions of long ago lack `head_commit`, `total_commits`, `default_branch` and the
lists of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from buildbot.domain.push import Archive, Ignored, PushEvent, RefKind, Source, kind_of
from buildbot.forges.bodies import FORM, decoded, header_word, media_type
from buildbot.forges.fields import Fields, shown
from buildbot.forges.gitea.changed_paths import listed_paths
from buildbot.forges.gitea.form_signature import FormPayloadVerifier
from buildbot.forges.gitea.names import is_full_name
from buildbot.forges.names import quoted
from buildbot.forges.push_fields import BUILT_REFS, end_of_move, object_id, ref_in, repository_number, web_address
from buildbot.forges.signatures import HmacSha256Verifier, digest_from_hex
from buildbot.ports import BadSignature, Verifier

FAMILY_KEY = "quay-buildbot.family"
_BRANCH = "refs/heads/"


class Family(StrEnum):
    """Whose headers a delivery has; in the order in which they count, since Forgejo sends Gitea's as well."""

    FORGEJO = "Forgejo"
    GITEA = "Gitea"


class GiteaWebhook:
    """A `ports.Webhook` for Gitea and Forgejo.

    `forge` is the forge's key in the configuration, by which a `Source` names it; `url` is where people and builders
    find repositories ("https://codeberg.org").
    """

    def __init__(self, *, forge: str, url: str, is_forgejo: bool = False) -> None:
        self._forge = forge
        self._url = url.rstrip("/")
        self._is_forgejo = is_forgejo

    def verifier(self, headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
        """A running check of `X-Forgejo-Signature` or `X-Gitea-Signature`. Raises BadSignature when it cannot pass."""
        name = _first_present(headers, "Signature")
        if name is None:
            raise BadSignature(_why_unsigned(headers))
        digest = digest_from_hex(headers[name.lower()])
        if digest is None:
            raise BadSignature(f"{name} is not 64 hexadecimal digits")
        verifier = HmacSha256Verifier(secrets, digest)
        return FormPayloadVerifier(verifier) if media_type(headers) == FORM else verifier

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(delivery id, event) of either family. A replay from the forge's page gets a new id."""
        delivery = _first_present(headers, "Delivery") or _header(Family.GITEA, "Delivery")
        event = _first_present(headers, "Event") or _header(Family.GITEA, "Event")
        return header_word(headers, delivery), header_word(headers, event)

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload without a hook's secret: JSON, or the `payload` field of a form; and whose headers it had."""
        payload = decoded(headers, body, "Gitea")
        payload.pop("secret", None)
        return payload | {FAMILY_KEY: str(_family(headers))}

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """One PushEvent for a push to a branch or tag, or for a branch's deletion; everything else is Ignored."""
        match event:
            case "push":
                return self._pushed(Fields(payload))
            case "delete":
                return self._deleted(Fields(payload))
            case "create":
                return Ignored("the event 'create' asks for no build; the push that comes along with it does")
            case _:
                return Ignored(f"the event {shown(event)} asks for no build; only pushes do")

    def archive(self, source: Source, commit: str) -> Archive:  # noqa: ARG002  # the same for every commit
        """Where a builder would fetch a repository's source, as every delivery of it says."""
        return archive_at(self._url, source, is_forgejo=self._is_forgejo)

    def _pushed(self, push: Fields) -> tuple[PushEvent, ...] | Ignored:
        ref = ref_in(push)
        if not ref.startswith(BUILT_REFS):
            return Ignored(f"{shown(ref)} is neither a branch nor a tag")
        before, after = end_of_move(push, "before"), end_of_move(push, "after")
        source, head = self._source(push.within("repository")), _head(push, after)
        event = PushEvent(
            source=source,
            ref=ref,
            before=before,
            after=after,
            commit=_commit(ref, after, head),
            archive=self._archive(source, push),
            changed_paths=_changed_paths(push, ref, before, after),
            message=None if head is None else head.maybe_text("message"),
            pusher=_person(push, "pusher") or _person(push, "sender"),
            compare_url=_address(push, "compare_url"),
        )
        return (event,)

    def _deleted(self, deletion: Fields) -> tuple[PushEvent, ...] | Ignored:
        if (kind := deletion.name("ref_type")) != RefKind.BRANCH:
            return Ignored(f"a {shown(kind)} was deleted; only a branch's deletion is told without a push")
        named = deletion.name("ref")
        whole = named if named.startswith(_BRANCH) else _BRANCH + named
        source = self._source(deletion.within("repository"))
        event = PushEvent(
            source=source,
            ref=ref_in(Fields({"ref": whole})),
            before=None,
            after=None,
            commit=None,
            archive=self._archive(source, deletion),
            pusher=_person(deletion, "sender"),
        )
        return (event,)

    def _source(self, repository: Fields) -> Source:
        number, full_name = repository_number(repository), repository.name("full_name")
        if not is_full_name(full_name):
            raise repository.mistake("full_name", "is not owner/name")
        return Source(
            forge=self._forge,
            repository_id=number,
            full_name=full_name,
            private=repository.flag("private"),
            default_branch=repository.maybe_text("default_branch") or None,
            html_url=_address(repository, "html_url"),
        )

    def _archive(self, source: Source, delivery: Fields) -> Archive:
        return archive_at(self._url, source, is_forgejo=delivery.maybe_raw(FAMILY_KEY) == Family.FORGEJO)


def archive_at(url: str, source: Source, *, is_forgejo: bool) -> Archive:
    """A repository's archive by the API below `url`; only Forgejo's has a content type that Quay's builder knows."""
    address = f"{url.rstrip('/')}/api/v1/repos/{quoted(source.full_name)}/archive/{{sha}}.tar.gz"
    return Archive(url=address, root=f"/{source.name.lower()}", is_direct=is_forgejo)


def _header(family: Family, suffix: str) -> str:
    return f"X-{family}-{suffix}"


def _first_present(headers: Mapping[str, bytes], suffix: str) -> str | None:
    names = (_header(family, suffix) for family in Family)
    return next((name for name in names if headers.get(name.lower())), None)


def _family(headers: Mapping[str, bytes]) -> Family:
    return Family.FORGEJO if headers.get("x-forgejo-event") else Family.GITEA


def _why_unsigned(headers: Mapping[str, bytes]) -> str:
    advice = "give the webhook's settings a secret, the same as one of the forge's `webhook_secrets`"
    if any(_header(family, "Signature").lower() in headers for family in Family):
        return f"not signed: the signature is empty; {advice}"
    if headers.get("x-hub-signature-256"):
        return "only X-Hub-Signature-256 is there; X-Gitea-Signature or X-Forgejo-Signature is needed: see the proxies"
    return f"not signed: X-Gitea-Signature and X-Forgejo-Signature are missing; {advice}"


def _head(push: Fields, after: str | None) -> Fields | None:
    """The commit that was pushed: `head_commit`, or in old versions the one of the list that the ref points to."""
    if after is None:
        return None
    head = push.maybe_within("head_commit")
    listed = push.maybe_each("commits") or []
    return head or next((one for one in listed if one.maybe_raw("id") == after), None)


def _commit(ref: str, after: str | None, head: Fields | None) -> str | None:
    if head is not None:
        return object_id(head, "id")
    return after if kind_of(ref) is RefKind.BRANCH else None


def _changed_paths(push: Fields, ref: str, before: str | None, after: str | None) -> tuple[str, ...] | None:
    if before is None or after is None or kind_of(ref) is RefKind.TAG:
        return None
    return listed_paths(push, after)


def _person(delivery: Fields, key: str) -> str | None:
    person = delivery.maybe_within(key)
    return None if person is None else person.maybe_text("login") or person.maybe_text("username") or None


def _address(fields: Fields, key: str) -> str | None:
    return None if fields.maybe_raw(key) == "" else web_address(fields, key)
