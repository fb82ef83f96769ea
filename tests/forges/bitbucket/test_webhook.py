"""Bitbucket Cloud's deliveries: what is read beside the goldens, the signature header, and hostile input."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildbot.domain.push import Ignored, PushEvent
from buildbot.forges.bitbucket.webhook import BitbucketWebhook
from buildbot.ports import BadPayload, BadSignature, Webhook
from tests.forges.hostile import TEXTS, VALUES, assert_read_or_refused, lacking, with_value

PAYLOADS = Path(__file__).parent / "payloads"
WEBHOOK: Webhook = BitbucketWebhook(forge="bitbucket", url="https://bitbucket.org/")
SECRET = b"It's a Secret to Everybody"
HELLO = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
CHANGE = "push.changes.0"


def plain() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / "push-branch-plain.json").read_bytes())
    return loaded


def pushes(payload: Mapping[str, object]) -> tuple[PushEvent, ...]:
    read = WEBHOOK.read("repo:push", payload)
    assert not isinstance(read, Ignored)
    return read


def changed(path: str, value: object) -> dict[str, Any]:
    return with_value(plain(), path, value)


# Readings


def test_a_push_carries_everything_that_people_and_builders_need() -> None:
    (push,) = pushes(plain())
    assert push.source.forge == "bitbucket"
    assert push.source.repository_id == "{bc771cbf-829e-4c4b-b71f-a0eb3ac2b860}"
    assert push.source.private is True
    assert push.source.html_url == "https://bitbucket.org/brydzewski/foo"
    assert push.pusher == "brydzewski"
    assert push.compare_url == (
        "https://bitbucket.org/brydzewski/foo/branches/compare/"
        "141977fedf5cf35aa290ac87d4b5177ac4cd9de1..40e7580cf11311d84a6e5e97e2cbba6df1675750"
    )


def test_the_archive_is_the_zip_with_twelve_digits_of_the_commit_in_its_top_directory() -> None:
    (push,) = pushes(plain())
    assert push.archive.url == "https://bitbucket.org/brydzewski/foo/get/{sha}.zip"
    assert push.archive.root == "/brydzewski-foo-141977fedf5c"
    assert push.archive.is_direct


def test_each_ref_of_a_delivery_has_the_archive_of_its_own_commit() -> None:
    read = pushes(json.loads((PAYLOADS / "push-several-changes.json").read_bytes()))
    roots = {push.ref_name: push.archive.root for push in read}
    assert roots == {
        "master": "/brydzewski-foo-141977fedf5c",
        "topic/a": "/brydzewski-foo-c1c1c1c1c1c1",
        "v1.0": "/brydzewski-foo-141977fedf5c",
        "topic/b": "",
    }


def test_the_pusher_is_named_by_what_the_actor_has() -> None:
    actor = {"nickname": "ada", "username": "ada1", "display_name": "Ada"}
    for key in ("nickname", "username", "display_name"):
        assert pushes(changed("actor", actor))[0].pusher == actor.pop(key)
    assert pushes(changed("actor", actor))[0].pusher is None


# Mistakes


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("push", None, "push is null"),
        ("push.changes", {}, "push.changes is not a list"),
        ("push.changes", [7], "push.changes.0 is not an object"),
        (f"{CHANGE}.new", 7, "push.changes.0.new is not an object"),
        (f"{CHANGE}.new.type", None, "push.changes.0.new.type is null"),
        (f"{CHANGE}.new.name", "", "push.changes.0.new.name is empty"),
        (f"{CHANGE}.new.name", "a b", "push.changes.0.new.name is not a name that git allows"),
        (f"{CHANGE}.new.name", "a\x00", "push.changes.0.new.name has control characters"),
        (f"{CHANGE}.new.target", None, "push.changes.0.new.target is null"),
        (f"{CHANGE}.new.target.hash", "141977f", "push.changes.0.new.target.hash is not an object id"),
        (f"{CHANGE}.old.target.hash", 1, "push.changes.0.old.target.hash is not text"),
        (f"{CHANGE}.forced", "no", "push.changes.0.forced is not true or false"),
        (
            f"{CHANGE}.links.html.href",
            "javascript:alert(1)",
            "push.changes.0.links.html.href is not an http(s) address",
        ),
        ("repository", None, "repository is null"),
        ("repository.uuid", "bc771cbf", "repository.uuid is not a UUID in braces"),
        ("repository.full_name", "foo", "repository.full_name is not workspace/name"),
        ("repository.full_name", "a/..", "repository.full_name is not workspace/name"),
        ("repository.full_name", "a/{sha}", "repository.full_name is not workspace/name"),
        ("repository.is_private", None, "repository.is_private is null"),
        ("repository.links.html.href", "ftp://x", "repository.links.html.href is not an http(s) address"),
        ("actor.nickname", 1, "actor.nickname is not text"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(path: str, value: object, said: str) -> None:
    payload = with_value(changed("actor.nickname", "ada"), path, value)
    with pytest.raises(BadPayload) as caught:
        pushes(payload)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "path", ["push", "repository", "repository.uuid", "repository.full_name", "repository.is_private"]
)
def test_a_missing_field_is_named_with_its_place(path: str) -> None:
    with pytest.raises(BadPayload) as caught:
        pushes(lacking(plain(), path))
    assert str(caught.value) == f"{path} is missing"


# Signatures and headers


def signed(headers: Mapping[str, bytes], body: bytes = b"Hello, World!") -> None:
    verifier = WEBHOOK.verifier(headers, [b"new", SECRET])
    verifier.update(body[:5])
    verifier.update(body[5:])
    verifier.check()


def test_a_sha256_in_x_hub_signature_is_accepted() -> None:
    signed({"x-hub-signature": HELLO})
    with pytest.raises(BadSignature):
        signed({"x-hub-signature": HELLO}, b"Hello, World?")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "not signed"),
        ({"x-hub-signature": b""}, "not signed"),
        ({"x-hub-signature-256": HELLO}, "not signed"),
        ({"x-hub-signature": b"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, "64 hexadecimal digits"),
        ({"x-hub-signature": HELLO.removeprefix(b"sha256=")}, "64 hexadecimal digits"),
        ({"x-hub-signature": b"sha256="}, "64 hexadecimal digits"),
        ({"x-hub-signature": "sha256=größe".encode()}, "64 hexadecimal digits"),
    ],
)
def test_what_is_not_signed_with_sha256_is_refused_at_once(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        WEBHOOK.verifier(headers, [SECRET])


def test_a_delivery_is_identified_by_its_headers() -> None:
    headers = {"x-request-uuid": b"c1a3e3b0", "x-event-key": b"repo:push", "x-attempt-number": b"2"}
    assert WEBHOOK.identify(headers) == ("c1a3e3b0", "repo:push")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-event-key": b"repo:push"}, "the header X-Request-UUID is missing"),
        ({"x-request-uuid": b"1"}, "the header X-Event-Key is missing"),
        ({"x-request-uuid": b"\xff", "x-event-key": b"repo:push"}, "X-Request-UUID is not a word"),
    ],
)
def test_a_header_that_is_missing_or_odd_is_named(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadPayload, match=said):
        WEBHOOK.identify(headers)


def test_a_form_is_refused_since_bitbucket_sends_none() -> None:
    with pytest.raises(BadPayload, match="application/json"):
        WEBHOOK.decode({"content-type": b"application/x-www-form-urlencoded"}, b"payload=%7B%7D")


# Hostile input

_PLACES = [
    "push",
    "push.changes",
    CHANGE,
    f"{CHANGE}.old",
    f"{CHANGE}.new",
    f"{CHANGE}.new.type",
    f"{CHANGE}.new.name",
    f"{CHANGE}.new.target",
    f"{CHANGE}.new.target.hash",
    f"{CHANGE}.new.target.message",
    f"{CHANGE}.forced",
    f"{CHANGE}.links",
    f"{CHANGE}.links.html.href",
    "repository",
    "repository.uuid",
    "repository.full_name",
    "repository.is_private",
    "repository.links.html",
    "actor",
    "actor.username",
]


@given(payload=st.dictionaries(TEXTS, VALUES, max_size=6), event=st.sampled_from(["repo:push", "repo:fork"]) | TEXTS)
def test_any_object_is_read_ignored_or_refused(payload: dict[str, object], event: str) -> None:
    assert_read_or_refused(WEBHOOK, event, payload)


@given(path=st.sampled_from(_PLACES), value=VALUES)
@example(path=f"{CHANGE}.new.target.message", value="\x00\ud800")
@example(path=f"{CHANGE}.new", value=None)
def test_a_push_with_any_value_in_any_place_is_read_ignored_or_refused(path: str, value: object) -> None:
    assert_read_or_refused(WEBHOOK, "repo:push", changed(path, copy.deepcopy(value)))
