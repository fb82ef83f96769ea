"""Gitea's and Forgejo's deliveries: which header signs, what is read in a push, hostile input. Pairs: `test_golden`."""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildbot.domain.push import Ignored, PushEvent
from buildbot.forges.gitea.webhook import FAMILY_KEY, GiteaWebhook
from buildbot.ports import BadPayload, BadSignature, Webhook
from tests.forges.hostile import TEXTS, VALUES, assert_read_or_refused, with_value

PAYLOADS = Path(__file__).parent / "payloads"
WEBHOOK: Webhook = GiteaWebhook(forge="gitea", url="https://git.example.com/")
JSON = {"content-type": b"application/json"}
FORGEJO = JSON | {"x-forgejo-event": b"push", "x-gitea-event": b"push"}
BODY = b'{"ref":"refs/heads/main"}'
SIGNATURE = b"8588fd50c04ac2c191575340c4c0fe284157898def8e4d10af822f05dd7c9bb5"
FORM = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22zen%22%3A%22gr%C3%B6%C3%9Fe+%2B+100%25%22%7D"
FORM_SIGNATURE = b"e3cfada2b16f41c7b2968f2e7c4f07682d1212a2504013dac40a32d6bf8e6236"


def payload(name: str = "push-branch-plain") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_bytes())
    return loaded


def read(body: Mapping[str, object], event: str = "push", headers: Mapping[str, bytes] = JSON) -> PushEvent:
    found = WEBHOOK.read(event, WEBHOOK.decode(headers, json.dumps(body).encode()))
    assert not isinstance(found, Ignored)
    (push,) = found
    return push


def changed(path: str, value: object) -> dict[str, Any]:
    return with_value(payload(), path, value)


# Signatures


def checked(headers: Mapping[str, bytes], body: bytes = BODY, *secrets: bytes) -> None:
    verifier = WEBHOOK.verifier({**JSON, **headers}, secrets or (b"s3cr3t",))
    verifier.update(body[:9])
    verifier.update(body[9:])
    verifier.check()


@pytest.mark.parametrize("header", ["x-gitea-signature", "x-forgejo-signature"])
def test_the_signature_of_either_family_counts(header: str) -> None:
    checked({header: SIGNATURE}, BODY, b"another", b"s3cr3t")
    with pytest.raises(BadSignature):
        checked({header: SIGNATURE}, BODY + b" ")
    with pytest.raises(BadSignature):
        checked({header: SIGNATURE}, BODY, b"another")


def test_a_form_is_signed_over_the_json_in_it() -> None:
    headers = {"content-type": b"application/x-www-form-urlencoded", "x-gitea-signature": FORM_SIGNATURE}
    checked(headers, FORM, b"It's a Secret to Everybody")
    over_the_wire = hmac.digest(b"It's a Secret to Everybody", FORM, "sha256").hex().encode()
    with pytest.raises(BadSignature):
        checked(headers | {"x-gitea-signature": over_the_wire}, FORM, b"It's a Secret to Everybody")


def test_forgejos_signature_counts_before_giteas() -> None:
    checked({"x-forgejo-signature": SIGNATURE, "x-gitea-signature": b"0" * 64})
    with pytest.raises(BadSignature):
        checked({"x-forgejo-signature": b"0" * 64, "x-gitea-signature": SIGNATURE})


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "X-Gitea-Signature and X-Forgejo-Signature are missing"),
        ({"x-gitea-signature": b""}, "the signature is empty"),
        ({"x-gitea-signature": b"", "x-forgejo-signature": b"", "x-hub-signature-256": b"sha256="}, "is empty"),
        ({"x-hub-signature-256": b"sha256=" + SIGNATURE}, "only X-Hub-Signature-256 is there"),
        ({"x-gogs-signature": SIGNATURE}, "are missing"),
        ({"x-gitea-signature": b"sha256=" + SIGNATURE}, "X-Gitea-Signature is not 64 hexadecimal digits"),
        ({"x-forgejo-signature": b"\xff" * 64}, "X-Forgejo-Signature is not 64 hexadecimal digits"),
        ({"x-gitea-signature": SIGNATURE[:-1]}, "not 64 hexadecimal digits"),
    ],
)
def test_what_is_not_signed_by_its_own_kind_is_refused_at_once(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        WEBHOOK.verifier(JSON | headers, [b"s3cr3t"])


def test_what_an_empty_secret_signed_is_never_accepted() -> None:
    empty = {"x-gitea-signature": hmac.digest(b"", b"{}", "sha256").hex().encode()}
    with pytest.raises(BadSignature):
        checked(empty, b"{}")
    with pytest.raises(ValueError, match="empty"):
        WEBHOOK.verifier(JSON | empty, [b""])


# Names and bodies


@pytest.mark.parametrize(
    "headers",
    [
        {"x-gitea-delivery": b"1b20-7496", "x-gitea-event": b"push", "x-github-delivery": b"no"},
        {"x-forgejo-delivery": b"1b20-7496", "x-forgejo-event": b"push", "x-gitea-delivery": b"no"},
    ],
)
def test_a_delivery_is_named_by_its_own_family(headers: dict[str, bytes]) -> None:
    assert WEBHOOK.identify(headers) == ("1b20-7496", "push")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-gitea-event": b"push"}, "X-Gitea-Delivery is missing"),
        ({"x-github-delivery": b"1", "x-github-event": b"push"}, "X-Gitea-Delivery is missing"),
        ({"x-gitea-delivery": b"1"}, "X-Gitea-Event is missing"),
        ({"x-gitea-delivery": b"1 2", "x-gitea-event": b"push"}, "X-Gitea-Delivery is not a word"),
        ({"x-gitea-delivery": b"1", "x-forgejo-event": b"\xff"}, "X-Forgejo-Event is not a word"),
    ],
)
def test_a_delivery_without_a_name_or_event_says_so(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadPayload, match=said):
        WEBHOOK.identify(headers)


def test_the_hooks_secret_that_old_versions_send_along_is_dropped() -> None:
    body = (PAYLOADS / "push-branch-2017.json").read_bytes()
    assert b"hush-hush-2017" in body
    decoded = WEBHOOK.decode(JSON, body)
    assert "hush-hush-2017" not in json.dumps(decoded)
    assert "hush-hush-2017" not in repr(WEBHOOK.read("push", decoded))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_a_body_that_is_no_object_says_so(body: bytes) -> None:
    with pytest.raises(BadPayload):
        WEBHOOK.decode(JSON, body)


# Readings


def test_a_push_carries_everything_that_people_and_builders_need() -> None:
    push = read(payload())
    assert (push.source.forge, push.source.repository_id, push.source.private) == ("gitea", "42", False)
    assert push.source.html_url == "https://git.example.com/Acme/API"
    assert push.compare_url == f"https://git.example.com/Acme/API/compare/{'a1' * 20}...{'b2' * 20}"
    assert (push.pusher, push.pushed_at, push.forced) == ("ada", None, None)
    assert read(payload("push-private")).source.private


def test_only_forgejos_archives_can_be_fetched_by_a_builder() -> None:
    url = "https://git.example.com/api/v1/repos/Acme/API/archive/{sha}.tar.gz"
    for headers, is_direct in ((FORGEJO, True), (JSON | {"x-gitea-event": b"push"}, False)):
        archive = read(payload(), headers=headers).archive
        assert (archive.url, archive.root, archive.is_direct) == (url, "/api", is_direct)
    deletion = read(payload("delete-branch-forgejo"), "delete", FORGEJO)
    assert deletion.archive.is_direct


def test_a_payload_cannot_say_itself_that_it_is_forgejos() -> None:
    assert not read(payload() | {FAMILY_KEY: "Forgejo"}).archive.is_direct
    assert not read(payload() | {FAMILY_KEY: ["x"]}).archive.is_direct


def test_without_a_pusher_the_sender_is_named() -> None:
    assert read(changed("pusher", None)).pusher == "ada"
    assert read(changed("pusher.login", "")).pusher == "ada"
    assert read(changed("pusher", {"username": "deploy"})).pusher == "deploy"
    assert read(payload("push-null-lists")).pusher is None


def test_empty_texts_are_nothing() -> None:
    assert read(changed("compare_url", "")).compare_url is None
    assert read(changed("repository.html_url", "")).source.html_url is None
    assert read(changed("repository.default_branch", "")).source.default_branch is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ref", 7, "ref is not text"),
        ("ref", "refs/heads/a..b", "ref is not a name that git allows"),
        ("before", None, "before is null"),
        ("before", "a1", "before is not an object id"),
        ("after", "A" * 40, "after is not an object id"),
        ("commits", {}, "commits is not a list"),
        ("commits", ["x"], "commits.0 is not an object"),
        ("commits.0.added", "x", "commits.0.added is not a list"),
        ("commits.0.modified", [1], "commits.0.modified is not a list of texts"),
        ("total_commits", "1", "total_commits is not an integer"),
        ("total_commits", True, "total_commits is not an integer"),
        ("head_commit", [], "head_commit is not an object"),
        ("head_commit.id", "HEAD", "head_commit.id is not an object id"),
        ("head_commit.message", 1, "head_commit.message is not text"),
        ("repository", None, "repository is null"),
        ("repository.id", "42", "repository.id is not an integer"),
        ("repository.id", 0, "repository.id is not a repository's number"),
        ("repository.full_name", "API", "repository.full_name is not owner/name"),
        ("repository.full_name", "Acme/..", "repository.full_name is not owner/name"),
        ("repository.full_name", "Acme/{sha}", "repository.full_name is not owner/name"),
        ("repository.private", None, "repository.private is null"),
        ("repository.default_branch", 1, "repository.default_branch is not text"),
        ("repository.html_url", "javascript:alert(1)", "repository.html_url is not an http(s) address"),
        ("compare_url", "javascript:alert(1)", "compare_url is not an http(s) address"),
        ("pusher", "ada", "pusher is not an object"),
        ("pusher.login", 1, "pusher.login is not text"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(path: str, value: object, said: str) -> None:
    with pytest.raises(BadPayload) as caught:
        read(changed(path, value))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ref", None, "ref is null"),
        ("ref", "", "ref is empty"),
        ("ref", "a b", "ref is not a name that git allows"),
        ("ref_type", 1, "ref_type is not text"),
        ("repository.full_name", None, "repository.full_name is null"),
        ("sender", 1, "sender is not an object"),
    ],
)
def test_a_wrong_field_of_a_deletion_is_named(path: str, value: object, said: str) -> None:
    with pytest.raises(BadPayload) as caught:
        read(with_value(payload("delete-branch-gitea"), path, value), "delete")
    assert str(caught.value).startswith(said)


# Hostile input


def every_path(value: object, prefix: str = "") -> list[str]:
    members: list[tuple[object, object]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    return [
        path
        for key, inner in members
        for path in (f"{prefix}{key}", *every_path(inner, f"{prefix}{key}."))
        if "." not in str(key)
    ]


@pytest.mark.parametrize(("event", "name"), [("push", "push-branch-two-commits"), ("delete", "delete-branch-gitea")])
@given(data=st.data())
def test_any_value_in_any_place_is_read_or_refused(event: str, name: str, data: st.DataObject) -> None:
    whole = payload(name)
    path = data.draw(st.sampled_from(every_path(whole)))
    assert_read_or_refused(WEBHOOK, event, with_value(whole, path, data.draw(VALUES)))


@given(st.sampled_from(["push", "delete", "create", "x"]), st.dictionaries(TEXTS, VALUES, max_size=5))
def test_any_object_is_read_or_refused(event: str, body: dict[str, object]) -> None:
    assert_read_or_refused(WEBHOOK, event, body)


@given(st.dictionaries(st.sampled_from(["x-gitea-signature", "x-forgejo-signature", "content-type"]), st.binary()))
def test_any_headers_are_refused_without_an_accident(headers: dict[str, bytes]) -> None:
    with pytest.raises(BadSignature):
        checked(headers)


@given(st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"text/plain"]), st.binary())
def test_any_body_is_decoded_or_refused(content_type: bytes, body: bytes) -> None:
    with contextlib.suppress(BadPayload):
        assert WEBHOOK.decode({"content-type": content_type}, body)[FAMILY_KEY] == "Gitea"
