"""How GitLab proves that a delivery is its own: the plain secret token, or a signature with a signing token. Pure.

The plain token (`X-Gitlab-Token`) is the secret itself, sent along: whoever reads one delivery can forge the next, and
the body is not covered. Since 19.1 a hook may have a *signing token* instead, which GitLab shows as `whsec_` and
base64; then `webhook-signature` is an HMAC-SHA256 over id, time and body (Standard Webhooks). So:

- What is written with `whsec_` among the secrets is a signing token and never accepted as a plain one.
- Where a signature came along it must pass. There is no falling back to the plain token, or a thief of that token
  could still forge; the headers `webhook-id` and `webhook-timestamp` alone come with every delivery and mean nothing.
- Without a signature a plain secret must be among those configured, and be the one that was sent. With signing tokens
  alone, an unsigned delivery is refused.
- A signed delivery is good for five minutes before and after its time, so that it cannot be played again much later.

All plain secrets are compared as bytes and in constant time: `hmac.compare_digest` raises TypeError for a `str` that is
not ASCII, which a stranger can send.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from buildbot.forges.signatures import DIGEST_BYTES, HmacSha256Verifier
from buildbot.ports import BadSignature, Verifier

PREFIX = b"whsec_"
TOLERANCE = timedelta(minutes=5)
MOST_SIGNATURES = 16
_VERSION = b"v1,"
_SECONDS = re.compile(rb"[0-9]{1,11}")
_ID = re.compile(rb"[\x21-\x7e]{1,200}")


class Passed:
    """A `ports.Verifier` for a delivery that its headers have proven: the body is not covered."""

    def update(self, chunk: bytes) -> None:
        """Nothing: the body was not signed."""

    def check(self) -> None:
        """Nothing: the headers were checked already."""


def verifier(headers: Mapping[str, bytes], secrets: Sequence[bytes], now: datetime) -> Verifier:
    """A running check of a delivery. Raises BadSignature at once, saying what to do, when it cannot pass."""
    if headers.get("webhook-signature"):
        return _signed(headers, signing_keys(secrets), now)
    _check_plain(headers.get("x-gitlab-token", b""), [one for one in secrets if not one.startswith(PREFIX)])
    return Passed()


def signing_keys(secrets: Iterable[bytes]) -> tuple[bytes, ...]:
    """The keys of those secrets that are signing tokens. Raises BadSignature for one that is not base64 of a key."""
    return tuple(_key(secret) for secret in secrets if secret.startswith(PREFIX))


def _key(secret: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise BadSignature(
            "a secret in `webhook_secrets` begins with whsec_ but is no signing token: copy it whole from GitLab"
        )
    return key


def _signed(headers: Mapping[str, bytes], keys: Sequence[bytes], now: datetime) -> Verifier:
    if not keys:
        raise BadSignature(
            "signed with a signing token, but none is configured: put the hook's whsec_… among the forge's"
            " `webhook_secrets`"
        )
    id_, timestamp = headers.get("webhook-id", b""), headers.get("webhook-timestamp", b"")
    if not _ID.fullmatch(id_):
        raise BadSignature("signed, but webhook-id is missing or not a word: see that no proxy drops it")
    _check_time(timestamp, now)
    digests = _digests(headers["webhook-signature"])
    return HmacSha256Verifier(keys, *digests, prefix=id_ + b"." + timestamp + b".")


def _check_time(timestamp: bytes, now: datetime) -> None:
    if not _SECONDS.fullmatch(timestamp):
        raise BadSignature("signed, but webhook-timestamp is missing or not a time in Unix seconds")
    if abs(int(timestamp) - now.timestamp()) > TOLERANCE.total_seconds():
        raise BadSignature("signed more than five minutes from now: check both clocks, and send it again from GitLab")


def _digests(header: bytes) -> list[bytes]:
    signatures = header.split(b" ")[:MOST_SIGNATURES]
    found = [_digest(one.removeprefix(_VERSION)) for one in signatures if one.startswith(_VERSION)]
    digests = [one for one in found if one is not None]
    if not digests:
        raise BadSignature("webhook-signature holds no `v1,` and base64 of 32 bytes")
    return digests


def _digest(text: bytes) -> bytes | None:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == DIGEST_BYTES else None


def _check_plain(token: bytes, plain: Sequence[bytes]) -> None:
    if not plain:
        raise BadSignature(
            "not signed: webhook-signature is missing, and only signing tokens (whsec_…) are configured; set one in the"
            " webhook's settings"
        )
    if not all(plain):
        raise ValueError("a webhook secret is empty; anybody could send it")
    if not token:
        raise BadSignature(
            "X-Gitlab-Token is missing; give the webhook's settings a secret token, the same as one of the forge's"
            " `webhook_secrets`"
        )
    matching = [hmac.compare_digest(token, secret) for secret in plain]
    if not any(matching):
        raise BadSignature(
            "X-Gitlab-Token is none of the configured secrets: the secret token in the webhook's settings must equal"
            " one of the forge's `webhook_secrets`"
        )
