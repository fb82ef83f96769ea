"""GitHub's deliveries: what is read in a push, the signature header, and hostile input. Golden pairs: `test_golden`."""

from __future__ import annotations

import copy
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildbot.domain.push import Ignored, PushEvent
from buildbot.forges.github.webhook import GitHubWebhook
from buildbot.ports import BadPayload, BadSignature, Webhook
from tests.forges.hostile import TEXTS, VALUES, assert_read_or_refused, lacking, with_value

PAYLOADS = Path(__file__).parent / "payloads"
WEBHOOK: Webhook = GitHubWebhook(forge="github", url="https://github.com")
SECRET = b"It's a Secret to Everybody"
HELLO = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def plain() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / "push-branch-plain.json").read_bytes())
    return loaded


def pushed(payload: Mapping[str, object]) -> PushEvent:
    read = WEBHOOK.read("push", payload)
    assert not isinstance(read, Ignored)
    (push,) = read
    return push


def changed(path: str, value: object) -> dict[str, Any]:
    return with_value(plain(), path, value)


def without(path: str) -> dict[str, Any]:
    return lacking(plain(), path)


# Readings


def test_a_push_carries_everything_that_people_and_builders_need() -> None:
    push = pushed(plain())
    assert push.source.forge == "github"
    assert push.source.repository_id == "359117785"
    assert push.source.private is False
    assert push.source.html_url == "https://github.com/chmouel/scratchmyback"
    assert push.archive.url == "https://github.com/chmouel/scratchmyback/archive/{sha}.tar.gz"
    assert push.archive.root == "/scratchmyback-{sha}"
    assert push.pusher == "chmouel"
    assert push.compare_url == "https://github.com/chmouel/scratchmyback/compare/00bacbb7fc5f...6fe4cf6bdee2"
    assert push.pushed_at == datetime(2021, 5, 18, 13, 25, 46, tzinfo=UTC)


def test_archives_of_an_enterprise_server_lie_below_its_own_address() -> None:
    webhook = GitHubWebhook(forge="corp", url="https://git.example.com/")
    read = webhook.read("push", plain())
    assert not isinstance(read, Ignored)
    assert read[0].source.forge == "corp"
    assert read[0].archive.url == "https://git.example.com/chmouel/scratchmyback/archive/{sha}.tar.gz"


@pytest.mark.parametrize(
    ("path", "value"), [("ref", "refs/tags/v1"), ("before", "0" * 40), ("before", "0" * 64), ("after", "0" * 40)]
)
def test_a_tag_and_a_ref_without_a_before_or_after_prove_no_changed_paths(path: str, value: str) -> None:
    assert pushed(plain()).changed_paths == ("OWNERS",)
    assert pushed(changed(path, value)).changed_paths is None


def test_without_a_pusher_the_sender_is_named() -> None:
    assert pushed(changed("pusher", None)).pusher == "chmouel"
    assert pushed(changed("pusher", {"name": "deploy key"})).pusher == "deploy key"
    assert pushed(changed("pusher", None) | {"sender": None}).pusher is None


# Mistakes


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ref", 7, "ref is not text"),
        ("ref", "", "ref is empty"),
        ("ref", "refs/heads/", "ref is not a name that git allows"),
        ("ref", "refs/heads/a..b", "ref is not a name that git allows"),
        ("ref", "refs/heads/../../x", "ref is not a name that git allows"),
        ("ref", "refs/heads/a b", "ref is not a name that git allows"),
        ("ref", "refs/heads/" + "x" * 2000, "ref is not a name that git allows"),
        ("ref", "refs/heads/a\x00b", "ref has control characters or half a character in it"),
        ("ref", "refs/heads/a\nb", "ref has control characters or half a character in it"),
        ("ref", "refs/heads/\ud800", "ref has control characters or half a character in it"),
        ("before", None, "before is null"),
        ("before", "00bacbb", "before is not an object id of 40 or 64 lower-case hexadecimal digits"),
        ("after", "6FE4CF6BDEE23D427228CCAC175E288C07C1C95F", "after is not an object id"),
        ("after", "g" * 40, "after is not an object id"),
        ("after", "6fe4cf6bdee23d427228ccac175e288c07c1c95f\n", "after has control characters"),
        ("after", "a" * 50, "after is not an object id"),
        ("forced", "no", "forced is not true or false"),
        ("forced", 0, "forced is not true or false"),
        ("created", "no", "created is not true or false"),
        ("commits", {}, "commits is not a list"),
        ("commits", ["x"], "commits.0 is not an object"),
        ("commits.0.added", "x", "commits.0.added is not a list"),
        ("commits.0.added", [1], "commits.0.added is not a list of texts"),
        ("commits.0.message", 1, "commits.0.message is not text"),
        ("commits.0.committer", 1, "commits.0.committer is not an object"),
        ("head_commit", [], "head_commit is not an object"),
        ("head_commit.id", None, "head_commit.id is null"),
        ("head_commit.id", "HEAD", "head_commit.id is not an object id"),
        ("head_commit.message", {}, "head_commit.message is not text"),
        ("repository", "x", "repository is not an object"),
        ("repository.id", "1", "repository.id is not an integer"),
        ("repository.id", True, "repository.id is not an integer"),
        ("repository.id", 1.0, "repository.id is not an integer"),
        ("repository.id", 0, "repository.id is not a repository's number"),
        ("repository.id", -1, "repository.id is not a repository's number"),
        ("repository.id", 2**63, "repository.id is not a repository's number"),
        ("repository.full_name", "api", "repository.full_name is not owner/name"),
        ("repository.full_name", "a/b/c", "repository.full_name is not owner/name"),
        ("repository.full_name", "acme/..", "repository.full_name is not owner/name"),
        ("repository.full_name", "acme/a?x=1", "repository.full_name is not owner/name"),
        ("repository.full_name", "acme/{sha}", "repository.full_name is not owner/name"),
        ("repository.private", None, "repository.private is null"),
        ("repository.private", 1, "repository.private is not true or false"),
        ("repository.default_branch", 1, "repository.default_branch is not text"),
        ("repository.pushed_at", "2021-05-18T13:25:46Z", "repository.pushed_at is not an integer"),
        ("repository.pushed_at", 10**30, "repository.pushed_at is not a time in Unix seconds"),
        ("repository.pushed_at", -1, "repository.pushed_at is not a time in Unix seconds"),
        ("repository.html_url", "javascript:alert(1)", "repository.html_url is not an http(s) address"),
        ("compare", "javascript:alert(1)", "compare is not an http(s) address"),
        ("pusher.name", 1, "pusher.name is not text"),
        ("sender.login", 1, "sender.login is not text"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(path: str, value: object, said: str) -> None:
    with pytest.raises(BadPayload) as caught:
        WEBHOOK.read("push", changed(path, value))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "path",
    [
        "ref",
        "before",
        "after",
        "repository",
        "repository.id",
        "repository.full_name",
        "repository.private",
        "head_commit.id",
    ],
)
def test_a_missing_field_is_named_with_its_place(path: str) -> None:
    with pytest.raises(BadPayload) as caught:
        WEBHOOK.read("push", without(path))
    assert str(caught.value) == f"{path} is missing"


@pytest.mark.parametrize("ref", ["refs/pull/1/head", "refs/notes/commits", "main", "refs/stash", "refs/heads"])
def test_what_is_neither_branch_nor_tag_is_ignored_by_name(ref: str) -> None:
    assert WEBHOOK.read("push", changed("ref", ref)) == Ignored(f"'{ref}' is neither a branch nor a tag")


# Signatures


def signed(
    headers: Mapping[str, bytes], body: bytes = b"Hello, World!", secrets: tuple[bytes, ...] = (SECRET,)
) -> None:
    verifier = WEBHOOK.verifier(headers, secrets)
    verifier.update(body[:5])
    verifier.update(body[5:])
    verifier.check()


def test_githubs_own_example_is_accepted() -> None:
    signed({"x-hub-signature-256": HELLO})
    signed({"x-hub-signature-256": HELLO}, secrets=(b"new", SECRET))


def test_a_form_is_signed_as_sent() -> None:
    form = (PAYLOADS / "push-branch-plain.form").read_bytes()
    signed({"x-hub-signature-256": b"sha256=" + hmac.new(SECRET, form, "sha256").hexdigest().encode()}, form)


def test_a_forged_signature_is_refused() -> None:
    with pytest.raises(BadSignature):
        signed({"x-hub-signature-256": HELLO}, b"Hello, World?")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "not signed"),
        ({"x-hub-signature-256": b""}, "not signed"),
        ({"x-hub-signature": b"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, "SHA-1 only"),
        ({"x-hub-signature": HELLO}, "SHA-1 only"),
        ({"x-gitea-signature": HELLO}, "not signed"),
        ({"x-hub-signature-256": b"sha256="}, "64 hexadecimal digits"),
        ({"x-hub-signature-256": b"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}, "64 hexadecimal digits"),
        ({"x-hub-signature-256": HELLO.removeprefix(b"sha256=")}, "64 hexadecimal digits"),
        ({"x-hub-signature-256": HELLO[:-1]}, "64 hexadecimal digits"),
        ({"x-hub-signature-256": b"sha256=" + b"\xff" * 64}, "64 hexadecimal digits"),
        ({"x-hub-signature-256": "sha256=größe".encode()}, "64 hexadecimal digits"),
    ],
)
def test_what_is_not_signed_with_sha256_is_refused_at_once(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadSignature, match=said):
        WEBHOOK.verifier(headers, [SECRET])


# Headers


def test_a_delivery_is_identified_by_its_headers() -> None:
    headers = {"x-github-delivery": b"72d3162e-cc78-11e3-81ab-4c9367dc0958", "x-github-event": b"push"}
    assert WEBHOOK.identify(headers) == ("72d3162e-cc78-11e3-81ab-4c9367dc0958", "push")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-github-event": b"push"}, "the header X-GitHub-Delivery is missing"),
        ({"x-github-delivery": b"1"}, "the header X-GitHub-Event is missing"),
        ({"x-github-delivery": b"1", "x-github-event": b""}, "the header X-GitHub-Event is missing"),
        ({"x-github-delivery": b"\xff", "x-github-event": b"push"}, "X-GitHub-Delivery is not a word"),
        ({"x-github-delivery": b"a b", "x-github-event": b"push"}, "X-GitHub-Delivery is not a word"),
        ({"x-github-delivery": b"1", "x-github-event": b"x" * 201}, "X-GitHub-Event is not a word"),
    ],
)
def test_a_header_that_is_missing_or_odd_is_named(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadPayload, match=said):
        WEBHOOK.identify(headers)


# Hostile input

_PLACES = [
    "ref",
    "before",
    "after",
    "created",
    "forced",
    "compare",
    "commits",
    "commits.0.id",
    "commits.0.message",
    "commits.0.modified",
    "head_commit",
    "head_commit.id",
    "head_commit.message",
    "pusher",
    "pusher.name",
    "sender",
    "repository",
    "repository.id",
    "repository.full_name",
    "repository.private",
    "repository.default_branch",
    "repository.pushed_at",
    "repository.html_url",
]


@given(payload=st.dictionaries(TEXTS, VALUES, max_size=6), event=st.sampled_from(["push", "ping"]) | TEXTS)
def test_any_object_is_read_ignored_or_refused(payload: dict[str, object], event: str) -> None:
    assert_read_or_refused(WEBHOOK, event, payload)


@given(path=st.sampled_from(_PLACES), value=VALUES)
@example(path="head_commit.message", value="\x00\ud800")
@example(path="commits.0.modified", value=["\ud800", "\x00"])
@example(path="repository.pushed_at", value=253_402_300_800)
def test_a_push_with_any_value_in_any_place_is_read_ignored_or_refused(path: str, value: object) -> None:
    assert_read_or_refused(WEBHOOK, "push", changed(path, copy.deepcopy(value)))
