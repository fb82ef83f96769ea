"""The signature check against vectors computed independently (GitHub's own is from its documentation)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from itertools import pairwise
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.forges.signatures import HmacSha256Verifier, digest_from_hex
from buildbot.ports import BadSignature, Verifier

GITHUBS_SECRET = b"It's a Secret to Everybody"
GITHUBS_DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
FORM = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22zen%22%3A%22gr%C3%B6%C3%9Fe+%2B+100%25%22%7D"
FORMS_JSON = parse_qs(FORM.decode())["payload"][0].encode()
GITLABS_KEY = bytes(range(32))
GITLABS_BODY = b'f5e5f430-f57b-4e6e-9fac-d9128cd7232f.1767225600.{"object_kind":"push","ref":"refs/heads/main"}'

VECTORS = [
    pytest.param(GITHUBS_SECRET, b"Hello, World!", bytes.fromhex(GITHUBS_DIGEST), id="GitHub, JSON; Bitbucket"),
    pytest.param(
        GITHUBS_SECRET,
        FORM,
        bytes.fromhex("9bafad6bc982d65e719bf2a113e69d57e414e45d0a99d40c6a91f4baffc89c41"),
        id="GitHub signs a form as sent",
    ),
    pytest.param(
        GITHUBS_SECRET,
        FORMS_JSON,
        bytes.fromhex("e3cfada2b16f41c7b2968f2e7c4f07682d1212a2504013dac40a32d6bf8e6236"),
        id="Gitea signs the JSON inside a form",
    ),
    pytest.param(
        b"s3cr3t",
        b'{"ref":"refs/heads/main"}',
        bytes.fromhex("8588fd50c04ac2c191575340c4c0fe284157898def8e4d10af822f05dd7c9bb5"),
        id="Gitea, JSON",
    ),
    pytest.param(
        GITLABS_KEY,
        GITLABS_BODY,
        base64.b64decode("nx+J523ec8vnN6hW8Pbaej0tZpeVhtIMRkf7knxA6ac="),
        id="GitLab's signing token",
    ),
]


def checked(verifier: Verifier, body: bytes, pieces: int = 1) -> None:
    size = max(1, len(body) // pieces)
    for start in range(0, len(body), size):
        verifier.update(body[start : start + size])
    verifier.check()


def test_the_form_of_the_vectors_holds_the_json_that_gitea_signs() -> None:
    assert json.loads(FORMS_JSON) == {"ref": "refs/heads/main", "zen": "größe + 100%"}
    assert len(FORMS_JSON) == 48


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize(("secret", "body", "digest"), VECTORS)
def test_a_known_signature_is_accepted_in_any_pieces(secret: bytes, body: bytes, digest: bytes, pieces: int) -> None:
    checked(HmacSha256Verifier([secret], digest), body, pieces)


@pytest.mark.parametrize(("secret", "body", "digest"), VECTORS)
def test_a_known_signature_is_refused_for_a_body_that_differs_in_one_bit(
    secret: bytes, body: bytes, digest: bytes
) -> None:
    with pytest.raises(BadSignature):
        checked(HmacSha256Verifier([secret], digest), bytes([body[0] ^ 1]) + body[1:])


def test_gitlabs_token_taken_whole_as_the_key_is_refused() -> None:
    wrong = base64.b64decode("pbaGldWJyOI97GAPulfJb2WQMqvkpOyoAyIJOLUtzck=")
    with pytest.raises(BadSignature):
        checked(HmacSha256Verifier([GITLABS_KEY], wrong), GITLABS_BODY)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_while_secrets_rotate_any_of_them_will_do(position: int) -> None:
    secrets = [b"old", b"older"]
    secrets.insert(position, GITHUBS_SECRET)
    checked(HmacSha256Verifier(secrets, bytes.fromhex(GITHUBS_DIGEST)), b"Hello, World!")


def test_a_forged_signature_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadSignature, match="must equal one of the forge's `webhook_secrets`"):
        checked(HmacSha256Verifier([b"one", b"two"], bytes(32)), b"{}")


def test_what_an_empty_secret_signed_is_never_accepted() -> None:
    digest = bytes.fromhex("22f8eea909400af98adf3681a9f31923ef6b7fcba4abb553d92823a3e9d5c25e")
    assert digest == hmac.digest(b"", b"{}", "sha256")
    for secrets in ([], [b""], [b"good", b""]):
        with pytest.raises(ValueError, match="empty"):
            HmacSha256Verifier(secrets, digest)


@pytest.mark.parametrize("length", [0, 20, 31, 33, 64])
def test_a_digest_of_another_length_is_a_mistake_of_the_caller(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        HmacSha256Verifier([b"secret"], bytes(length))


def test_neither_the_secret_nor_the_digest_shows_in_the_repr() -> None:
    shown = repr(HmacSha256Verifier([b"hush"], hashlib.sha256(b"x").digest()))
    assert "hush" not in shown
    assert hashlib.sha256(b"x").hexdigest() not in shown


@pytest.mark.parametrize(
    "text",
    [b"", b"7571", b"g" * 64, b" " + b"a" * 63, b"a" * 65, b"a" * 63 + b"\n", "\u0660".encode() * 32, b"\xff" * 64],
)
def test_what_is_not_64_hex_digits_is_no_digest(text: bytes) -> None:
    assert digest_from_hex(text) is None


def test_hex_digits_may_be_upper_case() -> None:
    assert digest_from_hex(GITHUBS_DIGEST.upper().encode()) == bytes.fromhex(GITHUBS_DIGEST)


@given(secret=st.binary(min_size=1), body=st.binary(), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_however_the_body_is_cut_the_check_is_that_of_the_whole(secret: bytes, body: bytes, cuts: list[int]) -> None:
    verifier = HmacSha256Verifier([b"another", secret], hmac.digest(secret, body, "sha256"))
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for start, end in pairwise(edges):
        verifier.update(body[start:end])
    verifier.check()


def test_a_prefix_counts_as_signed_and_any_of_several_digests_may_match() -> None:
    prefix, body = GITLABS_BODY.split(b"{", 1)[0], GITLABS_BODY.split(b"{", 1)[1]
    digest = hmac.digest(GITLABS_KEY, GITLABS_BODY, "sha256")
    checked(HmacSha256Verifier([GITLABS_KEY], bytes(32), digest, prefix=prefix), b"{" + body, 3)
    with pytest.raises(BadSignature):
        checked(HmacSha256Verifier([GITLABS_KEY], bytes(32), digest), b"{" + body, 3)


def test_a_check_against_no_digest_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="digest"):
        HmacSha256Verifier([b"secret"])
