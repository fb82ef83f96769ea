"""Which deliveries of GitLab are its own: plain tokens and signatures, and that neither can stand in for the other."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.gitlab.signing import MOST_SIGNATURES, verifier
from buildbot.ports import BadSignature

WHSEC = b"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = b"whsec_" + base64.b64encode(b"k" * 32)
BODY = b'{"object_kind":"push","ref":"refs/heads/main"}'
GOOD = b"v1,nx+J523ec8vnN6hW8Pbaej0tZpeVhtIMRkf7knxA6ac="
WHOLE_TEXT_AS_KEY = b"v1,pbaGldWJyOI97GAPulfJb2WQMqvkpOyoAyIJOLUtzck="
THEN = datetime.fromtimestamp(1767225600, UTC)
SIGNED = {
    "webhook-id": b"f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
    "webhook-timestamp": b"1767225600",
    "webhook-signature": GOOD,
}
UNSIGNED = {"webhook-id": SIGNED["webhook-id"], "webhook-timestamp": SIGNED["webhook-timestamp"]}


def check(
    headers: dict[str, bytes], *secrets: bytes, body: bytes = BODY, now: datetime = THEN, pieces: Sequence[int] = (5, 9)
) -> None:
    checking = verifier(headers, secrets, now)
    start = 0
    for piece in (*pieces, len(body)):
        checking.update(body[start : start + piece])
        start += piece
    checking.check()


# The signing token


def test_a_delivery_signed_as_gitlab_does_is_accepted() -> None:
    check(SIGNED, WHSEC)
    check(SIGNED, OTHER, WHSEC)
    check(SIGNED, b"plain", WHSEC)


def test_the_key_is_what_the_token_stands_for_and_not_its_text() -> None:
    with pytest.raises(BadSignature, match="none of the configured"):
        check(SIGNED | {"webhook-signature": WHOLE_TEXT_AS_KEY}, WHSEC)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": b"another"},
        {"webhook-timestamp": b"1767225601"},
        {"webhook-signature": b"v1," + base64.b64encode(bytes(32))},
    ],
)
def test_nothing_that_was_signed_may_change(changed: dict[str, bytes]) -> None:
    with pytest.raises(BadSignature, match="none of the configured"):
        check(SIGNED | changed, WHSEC)
    with pytest.raises(BadSignature, match="none of the configured"):
        check(SIGNED, WHSEC, body=BODY + b" ")


def test_a_signature_is_not_made_good_by_the_plain_token() -> None:
    token = {"x-gitlab-token": b"plain"}
    with pytest.raises(BadSignature, match="none of the configured"):
        check(SIGNED | token, b"plain", OTHER)
    with pytest.raises(BadSignature, match="put the hook's whsec_"):
        check(SIGNED | token, b"plain")


def test_one_of_several_signatures_is_enough() -> None:
    wrong = b"v1," + base64.b64encode(b"x" * 32)
    check(SIGNED | {"webhook-signature": b" ".join([wrong, b"v2,abc", GOOD])}, WHSEC)
    many = b" ".join([wrong] * MOST_SIGNATURES + [GOOD])
    with pytest.raises(BadSignature):
        check(SIGNED | {"webhook-signature": many}, WHSEC)


@pytest.mark.parametrize("off", [timedelta(minutes=-5), timedelta(0), timedelta(minutes=5)])
def test_clocks_may_differ_by_five_minutes(off: timedelta) -> None:
    check(SIGNED, WHSEC, now=THEN + off)


@pytest.mark.parametrize("off", [timedelta(minutes=-5, seconds=-1), timedelta(minutes=5, seconds=1), timedelta(days=9)])
def test_a_delivery_cannot_be_played_again_later(off: timedelta) -> None:
    with pytest.raises(BadSignature, match="five minutes"):
        check(SIGNED, WHSEC, now=THEN + off)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"webhook-id": b""}, "webhook-id"),
        ({"webhook-id": b"a b"}, "webhook-id"),
        ({"webhook-id": b"\xff"}, "webhook-id"),
        ({"webhook-timestamp": b""}, "webhook-timestamp"),
        ({"webhook-timestamp": b"1767225600.0"}, "webhook-timestamp"),
        ({"webhook-timestamp": b"9" * 40}, "webhook-timestamp"),
        ({"webhook-timestamp": b"-1"}, "webhook-timestamp"),
        ({"webhook-signature": b"v1,"}, "base64 of 32 bytes"),
        ({"webhook-signature": b"v1,abc"}, "base64 of 32 bytes"),
        ({"webhook-signature": b"v1,\xff\xff"}, "base64 of 32 bytes"),
        ({"webhook-signature": GOOD.removeprefix(b"v1,")}, "base64 of 32 bytes"),
        ({"webhook-signature": GOOD.replace(b"v1,", b"v1a,")}, "base64 of 32 bytes"),
        ({"webhook-signature": b"v1," + base64.b64encode(b"x" * 31)}, "base64 of 32 bytes"),
    ],
)
def test_a_signature_that_cannot_be_one_is_refused_at_once(changed: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        verifier(SIGNED | changed, [WHSEC], THEN)


@pytest.mark.parametrize("secret", [b"whsec_", b"whsec_not base64", b"whsec_abc", b"whsec_\xff"])
def test_a_signing_token_that_was_not_copied_whole_is_named_without_being_told(secret: bytes) -> None:
    with pytest.raises(BadSignature, match="copy it whole") as caught:
        verifier(SIGNED, [secret], THEN)
    assert "abc" not in str(caught.value)


@given(body=st.binary(max_size=200), key=st.binary(min_size=1, max_size=64), id_=st.text("abc-123", min_size=1))
def test_whatever_is_signed_with_the_key_is_accepted(body: bytes, key: bytes, id_: str) -> None:
    digest = hmac.digest(key, f"{id_}.1767225600.".encode() + body, "sha256")
    headers = SIGNED | {"webhook-id": id_.encode(), "webhook-signature": b"v1," + base64.b64encode(digest)}
    check(headers, b"whsec_" + base64.b64encode(key), body=body)


# The plain token


@pytest.mark.parametrize("token", [b"s3cret", "größe".encode(), b"\xff\xfe"])
def test_a_plain_token_is_compared_as_bytes(token: bytes) -> None:
    check({"x-gitlab-token": token}, b"another", token)
    check(UNSIGNED | {"x-gitlab-token": token}, token)
    with pytest.raises(BadSignature, match="none of the configured secrets"):
        check({"x-gitlab-token": token + b"x"}, b"another", token)


def test_without_a_token_a_delivery_is_refused() -> None:
    for headers in ({}, UNSIGNED, {"x-gitlab-token": b""}, {"x-gitlab-event": b"Push Hook"}):
        with pytest.raises(BadSignature, match="X-Gitlab-Token is missing"):
            verifier(headers, [b"s3cret"], THEN)


def test_a_signing_token_is_never_taken_as_a_plain_one() -> None:
    with pytest.raises(BadSignature, match="webhook-signature is missing"):
        verifier({"x-gitlab-token": WHSEC}, [WHSEC], THEN)
    with pytest.raises(BadSignature, match="none of the configured secrets"):
        verifier({"x-gitlab-token": WHSEC}, [WHSEC, b"plain"], THEN)


def test_while_secrets_rotate_both_kinds_are_good() -> None:
    check({"x-gitlab-token": b"plain"}, b"plain", WHSEC)
    check(SIGNED, b"plain", WHSEC)


def test_an_empty_secret_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="empty"):
        verifier({"x-gitlab-token": b""}, [b""], THEN)


def test_no_refusal_tells_a_token() -> None:
    with pytest.raises(BadSignature) as caught:
        verifier({"x-gitlab-token": b"sent-by-them"}, [b"known-to-us"], THEN)
    assert "sent-by-them" not in str(caught.value)
    assert "known-to-us" not in str(caught.value)
