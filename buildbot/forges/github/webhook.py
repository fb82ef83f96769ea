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

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.message import Message
from typing import NoReturn
from urllib.parse import parse_qs

from buildbot.domain.push import Archive, Ignored, PushEvent, RefKind, Source, kind_of
from buildbot.forges.fields import Fields, shown
from buildbot.forges.github.changed_paths import proven_paths
from buildbot.forges.github.names import is_full_name, is_sha, is_zeros, quoted
from buildbot.forges.signatures import HmacSha256Verifier, digest_from_hex
from buildbot.ports import BadPayload, BadSignature, Verifier

DEEPEST_NESTING = 64
LONGEST_REF = 1024
LARGEST_ID = 2**63 - 1
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, where datetime ends
_SIGNED_WITH = b"sha256="
_BUILT_REFS = ("refs/heads/", "refs/tags/")
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_HEADER_TEXT = re.compile(rb"[\x21-\x7e]{1,200}")
_NOT_A_REF = re.compile(r"[ ~^:?*\[\\]|\.\.|@\{|//|/\.|[/.]$|\.lock(?:/|$)")


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
        digest = digest_from_hex(signature.removeprefix(_SIGNED_WITH))
        if digest is None or not signature.startswith(_SIGNED_WITH):
            raise BadSignature("X-Hub-Signature-256 is not `sha256=` and 64 hexadecimal digits")
        return HmacSha256Verifier(secrets, digest)

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(`X-GitHub-Delivery`, `X-GitHub-Event`). The first is one per event: every hook and redelivery shares it."""
        return _header(headers, "X-GitHub-Delivery"), _header(headers, "X-GitHub-Event")

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload: JSON, or the `payload` field of a form, in UTF-8 and nested no deeper than 64.

        Text in it is as sent: it may hold NULs and lone surrogates, which `json.dumps` writes as ASCII escapes.
        """
        media_type, charset = _content_type(headers)
        if charset not in _UTF8:
            raise BadPayload(f"the body's charset is {shown(charset)}; GitHub sends UTF-8")
        text = _utf8(body)
        if media_type == "application/x-www-form-urlencoded":
            text = _payload_field(text)
        elif media_type != "application/json":
            raise BadPayload(
                f"the content type is {shown(media_type)}; choose application/json in the webhook's settings"
            )
        return _json_object(text)

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """One PushEvent for a push to a branch or tag, deletions included; everything else is Ignored."""
        if event == "ping":
            return Ignored(_pong(Fields(payload)))
        if event != "push":
            return Ignored(f"the event {shown(event)} asks for no build; only pushes do")
        ref = _ref(Fields(payload))
        if not ref.startswith(_BUILT_REFS):
            return Ignored(f"{shown(ref)} is neither a branch nor a tag")
        return (self._push(Fields(payload), ref),)

    def _push(self, push: Fields, ref: str) -> PushEvent:
        repository, head = push.within("repository"), push.maybe_within("head_commit")
        source = self._source(repository)
        before, after = _moved_from_or_to(push, "before"), _moved_from_or_to(push, "after")
        return PushEvent(
            source=source,
            ref=ref,
            before=before,
            after=after,
            commit=_commit(ref, after, head),
            archive=self._archive(source),
            pushed_at=_pushed_at(repository),
            forced=push.maybe_flag("forced"),
            changed_paths=_changed_paths(push, ref, before, after),
            message=None if head is None else head.maybe_text("message"),
            pusher=_pusher(push),
            compare_url=_web_address(push, "compare"),
        )

    def _source(self, repository: Fields) -> Source:
        number, full_name = repository.number("id"), repository.name("full_name")
        if not 0 < number <= LARGEST_ID:
            raise repository.mistake("id", "is not a repository's number")
        if not is_full_name(full_name):
            raise repository.mistake("full_name", "is not owner/name")
        return Source(
            forge=self._forge,
            repository_id=str(number),
            full_name=full_name,
            private=repository.flag("private"),
            default_branch=repository.maybe_name("default_branch"),
            html_url=_web_address(repository, "html_url"),
        )

    def _archive(self, source: Source) -> Archive:
        url = f"{self._url}/{quoted(source.full_name)}/archive/{{sha}}.tar.gz"
        return Archive(url=url, root=f"/{source.name}-{{sha}}")


def _why_unsigned(headers: Mapping[str, bytes]) -> str:
    if headers.get("x-hub-signature"):
        return "signed with SHA-1 only (X-Hub-Signature); X-Hub-Signature-256 is needed: see that no proxy drops it"
    return (
        "not signed: X-Hub-Signature-256 is missing; give the webhook's settings a secret,"
        " the same as one of the forge's `webhook_secrets`"
    )


def _header(headers: Mapping[str, bytes], name: str) -> str:
    value = headers.get(name.lower(), b"")
    if not value:
        raise BadPayload(f"the header {name} is missing")
    if not _HEADER_TEXT.fullmatch(value):
        raise BadPayload(f"the header {name} is not a word of at most 200 ASCII characters")
    return value.decode("ascii")


def _content_type(headers: Mapping[str, bytes]) -> tuple[str, str]:
    parsed = Message()
    parsed["content-type"] = headers.get("content-type", b"application/json").decode("latin-1")
    charset = parsed.get_param("charset", "utf-8")
    return parsed.get_content_type(), charset.lower() if isinstance(charset, str) else "?"


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPayload(f"the body is not UTF-8 (byte {error.start})") from None


def _payload_field(form: str) -> str:
    try:
        values = parse_qs(form, keep_blank_values=True, errors="strict", max_num_fields=16).get("payload", [])
    except ValueError:
        raise BadPayload("the form is not UTF-8, or has more than 16 fields") from None
    if len(values) != 1:
        raise BadPayload(f"the form has {len(values)} fields `payload`, not one")
    return values[0]


def _json_object(text: str) -> dict[str, object]:
    try:
        decoded = json.loads(text, parse_constant=_no_such_number)
    except RecursionError:
        raise BadPayload("the JSON is nested too deeply") from None
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadPayload(f"the body is not JSON{where}") from None
    if not isinstance(decoded, dict):
        raise BadPayload("the JSON is not an object")
    if not _is_shallow(decoded):
        raise BadPayload("the JSON is nested too deeply")
    return decoded


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(name)


def _is_shallow(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEEPEST_NESTING):
        level = [member for one in level for member in _members(one) if isinstance(member, (dict, list))]
        if not level:
            return True
    return False


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


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


def _ref(push: Fields) -> str:
    ref = push.name("ref")
    if len(ref) > LONGEST_REF or _NOT_A_REF.search(ref):
        raise push.mistake("ref", "is not a name that git allows")
    return ref


def _object_id(fields: Fields, key: str) -> str:
    sha = fields.name(key)
    if not is_sha(sha):
        raise fields.mistake(key, "is not an object id of 40 or 64 lower-case hexadecimal digits")
    return sha


def _moved_from_or_to(push: Fields, key: str) -> str | None:
    sha = _object_id(push, key)
    return None if is_zeros(sha) else sha


def _commit(ref: str, after: str | None, head: Fields | None) -> str | None:
    if after is None:
        return None
    if head is not None:
        return _object_id(head, "id")
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


def _web_address(fields: Fields, key: str) -> str | None:
    address = fields.maybe_name(key)
    if address is not None and not address.startswith(("https://", "http://")):
        raise fields.mistake(key, "is not an http(s) address")
    return address
