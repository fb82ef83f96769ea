"""The signature of a delivery that is sent as a form, which Gitea and Forgejo make over the JSON *inside* it.

GitHub signs a form's bytes as they go over the wire; here the field `payload` has to be decoded first. It is decoded
as it streams in and goes into the HMAC at once, so that memory is constant and nothing is parsed before the check.

What is verified must be what is read later, by another decoder (`forges.bodies.payload_field`). Both take `+` for a
space, leave a `%` without two hexadecimal digits as it is, and insist on exactly one field. Where they differ, this one
is the stricter: a field counts only if its name is spelled `payload`, not in percent encoding. So a second payload can
be smuggled past neither: this one has not seen it signed, or that one sees two.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from buildbot.ports import BadSignature, Verifier

FIELD = b"payload"
ESCAPE_BYTES = 3


class FormPayloadVerifier:
    """A `ports.Verifier` fed with a form, which feeds another with what its field `payload` holds."""

    __slots__ = ("_held", "_inner", "_is_payload", "_name", "_payloads")

    def __init__(self, inner: Verifier) -> None:
        self._inner = inner
        self._name: bytes | None = b""  # None once the "=" after it has come
        self._is_payload = False
        self._held = b""  # the beginning of an escape whose end has not come
        self._payloads = 0

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes of the form."""
        first, *others = chunk.split(b"&")
        self._take(first)
        for piece in others:
            self._end_field()
            self._take(piece)

    def check(self) -> None:
        """Raise BadSignature unless there was one payload, and one of the secrets signed it."""
        self._end_field()
        if self._payloads != 1:
            raise BadSignature(f"the form has {self._payloads} fields `payload`, not one that could have been signed")
        self._inner.check()

    def _take(self, piece: bytes) -> None:
        if self._name is not None:
            name, equals, piece = piece.partition(b"=")
            self._name = (self._name + name)[: len(FIELD) + 1]
            if not equals:
                return
            self._is_payload = self._name == FIELD
            self._payloads += self._is_payload
            self._name = None
        if self._is_payload:
            self._decode(piece)

    def _decode(self, piece: bytes) -> None:
        value = self._held + piece
        escape = value.rfind(b"%", max(0, len(value) - ESCAPE_BYTES + 1))
        cut = len(value) if escape < 0 else escape
        self._held = value[cut:]
        self._inner.update(unquote_to_bytes(value[:cut].replace(b"+", b" ")))

    def _end_field(self) -> None:
        if self._is_payload:
            self._inner.update(unquote_to_bytes(self._held))
        self._name, self._is_payload, self._held = b"", False, b""
