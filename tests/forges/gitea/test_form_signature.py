"""The signature over the JSON in a form: the same bytes are decoded as later by the parser, in any pieces."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.bodies import payload_field
from buildbot.forges.gitea.form_signature import FormPayloadVerifier
from buildbot.forges.signatures import HmacSha256Verifier
from buildbot.ports import BadPayload, BadSignature

SECRET = b"It's a Secret to Everybody"
FORM = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22zen%22%3A%22gr%C3%B6%C3%9Fe+%2B+100%25%22%7D"
DIGEST = bytes.fromhex("e3cfada2b16f41c7b2968f2e7c4f07682d1212a2504013dac40a32d6bf8e6236")


class Collecting:
    """A verifier that only remembers what it was fed."""

    def __init__(self) -> None:
        self.taken = b""
        self.largest = 0

    def update(self, chunk: bytes) -> None:
        self.taken += chunk
        self.largest = max(self.largest, len(chunk))

    def check(self) -> None:
        return


def signed_part(form: bytes, size: int = 7) -> bytes:
    inner = Collecting()
    verifier = FormPayloadVerifier(inner)
    for start in range(0, len(form), size):
        verifier.update(form[start : start + size])
    verifier.check()
    return inner.taken


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000])
def test_the_known_signature_of_a_form_is_accepted_in_any_pieces(size: int) -> None:
    verifier = FormPayloadVerifier(HmacSha256Verifier([b"another", SECRET], DIGEST))
    for start in range(0, len(FORM), size):
        verifier.update(FORM[start : start + size])
    verifier.check()


@pytest.mark.parametrize("changed", [FORM + b"x", FORM.replace(b"main", b"Main"), FORM.replace(b"+", b"", 1)])
def test_a_form_that_holds_another_payload_is_refused(changed: bytes) -> None:
    verifier = FormPayloadVerifier(HmacSha256Verifier([SECRET], DIGEST))
    verifier.update(changed)
    with pytest.raises(BadSignature, match="none of the configured secrets"):
        verifier.check()


def test_what_was_signed_as_github_signs_a_form_is_refused() -> None:
    over_the_wire = hmac.digest(SECRET, FORM, "sha256")
    verifier = FormPayloadVerifier(HmacSha256Verifier([SECRET], over_the_wire))
    verifier.update(FORM)
    with pytest.raises(BadSignature):
        verifier.check()


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (b"", 0),
        (b"payload", 0),
        (b"other=x", 0),
        (b"payloads=x", 0),
        (b"xpayload=x", 0),
        (b"PAYLOAD=x", 0),
        (b"%70ayload=x", 0),
        (b"payload=x&payload=y", 2),
        (b"payload=&payload=x", 2),
    ],
)
def test_a_form_without_exactly_one_payload_is_refused_whatever_signed_it(form: bytes, fields: int) -> None:
    with pytest.raises(BadSignature, match=f"{fields} fields `payload`"):
        signed_part(form)


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b"a+b%2Bc", b"a b+c"),
        (b"100%", b"100%"),
        (b"%4", b"%4"),
        (b"%zz%4g%", b"%zz%4g%"),
        (b"%%41", b"%A"),
        (b"%4%41", b"%4A"),
        (b"%e4%F6", b"\xe4\xf6"),
        (b"a=b=c", b"a=b=c"),
        (b"a;payload=b", b"a;payload=b"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_escapes_are_decoded_as_the_parser_does_wherever_the_form_is_cut(
    value: bytes, decoded: bytes, size: int
) -> None:
    assert signed_part(b"x=1&payload=" + value + b"&y=%41", size) == decoded


def test_fields_beside_the_payload_do_not_count() -> None:
    assert signed_part(b"a=%7B&&payload=x%26y&b=payload=z&payloadx=1") == b"x&y"


PIECES = st.sampled_from(["payload", "=", "&", "%", "+", "%7B", "%2", "%C3%B6", "a", "%70", ";", "{}"])


@given(st.lists(PIECES, max_size=12).map("".join), st.integers(1, 9))
def test_whatever_both_take_is_the_same_payload(form: str, size: int) -> None:
    """No form may show this check one payload and the parser another."""
    try:
        signed = signed_part(form.encode(), size)
        read = payload_field(form)
    except (BadSignature, BadPayload):
        return
    assert read.encode() == signed


@given(st.text(), st.integers(1, 50), st.booleans())
def test_every_payload_that_a_forge_encodes_is_checked_as_it_was(text: str, size: int, plus: bool) -> None:
    form = f"payload={quote_plus(text) if plus else quote(text)}".encode() if text.isprintable() else b"payload="
    assert signed_part(form, size) == parse_qs(form.decode(), keep_blank_values=True)["payload"][0].encode()


def test_memory_stays_constant_however_large_the_payload_is() -> None:
    inner = Collecting()
    verifier = FormPayloadVerifier(inner)
    verifier.update(b"n" * 1_000_000)
    verifier.update(b"=1&payload=")
    for _ in range(100):
        verifier.update(b"%7B%" * 250)
        verifier.update(b"7D")
    verifier.check()
    assert inner.largest <= 1000
    assert inner.taken.startswith(b"{%{%")
