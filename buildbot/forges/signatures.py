"""Signatures of webhooks: HMAC-SHA256 over the raw bytes of the body, with any of several secrets.

Every forge that signs uses this one construction and differs only in how it writes the digest down (hex after
`sha256=`, bare hex, base64) and in what it puts before the body; so the adapters parse their header to 32 bytes and
the check itself exists once. It runs along while the body streams in: a body of 25 MB needs no more memory than `{}`.

Several secrets are accepted at once so that one can be rotated without losing a delivery. All of them are always
compared, and as bytes: `hmac.compare_digest` raises TypeError for a `str` that is not ASCII, which a stranger can send.
An empty secret is refused at construction, since anybody can sign with it (Gitea does so when none is set).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from buildbot.ports import BadSignature

DIGEST_BYTES = 32
_SHA256 = b"sha256="
_HEX_DIGEST = re.compile(rb"[0-9a-fA-F]{64}")


class HmacSha256Verifier:
    """A `ports.Verifier`: fed the signed bytes in any pieces, it tells whether one of `secrets` made one of `digests`.

    `prefix` is what was signed before the body. Raises ValueError at construction for no secret, an empty one, no
    digest, or one that is not 32 bytes: those are mistakes of ours, not of who sent the delivery.
    """

    __slots__ = ("_digests", "_macs")

    def __init__(self, secrets: Sequence[bytes], *digests: bytes, prefix: bytes = b"") -> None:
        if not secrets or not all(secrets):
            raise ValueError("a webhook secret is missing or empty; anybody could sign with it")
        if not digests or any(len(digest) != DIGEST_BYTES for digest in digests):
            raise ValueError(f"an HMAC-SHA256 digest has {DIGEST_BYTES} bytes")
        self._digests = digests
        self._macs = tuple(hmac.new(secret, prefix, digestmod="sha256") for secret in secrets)

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes of what was signed."""
        for mac in self._macs:
            mac.update(chunk)

    def check(self) -> None:
        """Raise BadSignature unless one of the secrets made a digest; all of them are compared, in constant time."""
        made = [mac.digest() for mac in self._macs]
        matching = [hmac.compare_digest(one, digest) for one in made for digest in self._digests]
        if not any(matching):
            raise BadSignature(
                "signed with none of the configured secrets: the secret in the webhook's settings must equal one of the"
                " forge's `webhook_secrets`"
            )


def digest_from_hex(text: bytes) -> bytes | None:
    """The 32 bytes that 64 hexadecimal digits stand for; None if `text` is anything else."""
    return bytes.fromhex(text.decode("ascii")) if _HEX_DIGEST.fullmatch(text) else None


def digest_from_hub_signature(text: bytes) -> bytes | None:
    """The 32 bytes that `sha256=` and 64 hexadecimal digits stand for; None if `text` is anything else."""
    return digest_from_hex(text.removeprefix(_SHA256)) if text.startswith(_SHA256) else None
