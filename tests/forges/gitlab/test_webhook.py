"""GitLab's deliveries: what is read in a push, how one is identified, hostile input. Golden pairs: `test_golden`."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildbot.domain.push import Ignored, PushEvent
from buildbot.forges.gitlab.webhook import GitLabWebhook
from buildbot.ports import BadPayload, Webhook
from tests.forges.golden import folder
from tests.forges.hostile import TEXTS, VALUES, assert_read_or_refused, lacking, with_value

WEBHOOK: Webhook = GitLabWebhook(forge="gitlab", url="https://gitlab.com/")
PLAIN: dict[str, Any] = json.loads((folder("gitlab") / "push-branch-plain.json").read_bytes())


def pushed(payload: Mapping[str, object]) -> PushEvent:
    read = WEBHOOK.read("Push Hook", payload)
    assert not isinstance(read, Ignored)
    (push,) = read
    return push


def changed(path: str, value: object) -> dict[str, Any]:
    return with_value(PLAIN, path, value)


def test_a_push_carries_everything_that_people_and_builders_need() -> None:
    push = pushed(PLAIN)
    assert push.source.forge == "gitlab"
    assert push.source.repository_id == "4861503"
    assert push.source.private
    assert push.source.html_url == "https://gitlab.com/gitlab-org/hello-world"
    assert push.archive.url == "https://gitlab.com/gitlab-org/hello-world/-/archive/{sha}/hello-world-{sha}.zip"
    assert push.archive.root == "/hello-world-{sha}"
    assert push.pusher == "sytses"
    assert push.compare_url == (
        "https://gitlab.com/gitlab-org/hello-world/-/compare/"
        "9217710ce8c7e1eae7a5d1c45f6e43e1c769f866...2adc9465c4edfc33834e173fe89436a7cb899a1d"
    )
    assert (push.forced, push.pushed_at) == (None, None)


@pytest.mark.parametrize(("level", "private"), [(0, True), (10, True), (20, False), (15, True)])
def test_only_what_everybody_may_see_is_not_private(level: int, private: bool) -> None:
    assert pushed(changed("project.visibility_level", level)).source.private is private


def test_the_archive_of_a_project_below_groups_is_named_by_the_last_part_of_its_path() -> None:
    push = pushed(changed("project.path_with_namespace", "a/b/c/api"))
    assert push.archive.url == "https://gitlab.com/a/b/c/api/-/archive/{sha}/api-{sha}.zip"
    assert push.archive.root == "/api-{sha}"


def test_without_a_username_the_name_is_told() -> None:
    assert pushed(changed("user_username", None)).pusher == "Sid Sijbrandij"
    assert pushed(lacking(changed("user_name", None), "user_username")).pusher is None


def test_no_payload_proves_what_changed() -> None:
    assert pushed(PLAIN).changed_paths is None


@pytest.mark.parametrize("kind", ["push", "tag_push"])
def test_a_system_hook_is_a_push_if_its_object_kind_says_so(kind: str) -> None:
    payload = changed("object_kind", kind)
    assert not isinstance(WEBHOOK.read("System Hook", payload), Ignored)
    assert not isinstance(WEBHOOK.read("System Hook", lacking(payload, "object_kind")), Ignored)
    assert isinstance(WEBHOOK.read("System Hook", changed("object_kind", "project_create")), Ignored)


@pytest.mark.parametrize("event", ["Pipeline Hook", "Merge Request Hook", "push", "", "Push Hook "])
def test_what_is_no_push_is_ignored_whatever_its_body_looks_like(event: str) -> None:
    assert isinstance(WEBHOOK.read(event, PLAIN), Ignored)


# Mistakes


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ref", 7, "ref is not text"),
        ("ref", "refs/heads/a..b", "ref is not a name that git allows"),
        ("ref", "refs/heads/\ud800", "ref has control characters or half a character in it"),
        ("before", None, "before is null"),
        ("before", "9217710", "before is not an object id of 40 or 64 lower-case hexadecimal digits"),
        ("after", "g" * 40, "after is not an object id"),
        ("checkout_sha", "HEAD", "checkout_sha is not an object id"),
        ("checkout_sha", 7, "checkout_sha is not text"),
        ("commits", {}, "commits is not a list"),
        ("commits", ["x"], "commits.0 is not an object"),
        ("commits.0.id", 1, "commits.0.id is not text"),
        ("commits.0.message", 1, "commits.0.message is not text"),
        ("project", "x", "project is not an object"),
        ("project.id", "1", "project.id is not an integer"),
        ("project.id", 0, "project.id is not a repository's number"),
        ("project.path_with_namespace", "api", "project.path_with_namespace is not a project's path"),
        ("project.path_with_namespace", "acme/../x", "project.path_with_namespace is not a project's path"),
        ("project.path_with_namespace", "acme/{sha}", "project.path_with_namespace is not a project's path"),
        ("project.visibility_level", None, "project.visibility_level is null"),
        ("project.visibility_level", "public", "project.visibility_level is not an integer"),
        ("project.visibility_level", True, "project.visibility_level is not an integer"),
        ("project.default_branch", 1, "project.default_branch is not text"),
        ("project.web_url", "javascript:alert(1)", "project.web_url is not an http(s) address"),
        ("user_username", 1, "user_username is not text"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(path: str, value: object, said: str) -> None:
    with pytest.raises(BadPayload) as caught:
        WEBHOOK.read("Push Hook", changed(path, value))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "path",
    ["ref", "before", "after", "project", "project.id", "project.path_with_namespace", "project.visibility_level"],
)
def test_a_missing_field_is_named_with_its_place(path: str) -> None:
    with pytest.raises(BadPayload) as caught:
        WEBHOOK.read("Push Hook", lacking(PLAIN, path))
    assert str(caught.value) == f"{path} is missing"


# Headers and bodies

IDS = {"idempotency-key": b"key-1", "x-gitlab-event-uuid": b"uuid-1", "webhook-id": b"hook-1"}


@pytest.mark.parametrize(
    ("names", "id_"),
    [
        (["idempotency-key", "x-gitlab-event-uuid", "webhook-id"], "key-1"),
        (["x-gitlab-event-uuid", "webhook-id"], "uuid-1"),
        (["webhook-id"], "hook-1"),
    ],
)
def test_a_delivery_is_identified_by_the_key_that_a_resend_keeps(names: list[str], id_: str) -> None:
    headers = {name: IDS[name] for name in names} | {"x-gitlab-event": b"Tag Push Hook"}
    assert WEBHOOK.identify(headers) == (id_, "Tag Push Hook")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-gitlab-event": b"Push Hook"}, "Idempotency-Key and X-Gitlab-Event-UUID are missing"),
        ({"idempotency-key": b"a b", "x-gitlab-event": b"Push Hook"}, "Idempotency-Key is not a word"),
        ({"idempotency-key": b"1"}, "the header X-Gitlab-Event is missing"),
        ({"idempotency-key": b"1", "x-gitlab-event": b"\xff"}, "X-Gitlab-Event is not a line"),
    ],
)
def test_a_header_that_is_missing_or_odd_is_named(headers: dict[str, bytes], said: str) -> None:
    with pytest.raises(BadPayload, match=said):
        WEBHOOK.identify(headers)


def test_only_json_is_taken() -> None:
    assert WEBHOOK.decode({"content-type": b"application/json"}, b'{"a": 1}') == {"a": 1}
    with pytest.raises(BadPayload, match="content type"):
        WEBHOOK.decode({"content-type": b"application/x-www-form-urlencoded"}, b"payload={}")


# Hostile input

_PLACES = [
    "ref",
    "before",
    "after",
    "checkout_sha",
    "object_kind",
    "commits",
    "commits.0.id",
    "commits.0.message",
    "user_name",
    "user_username",
    "project",
    "project.id",
    "project.path_with_namespace",
    "project.visibility_level",
    "project.default_branch",
    "project.web_url",
]
_EVENTS = st.sampled_from(["Push Hook", "Tag Push Hook", "System Hook"])


@given(payload=st.dictionaries(TEXTS, VALUES, max_size=6), event=_EVENTS | TEXTS)
def test_any_object_is_read_ignored_or_refused(payload: dict[str, object], event: str) -> None:
    assert_read_or_refused(WEBHOOK, event, payload)


@given(path=st.sampled_from(_PLACES), value=VALUES, event=_EVENTS)
@example(path="commits.0.message", value="\x00\ud800", event="Push Hook")
@example(path="object_kind", value="\x00\ud800", event="System Hook")
def test_a_push_with_any_value_in_any_place_is_read_ignored_or_refused(path: str, value: object, event: str) -> None:
    assert_read_or_refused(WEBHOOK, event, changed(path, copy.deepcopy(value)))
