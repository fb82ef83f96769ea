"""What the deliveries of Bitbucket Cloud and Data Center have in common: the signature, the event, several refs.

Both sign with `X-Hub-Signature`, a name that GitHub uses for SHA-1; here `sha256=` and an HMAC-SHA256 over the raw body
is in it, and anything else is refused. Without a secret in the webhook's settings the header is missing. Both send JSON
only, and several refs in one delivery, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from buildbot.domain.push import Ignored, PushEvent
from buildbot.forges.bodies import header_word
from buildbot.forges.signatures import HmacSha256Verifier, digest_from_hub_signature
from buildbot.ports import BadSignature, Verifier

PREFIXES = {"branch": "refs/heads/", "tag": "refs/tags/"}


def signature_check(headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
    """A running check of `X-Hub-Signature`. Raises BadSignature saying what to do when it cannot pass."""
    signature = headers.get("x-hub-signature", b"")
    if not signature:
        raise BadSignature(
            "not signed: X-Hub-Signature is missing; give the webhook's settings a secret, the same as one of the"
            " forge's `webhook_secrets`"
        )
    digest = digest_from_hub_signature(signature)
    if digest is None:
        raise BadSignature("X-Hub-Signature is not `sha256=` and 64 hexadecimal digits")
    return HmacSha256Verifier(secrets, digest)


def event_of(headers: Mapping[str, bytes]) -> str:
    """`X-Event-Key` ("repo:push"). Raises BadPayload."""
    return header_word(headers, "X-Event-Key")


def told_by(changes: Iterable[PushEvent | None]) -> tuple[PushEvent, ...] | Ignored:
    """The pushes of one delivery; None stands for a change of something that is neither branch nor tag."""
    read = list(changes)
    pushes = tuple(push for push in read if push is not None)
    if pushes:
        return pushes
    return Ignored("neither a branch nor a tag was moved" if read else "no ref was moved")
