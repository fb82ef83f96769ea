"""Bitbucket Data Center's deliveries: what is read beside the goldens, mistakes, and hostile input."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildbot.domain.push import Ignored, PushEvent
from buildbot.forges.bitbucket_datacenter.webhook import BitbucketDataCenterWebhook
from buildbot.ports import BadPayload, BadSignature, Webhook
from tests.forges.hostile import TEXTS, VALUES, assert_read_or_refused, with_value

PAYLOADS = Path(__file__).parent / "payloads"
WEBHOOK: Webhook = BitbucketDataCenterWebhook(forge="corp", url="https://git.example.com/")


def payload(name: str = "push-branch-plain") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_bytes())
    return loaded


def pushed(body: Mapping[str, object]) -> PushEvent:
    read = WEBHOOK.read("repo:refs_changed", body)
    assert not isinstance(read, Ignored)
    (push,) = read
    return push


def test_a_push_carries_everything_that_people_and_builders_need() -> None:
    push = pushed(payload())
    assert (push.source.forge, push.source.repository_id, push.source.private) == ("corp", "84", True)
    assert push.source.html_url == "https://git.example.com/projects/OPS/repos/api"
    assert (push.pusher, push.pushed_at) == ("ada", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_the_archive_is_never_fetched_directly() -> None:
    archive = pushed(payload("push-personal")).archive
    assert archive.url == (
        "https://git.example.com/rest/api/latest/projects/~ADA/repos/api/archive?at={sha}&format=zip"
    )
    assert (archive.root, archive.is_direct) == ("", False)


@pytest.mark.parametrize("path", ["repository.public", "repository.project.public"])
def test_a_repository_is_public_by_itself_or_with_its_project(path: str) -> None:
    assert not pushed(with_value(payload(), path, True)).source.private


def test_what_does_not_say_that_it_is_public_is_private() -> None:
    body = with_value(with_value(payload(), "repository.public", None), "repository.project.public", None)
    assert pushed(body).source.private


def test_a_time_without_a_zone_is_taken_for_utc() -> None:
    push = pushed(with_value(payload(), "date", "2026-01-02T03:04:05"))
    assert push.pushed_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_message_counts_only_for_the_commit_that_it_belongs_to() -> None:
    assert pushed(payload()).message == "Mend it\n"
    assert pushed(with_value(payload(), "toCommit.id", "e" * 40)).message is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("changes", {}, "changes is not a list"),
        ("changes.0.ref", None, "changes.0.ref is null"),
        ("changes.0.ref.id", "refs/heads/a..b", "changes.0.ref.id is not a name that git allows"),
        ("changes.0.fromHash", "0", "changes.0.fromHash is not an object id"),
        ("changes.0.toHash", None, "changes.0.toHash is null"),
        ("toCommit", [], "toCommit is not an object"),
        ("repository", None, "repository is null"),
        ("repository.id", 0, "repository.id is not a repository's number"),
        ("repository.slug", "a b", "repository.slug and its project's key are not KEY/slug"),
        ("repository.project.key", "{sha}", "repository.slug and its project's key are not KEY/slug"),
        ("repository.project.key", "~..", "repository.slug and its project's key are not KEY/slug"),
        ("repository.public", 1, "repository.public is not true or false"),
        ("date", 7, "date is not text"),
        ("date", "9999-12-31T23:59:59-1400", "date is not a time"),
        ("actor.name", 7, "actor.name is not text"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(path: str, value: object, said: str) -> None:
    with pytest.raises(BadPayload) as caught:
        pushed(with_value(payload(), path, value))
    assert str(caught.value).startswith(said)


def test_a_tags_commit_must_be_one() -> None:
    with pytest.raises(BadPayload, match=r"toCommit\.id is not an object id"):
        pushed(with_value(payload("push-tag-annotated"), "toCommit.id", "HEAD"))


def test_the_test_buttons_request_is_signed_and_identified_like_a_push() -> None:
    headers = {"x-request-id": b"3c4b", "x-event-key": b"diagnostics:ping"}
    assert WEBHOOK.identify(headers) == ("3c4b", "diagnostics:ping")
    with pytest.raises(BadSignature, match="not signed"):
        WEBHOOK.verifier(headers, [b"secret"])
    with pytest.raises(BadPayload, match="X-Request-Id is missing"):
        WEBHOOK.identify({"x-event-key": b"diagnostics:ping"})


_PLACES = [
    "changes",
    "changes.0",
    "changes.0.ref",
    "changes.0.ref.id",
    "changes.0.fromHash",
    "changes.0.toHash",
    "toCommit",
    "toCommit.id",
    "toCommit.message",
    "repository",
    "repository.id",
    "repository.slug",
    "repository.public",
    "repository.project",
    "repository.project.key",
    "date",
    "actor",
    "actor.name",
]


@given(body=st.dictionaries(TEXTS, VALUES, max_size=6), event=st.sampled_from(["repo:refs_changed"]) | TEXTS)
def test_any_object_is_read_ignored_or_refused(body: dict[str, object], event: str) -> None:
    assert_read_or_refused(WEBHOOK, event, body)


@given(path=st.sampled_from(_PLACES), value=VALUES)
@example(path="toCommit.message", value="\x00\ud800")
@example(path="date", value="0001-01-01T00:00:00+1400")
def test_a_push_with_any_value_in_any_place_is_read_ignored_or_refused(path: str, value: object) -> None:
    assert_read_or_refused(WEBHOOK, "repo:refs_changed", with_value(payload(), path, copy.deepcopy(value)))
